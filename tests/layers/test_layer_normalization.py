"""LayerNormalization against its equation in float64, and against Keras' own layer."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import LayerNormalization
from tests.gradients import computed, gradients


def filled(layer, shape):
    rng = np.random.default_rng(1)
    with keras_private.values_given_later():
        layer.build(shape)
        for weight in layer.weights:
            weight.assign(rng.normal(1.0, 0.5, weight.shape))
    return layer


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    offset=st.floats(-100, 100),
    epsilon=st.sampled_from([1e-5, 1e-3]),
    center=st.booleans(),
    scale=st.booleans(),
)
def test_it_is_its_equation(shape, offset, epsilon, center, scale):
    shape = (*shape, 6)
    layer = filled(LayerNormalization(epsilon=epsilon, center=center, scale=scale), shape)
    x = np.random.default_rng(0).normal(offset, 2.0, shape).astype("float32")
    wide = x.astype("float64")
    want = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + epsilon)
    if scale:
        want = want * ops.convert_to_numpy(layer.gamma)
    if center:
        want = want + ops.convert_to_numpy(layer.beta)
    # Of values near 100 float32 keeps 1e-5.
    atol = 2e-5 * max(1.0, abs(offset))
    np.testing.assert_allclose(computed(layer, x), want, atol=atol)


@pytest.mark.parametrize(
    "options", [{}, {"axis": (1, 2)}, {"center": False, "scale": False}, {"axis": 2}], ids=str
)
def test_values_and_gradients_are_those_of_keras(options):
    shape = (3, 4, 5)
    ours = filled(LayerNormalization(epsilon=1e-5, **options), shape)
    theirs = filled(keras.layers.LayerNormalization(epsilon=1e-5, **options), shape)
    x = np.random.default_rng(0).normal(1.0, 2.0, shape).astype("float32")
    y, of_ours = gradients(ours, ours.trainable_variables, x)
    want, of_theirs = gradients(theirs, theirs.trainable_variables, x)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-5)
    for gradient, expected in zip(of_ours, of_theirs, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)
