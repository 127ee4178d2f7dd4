"""Singular values of layers' Jacobians: linear maps, a planar network, what they refuse."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import models
from keras_recres.probes import metric_spectrum

RNG = np.random.default_rng(5)


def dense(units, kernel, **kwargs):
    layer = keras.layers.Dense(units, use_bias=False, **kwargs)
    layer.build((None, kernel.shape[0]))
    layer.set_weights([kernel])
    return layer


def test_a_linear_layers_are_its_matrix_own():
    wide, narrow = RNG.normal(size=(3, 5)), RNG.normal(size=(5, 1))
    model = keras.Sequential([keras.Input((3,)), dense(5, wide), dense(1, narrow)])
    rows, sigma = metric_spectrum(model, RNG.normal(size=(7, 3)), np.eye(3), batch_size=7)
    assert [name for name, _ in rows] == ["input", *(layer.name for layer in model.layers)]
    assert sigma.shape == (3, 7, 3)
    np.testing.assert_allclose(sigma[0], 1, rtol=1e-6)
    # Every input alike, and the rank of the narrow layer is one.
    expected = np.linalg.svd(wide, compute_uv=False)
    np.testing.assert_allclose(sigma[1], np.tile(expected, (7, 1)), rtol=1e-5)
    largest = np.linalg.norm(wide @ narrow)
    np.testing.assert_allclose(sigma[2], np.tile([largest, 0, 0], (7, 1)), atol=1e-5)


def test_only_what_the_directions_span_counts():
    diagonal = dense(3, np.diag([1.0, 2.0, 4.0]))
    model = keras.Sequential([keras.Input((3,)), diagonal])
    # The plane of the first two axes, spanned by two vectors that are not orthogonal.
    _, sigma = metric_spectrum(model, np.zeros((1, 3)), [[1, 0, 0], [3, 1, 0]])
    np.testing.assert_allclose(sigma[-1, 0], [2, 1], rtol=1e-5)


def test_a_planar_networks_are_those_of_differences():
    model = models.planar(depth=2, steps=2)
    x = RNG.normal(size=(4, 2))
    rows, sigma = metric_spectrum(model, x, np.eye(2), layers=["block?"])
    assert rows == [("block0", 0), ("block0", 1), ("block1", 0), ("block1", 1)]
    h = 1e-2
    ends = [
        ops.convert_to_numpy(model((x + sign * h * axis).astype("float32")))
        for axis in np.eye(2)
        for sign in (1, -1)
    ]
    jacobians = np.stack([(ends[0] - ends[1]), (ends[2] - ends[3])], axis=1) / (2 * h)
    np.testing.assert_allclose(sigma[-1], np.linalg.svd(jacobians, compute_uv=False), rtol=1e-3)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("directions", "sentence"),
    [
        (np.eye(3), r"`inputs` have the shape \(4, 2\) and `directions` \(3, 3\)"),
        ([[1, 0], [2, 0]], "must be linearly independent"),
        ([[1, 0], [0, 1], [1, 1]], "must be linearly independent"),
    ],
)
def test_mistakes_are_named(directions, sentence):
    with pytest.raises(ValueError, match=sentence):
        metric_spectrum(models.planar(), np.zeros((4, 2)), directions)
