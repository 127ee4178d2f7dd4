"""Conv3dSubstitute against its equation, and against Keras' own three-dimensional convolution."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import Conv3dSubstitute
from keras_recres.layers.conv3d_substitute import FORMS
from tests.gradients import JIT, computed, gradients
from tests.marks import slow_on


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


def in_all_forms(shape, *args, **kwargs):
    """The same layer in every form, and a model that gives what each of them makes of an image."""
    kernel = bias = None
    made = []
    with keras_private.values_given_later():
        for form in FORMS:
            layer = Conv3dSubstitute(*args, form=form, **kwargs)
            layer.build(shape)
            if kernel is None:
                kernel, bias = random(*layer.kernel.shape), random(*layer.bias.shape, seed=1)
            layer.set_weights([kernel, bias])
            made.append(layer)
    inputs = keras.Input((None, None, shape[-1]))
    return made, keras.Model(inputs, [layer(inputs) for layer in made])


def assert_all_give(want, layers, model, x):
    """Eagerly, and in a compiled graph, where backends rewrite convolutions."""
    for layer, got in zip(layers, computed(model, x), strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5, err_msg=layer.form)
        assert layer.compute_output_shape(x.shape) == want.shape
    for layer, got in zip(layers, model.predict_on_batch(x), strict=True):
        np.testing.assert_allclose(got, want, atol=2e-5, err_msg=layer.form)


@pytest.mark.parametrize(
    ("kernel_size", "volume_channels", "filters", "padding"),
    [
        (3, 1, 2, "valid_depth"),
        (3, 4, 3, "same"),
        ((2, 3, 1), 2, 4, "same"),
        ((6, 2, 2), 1, 1, "same"),
        ((6, 2, 2), 1, 1, "valid_depth"),
        ((1, 3, 3), 3, 2, "valid_depth"),
    ],
)
def test_it_computes_the_equation(kernel_size, volume_channels, filters, padding):
    x = random(2, 5, 4, 12)
    layers, model = in_all_forms(x.shape, filters, kernel_size, volume_channels, padding=padding)
    kernel, bias = map(to_numpy, layers[0].weights)
    assert_all_give(reference(x, kernel, bias, padding), layers, model, x)


@pytest.mark.parametrize(
    ("strides", "kernel_size", "plane", "padding"),
    [
        (2, 3, (6, 5), "same"),
        ((1, 2), (2, 3, 4), (5, 8), "valid_depth"),
        ((3, 2), (3, 1, 2), (8, 7), "same"),
    ],
)
def test_strides_and_activation_are_those_of_conv2d(strides, kernel_size, plane, padding):
    x = random(2, *plane, 8)
    layers, model = in_all_forms(
        x.shape, 3, kernel_size, 2, padding=padding, strides=strides, activation="tanh"
    )
    # The equivalent two-dimensional convolution, its kernel filled in entry by entry.
    kernel, bias = map(to_numpy, layers[0].weights)
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
    with keras_private.values_given_later():
        conv.build(x.shape)
        conv.set_weights([plain, np.repeat(bias, out)])
    assert_all_give(computed(conv, x), layers, model, x)


def test_the_volume_is_that_of_keras_conv3d():
    x = random(2, 5, 4, 12)
    layers, model = in_all_forms(x.shape, 3, 3, 2, unfold=False)
    conv = keras.layers.Conv3D(3, 3, padding="same", data_format="channels_last")
    volume = np.transpose(x.reshape(2, 5, 4, 2, 6), (0, 4, 1, 2, 3))
    with keras_private.values_given_later():
        conv.build(volume.shape)
        conv.set_weights(layers[0].get_weights())
    assert_all_give(computed(conv, volume), layers, model, x)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("padding", ["same", "valid_depth"])
def test_it_has_the_gradients_of_keras_conv3d(padding, jit):
    x = random(2, 5, 4, 12)
    layers, _ = in_all_forms(x.shape, 3, 3, 2, padding=padding)
    conv = keras.layers.Conv3D(3, 3, padding="same", data_format="channels_last")
    with keras_private.values_given_later():
        conv.build((None, 6, 5, 4, 2))
        conv.set_weights(layers[0].get_weights())

    def folded(x):
        y = ops.transpose(ops.reshape(x, (2, 5, 4, 2, 6)), (0, 4, 1, 2, 3))
        y = ops.transpose(conv(y), (0, 2, 3, 4, 1))
        if padding == "valid_depth":
            y = y[..., 1:-1]
        return ops.reshape(y, (2, 5, 4, -1))

    def of_all_forms(x):
        # An input for each: what one form sends back must not be made up for by another.
        return ops.concatenate([f(part) for f, part in zip(layers, ops.split(x, 4), strict=True)])

    many = np.concatenate([x] * len(FORMS))
    weights = [weight for layer in layers for weight in layer.weights]
    y, got = gradients(of_all_forms, weights, many, jit=jit)
    # The cotangents differ from form to form, and with them the gradients.
    want_y, want = gradients(
        lambda x: ops.concatenate([folded(part) for part in ops.split(x, 4)]), conv.weights, many
    )
    np.testing.assert_allclose(y, want_y, atol=1e-5)
    np.testing.assert_allclose(got[-1], want[-1], rtol=1e-4, atol=1e-4)
    for i in range(2):
        np.testing.assert_allclose(sum(got[i:-1:2]), want[i], rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("filters", "volume_channels", "channels", "count", "maps"),
    # The three-dimensional convolutions of the small, medium (both) and residual networks.
    [(2, 1, 16, 56, 32), (8, 4, 64, 872, 128), (16, 8, 128, 3472, 256), (4, 4, 32, 436, 32)],
)
def test_it_has_the_published_number_of_parameters(filters, volume_channels, channels, count, maps):
    layer = Conv3dSubstitute(filters, 3, volume_channels)
    with keras_private.values_given_later():
        layer.build((None, 8, 8, channels))
        layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    assert layer.count_params() == count
    assert layer.compute_output_shape((None, 8, 8, channels)) == (None, 8, 8, maps)


def test_valid_depth_follows_the_formula_of_the_paper():
    channels, filters, h, w = 12, 3, 3, 5
    for u in range(1, channels + 1):
        layer = Conv3dSubstitute(filters, (u, h, w), padding="valid_depth")
        with keras_private.values_given_later():
            layer.build((None, 8, 8, channels))
            layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
        maps = layer.compute_output_shape((None, 8, 8, channels))[-1]
        assert maps == (channels - u + 1) * filters
        assert layer.count_params() == (h * w * u + 1) * filters
        assert Conv3dSubstitute.depth_for(maps, channels, filters) == u


@pytest.mark.neutral
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


@slow_on("jax", "tensorflow")
def test_it_learns_in_fit():
    inputs = keras.Input((6, 6, 4))
    x = Conv3dSubstitute(2, 3, 1, unfold=False)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.MaxPooling3D((1, 2, 2))(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    # Compiling takes TensorFlow longer than training.
    jit = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit)
    images = random(32, 6, 6, 4)
    target = 5 * images.mean(axis=(1, 2, 3))[:, None]
    losses = model.fit(images, target, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.neutral
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
