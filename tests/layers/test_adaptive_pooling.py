"""Keras' adaptive average pooling against the overlapping bins that PyTorch takes.

The published networks pool 8 to 3, where the bins overlap; the library relies on Keras for it.
"""

import keras
import numpy as np
import pytest

from tests.gradients import computed


def bins(n, m):
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def reference(x, sizes):
    x = x.astype("float64")
    for axis, m in enumerate(sizes, start=1):
        parts = [
            np.take(x, range(*bounds), axis=axis).mean(axis=axis, keepdims=True)
            for bounds in bins(x.shape[axis], m)
        ]
        x = np.concatenate(parts, axis=axis)
    return x


@pytest.mark.parametrize(
    ("layer", "shape", "sizes"),
    [
        (keras.layers.AdaptiveAveragePooling2D, (2, 8, 8, 5), (3, 3)),
        (keras.layers.AdaptiveAveragePooling2D, (2, 7, 8, 5), (3, 5)),
        # The authors' of the medium networks; `cifar_net` pools the plane and pairs of maps.
        (keras.layers.AdaptiveAveragePooling3D, (2, 16, 8, 8, 3), (8, 3, 3)),
    ],
)
def test_adaptive_average_pooling_follows_the_formula(layer, shape, sizes):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    got = computed(layer(sizes, data_format="channels_last"), x)
    np.testing.assert_allclose(got, reference(x, sizes), atol=1e-6)
