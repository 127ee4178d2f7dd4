"""Conv3dSubstitute against its equation, and against Keras' own three-dimensional convolution."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.layers import Conv3dSubstitute
from keras_recres.layers.conv3d_substitute import FORMS
from tests.gradients import gradients


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def to_numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def reference(x, kernel, bias, padding):
    """The equation, one output number at a time: (B, H, W, C) → (B, H, W, s·D')."""
    u, h, w, v, s = kernel.shape
    batch, height, width, channels = x.shape
    depth = channels // v
    # channel = c · D + d.
    volume = x.astype("float64").reshape(batch, height, width, v, depth)
    pads = [((size - 1) // 2, size // 2) for size in (u, h, w)]
    if padding == "valid_depth":
        pads[0] = (0, 0)
    volume = np.pad(volume, ((0, 0), pads[1], pads[2], (0, 0), pads[0]))
    out = volume.shape[-1] - u + 1
    y = np.zeros((batch, height, width, s * out))
    for i in range(height):
        for j in range(width):
            for d in range(out):
                block = volume[:, i : i + h, j : j + w, :, d : d + u]
                y[:, i, j, d::out] = np.einsum("bhwvu,uhwvs->bs", block, kernel) + bias
    return y


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("padding", ["same", "valid_depth"])
@pytest.mark.parametrize(
    ("kernel_size", "volume_channels", "filters"),
    [(3, 1, 2), (3, 4, 3), ((2, 3, 1), 2, 4), ((6, 2, 2), 1, 1), ((1, 3, 3), 3, 2)],
)
def test_it_computes_the_equation(form, padding, kernel_size, volume_channels, filters):
    x = random(2, 5, 4, 12)
    layer = Conv3dSubstitute(
        filters,
        kernel_size,
        volume_channels,
        padding=padding,
        form=form,
        bias_initializer="normal",
    )
    layer.build(x.shape)
    want = reference(x, to_numpy(layer.kernel), to_numpy(layer.bias), padding)
    np.testing.assert_allclose(to_numpy(layer(x)), want, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == want.shape
    # In a compiled graph, where backends rewrite convolutions.
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(model.predict(x, verbose=0), want, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("padding", ["same", "valid_depth"])
@pytest.mark.parametrize(
    ("strides", "kernel_size", "plane"),
    [(2, 3, (6, 5)), ((1, 2), (2, 3, 4), (5, 8)), ((3, 2), (3, 1, 2), (8, 7))],
)
def test_strides_and_activation_are_those_of_conv2d(form, padding, strides, kernel_size, plane):
    x = random(2, *plane, 8)
    layer = Conv3dSubstitute(
        3,
        kernel_size,
        2,
        padding=padding,
        strides=strides,
        activation="tanh",
        form=form,
        bias_initializer="normal",
    )
    got = layer(x)
    # The equivalent two-dimensional convolution, its kernel filled in entry by entry.
    kernel, bias = to_numpy(layer.kernel), to_numpy(layer.bias)
    u, h, w, v, s = kernel.shape
    depth = 4
    out = depth if padding == "same" else depth - u + 1
    before = (u - 1) // 2 if padding == "same" else 0
    plain = np.zeros((h, w, v * depth, s * out))
    for d in range(out):
        for a in range(u):
            if 0 <= d + a - before < depth:
                plain[:, :, d + a - before :: depth, d::out] = kernel[a]
    conv = keras.layers.Conv2D(
        s * out, (h, w), strides, padding="same", activation="tanh", data_format="channels_last"
    )
    conv.build(x.shape)
    conv.set_weights([plain, np.repeat(bias, out)])
    want = to_numpy(conv(x))
    np.testing.assert_allclose(to_numpy(got), want, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == want.shape
    inputs = keras.Input((None, None, 8))
    model = keras.Model(inputs, layer(inputs))
    np.testing.assert_allclose(model.predict(x, verbose=0), want, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_volume_is_that_of_keras_conv3d(form):
    x = random(2, 5, 4, 12)
    layer = Conv3dSubstitute(3, 3, 2, unfold=False, form=form)
    got = layer(x)
    conv = keras.layers.Conv3D(3, 3, padding="same", data_format="channels_last")
    volume = np.transpose(x.reshape(2, 5, 4, 2, 6), (0, 4, 1, 2, 3))
    conv.build(volume.shape)
    conv.set_weights(layer.get_weights())
    np.testing.assert_allclose(to_numpy(got), to_numpy(conv(volume)), atol=1e-5)
    assert tuple(got.shape) == layer.compute_output_shape(x.shape) == (2, 6, 5, 4, 3)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("padding", ["same", "valid_depth"])
def test_it_has_the_gradients_of_keras_conv3d(form, padding, jit):
    x = random(2, 5, 4, 12)
    layer = Conv3dSubstitute(3, 3, 2, padding=padding, form=form)
    layer.build(x.shape)
    conv = keras.layers.Conv3D(3, 3, padding="same", data_format="channels_last")
    conv.build((None, 6, 5, 4, 2))
    conv.set_weights(layer.get_weights())

    def folded(x):
        y = ops.transpose(ops.reshape(x, (2, 5, 4, 2, 6)), (0, 4, 1, 2, 3))
        y = ops.transpose(conv(y), (0, 2, 3, 4, 1))
        if padding == "valid_depth":
            y = y[..., 1:-1]
        return ops.reshape(y, (2, 5, 4, -1))

    y, got = gradients(lambda x: layer(x), layer.weights, x, jit=jit)
    want_y, want = gradients(folded, conv.weights, x)
    np.testing.assert_allclose(y, want_y, atol=1e-5)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("filters", "volume_channels", "channels", "count", "maps"),
    # The three-dimensional convolutions of the small, medium (both) and residual networks.
    [(2, 1, 16, 56, 32), (8, 4, 64, 872, 128), (16, 8, 128, 3472, 256), (4, 4, 32, 436, 32)],
)
def test_it_has_the_published_number_of_parameters(filters, volume_channels, channels, count, maps):
    layer = Conv3dSubstitute(filters, 3, volume_channels)
    layer.build((None, 8, 8, channels))
    assert layer.count_params() == count
    assert layer.compute_output_shape((None, 8, 8, channels)) == (None, 8, 8, maps)


def test_valid_depth_follows_the_formula_of_the_paper():
    channels, filters, h, w = 12, 3, 3, 5
    for u in range(1, channels + 1):
        layer = Conv3dSubstitute(filters, (u, h, w), padding="valid_depth")
        layer.build((None, 8, 8, channels))
        maps = layer.compute_output_shape((None, 8, 8, channels))[-1]
        assert maps == (channels - u + 1) * filters
        assert layer.count_params() == (h * w * u + 1) * filters
        assert Conv3dSubstitute.depth_for(maps, channels, filters) == u


def test_depth_for_finds_every_depth_and_no_other():
    for volume_channels in (1, 2, 3):
        depth = 12 // volume_channels
        for filters in (1, 2, 5):
            possible = {(depth - u + 1) * filters: u for u in range(1, depth + 1)}
            for maps in range(1, 70):
                if maps in possible:
                    found = Conv3dSubstitute.depth_for(maps, 12, filters, volume_channels)
                    assert found == possible[maps]
                else:
                    with pytest.raises(ValueError, match=f"No filter depth gives {maps} maps"):
                        Conv3dSubstitute.depth_for(maps, 12, filters, volume_channels)


def test_it_takes_images_of_unknown_size():
    for form in FORMS:
        layer = Conv3dSubstitute(2, 3, 2, form=form)
        inputs = keras.Input((None, None, 6))
        model = keras.Model(inputs, layer(inputs))
        assert model.output_shape == (None, None, None, 6)
        x = random(2, 7, 6, 6)
        np.testing.assert_allclose(model.predict(x, verbose=0), to_numpy(layer(x)), atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_it_learns_in_fit(form):
    inputs = keras.Input((6, 6, 4))
    x = Conv3dSubstitute(2, 3, 1, form=form, unfold=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling3D((1, 2, 2))(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    images = random(32, 6, 6, 4)
    target = 5 * images.mean(axis=(1, 2, 3))[:, None]
    losses = model.fit(images, target, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv3dSubstitute(0, 3), "`filters` must be an integer of at least 1"),
        (
            lambda: Conv3dSubstitute(2, (3, 3)),
            "`kernel_size` must be an integer of at least 1 or",
        ),
        (lambda: Conv3dSubstitute(2, 3, 0), "`volume_channels` must be an integer"),
        (lambda: Conv3dSubstitute(2, 3, padding="valid"), "'valid_depth', but it is 'valid'."),
        (lambda: Conv3dSubstitute(2, 3, form="fast"), "`form` must be one of 'auto'"),
        (lambda: Conv3dSubstitute(2, 3, strides=0), "`strides` must be an integer of at least 1"),
        (lambda: Conv3dSubstitute(2, 3, 5).build((None, 8, 8, 12)), "5 does not divide 12."),
        (lambda: Conv3dSubstitute(2, 3).build((None, 8, 12)), "(batch, height, width, channels)"),
        (
            lambda: Conv3dSubstitute(2, 5, 4, padding="valid_depth").build((None, 8, 8, 12)),
            "have the depth 3.",
        ),
        (lambda: Conv3dSubstitute.depth_for(7, 12, 2), "2 does not divide 7."),
        (lambda: Conv3dSubstitute.depth_for(8, 12, 2, 5), "5 does not divide 12."),
        (lambda: Conv3dSubstitute.depth_for(26, 12, 2), "at most 24 maps are possible."),
        (lambda: Conv3dSubstitute.depth_for(0, 12, 2), "`maps` must be an integer of at least 1"),
    ],
)
def test_wrong_arguments_are_named_in_one_sentence(make, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make()
    assert str(error.value).count("\n") == 0
