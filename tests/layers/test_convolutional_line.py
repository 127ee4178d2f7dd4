"""The layers of the classic convolutional networks, against their formulas in float64."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers, models
from tests.gradients import computed, gradients

BACKEND = keras.backend.backend()


def batch(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def filled(layer, x):
    """The layer, built, with weights of which none is what it began with."""
    layer.build(x.shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("channels", [2, 7])
def test_local_response_normalization(average, channels):
    x = batch(2, 3, channels)
    layer = layers.LocalResponseNormalization(5, 2.0, 0.3, 0.75, average)
    want = np.empty(x.shape)
    for c in range(channels):
        near = x[..., max(0, c - 2) : c + 3].astype("float64")
        alpha = 0.3 / 5 if average else 0.3
        want[..., c] = x[..., c] / (2 + alpha * (near**2).sum(-1)) ** 0.75
    np.testing.assert_allclose(computed(layer, x), want, rtol=1e-5)


@pytest.mark.skipif(BACKEND != "torch", reason="compares with PyTorch's layer")
def test_local_response_normalization_is_pytorchs():
    import torch

    x = batch(2, 9, 4, 4)
    other = torch.nn.LocalResponseNorm(5, alpha=5e-2, beta=0.75, k=2)(torch.tensor(x)).numpy()
    ours = layers.LocalResponseNormalization(alpha=5e-2, average=True)
    np.testing.assert_allclose(
        computed(ours, x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), other, rtol=1e-5
    )


def test_trainable_subsampling():
    x = batch(2, 7, 4, 3)
    layer = filled(layers.TrainableSubsampling2D(2, activation="tanh"), x)
    coefficients, bias = layer.get_weights()
    sums = x[:, :6].reshape(2, 3, 2, 2, 2, 3).astype("float64").sum((2, 4))
    np.testing.assert_allclose(computed(layer, x), np.tanh(coefficients * sums + bias), atol=1e-5)
    assert layer.count_params() == 2 * 3
    assert models.multiply_adds(layer, (28, 28, 6)).total == 14 * 14 * 6


def test_trainable_subsampling_begins_as_a_mean():
    x = batch(2, 6, 6, 3)
    mean = x.reshape(2, 3, 2, 3, 2, 3).mean((2, 4))
    np.testing.assert_allclose(computed(layers.TrainableSubsampling2D(), x), mean, atol=1e-6)


# LeNet-5's table I.
C3 = [
    *[tuple(sorted((i + j) % 6 for j in range(3))) for i in range(6)],
    *[tuple(sorted((i + j) % 6 for j in range(4))) for i in range(6)],
    *[(0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)],
]


def test_partial_convolution():
    x = batch(2, 8, 7, 6)
    layer = filled(layers.PartialConv2D(C3, 5), x)
    assert layer.count_params() == 1516
    assert models.multiply_adds(layer, (14, 14, 6)).total == 100 * 1500
    kernel, bias = layer.get_weights()
    # As a whole convolution, whose kernel is 0 where a filter sees no map.
    whole, place = np.zeros((5, 5, 6, 16)), 0
    for f, seen in enumerate(C3):
        for c in seen:
            whole[:, :, c, f], place = kernel[..., place], place + 1
    windows = np.lib.stride_tricks.sliding_window_view(x.astype("float64"), (5, 5), (1, 2))
    want = np.einsum("bijcpq,pqcf->bijf", windows, whole) + bias
    np.testing.assert_allclose(computed(layer, x), want, atol=1e-4)


def test_partial_convolution_learns_only_what_it_sees():
    x = batch(2, 5, 5, 2)
    layer = filled(layers.PartialConv2D([(0,), (0, 1)], 3), x)
    _, (_, _, by_x) = gradients(lambda x: layer(x)[..., :1], layer.trainable_weights, x)
    assert np.abs(by_x[..., 0]).max() > 0
    np.testing.assert_array_equal(by_x[..., 1], 0)


def test_rbf_output():
    codes = np.sign(batch(10, 84))
    x = batch(3, 84, seed=2)
    layer = layers.RBFOutput(codes)
    want = ((x[:, None].astype("float64") - codes) ** 2).sum(-1)
    np.testing.assert_allclose(computed(layer, x), want, rtol=1e-5)
    np.testing.assert_array_equal(computed(layer, codes).argmin(-1), range(10))
    assert layer.trainable_weights == []
    assert layer.count_params() == 840


@pytest.mark.parametrize(
    ("side", "size", "strides", "padding"),
    [(112, 3, 2, 0), (24, 3, 2, 0), (7, 2, 2, 0), (8, 3, 1, 1), (9, 3, 2, 1), (6, 5, 3, 2)],
)
def test_ceil_pooling(side, size, strides, padding):
    x = batch(1, side, side, 2) - 5  # Below 0: zeros at the edge would be seen.
    layer = layers.CeilMaxPooling2D(size, strides, padding)
    starts = range(-padding, side + padding - size + strides, strides)
    want = np.array(
        [
            [x[0, max(i, 0) : i + size, max(j, 0) : j + size].max((0, 1)) for j in starts]
            for i in starts
        ]
    )
    got = computed(layer, x)
    np.testing.assert_array_equal(got[0], want)
    assert layer.compute_output_shape(x.shape) == got.shape
    if BACKEND == "torch":
        import torch

        nchw = torch.tensor(x).permute(0, 3, 1, 2)
        other = torch.nn.functional.max_pool2d(nchw, size, strides, padding, ceil_mode=True)
        np.testing.assert_array_equal(got, other.permute(0, 2, 3, 1).numpy())


def test_ceil_pooling_of_open_sizes():
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, layers.CeilMaxPooling2D(3, 2)(inputs))
    assert model.output_shape == (None, None, None, 1)
    assert computed(model, batch(1, 6, 7, 1)).shape == (1, 3, 3, 1)


def test_highway():
    x = batch(2, 4)
    layer = filled(layers.Highway(keras.layers.Dense(4, "tanh")), x)
    kernel, bias, gate_kernel, gate_bias = (w.astype("float64") for w in layer.get_weights())
    gate = 1 / (1 + np.exp(-(x @ gate_kernel + gate_bias)))
    want = np.tanh(x @ kernel + bias) * gate + x * (1 - gate)
    np.testing.assert_allclose(computed(layer, x), want, atol=1e-5)
    assert models.multiply_adds(layer, (4,)).total == 2 * 16


@pytest.mark.parametrize("bias", [True, False])
def test_a_highway_gate_is_as_its_transform_is(bias):
    conv = keras.layers.Conv2D(3, 3, padding="same", activation="relu", use_bias=bias)
    layer = layers.Highway(conv, gate_bias=-30)
    x = batch(2, 5, 5, 3)
    # With so low a bias the input passes.
    np.testing.assert_allclose(computed(layer, x), x, atol=1e-6)
    assert layer.gate.kernel_size == (3, 3)
    assert layer.count_params() == 2 * 81 + 3 + 3 * bias


def test_a_recurrent_highway_network():
    x = batch(2, 4)
    layer = filled(layers.Highway(keras.layers.Dense(4, "tanh")), x)
    network = layers.RecurrentResidual(layer, shortcut="none", steps=3)
    want = x
    for _ in range(3):
        want = computed(layer, want)
    np.testing.assert_allclose(computed(network, x), want, atol=1e-6)


def test_randomized_relu():
    x = batch(64, 64)
    layer = layers.RandomizedReLU(0.1, 0.5, seed=3)
    np.testing.assert_allclose(computed(layer, x), np.where(x >= 0, x, 0.3 * x), rtol=1e-6)
    slopes = [ops.convert_to_numpy(layer(x, training=True))[x < 0] / x[x < 0] for _ in range(2)]
    assert slopes[0].min() >= 0.1 - 1e-6
    assert slopes[0].max() <= 0.5 + 1e-6
    # A mean of 2,000 draws of standard deviation 0.4 / √12.
    assert abs(slopes[0].mean() - 0.3) < 4 * 0.4 / 12**0.5 / 2000**0.5
    assert np.abs(slopes[0] - slopes[1]).max() > 0.1
