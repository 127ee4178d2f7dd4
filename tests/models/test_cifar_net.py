"""The CIFAR-10 networks: counts to the unit, and the logits of the paper's networks."""

import functools
import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import MetaDense, MetaLayer
from keras_recres.models import cifar_net
from tests.gradients import computed
from tests.marks import slow_on, slow_on_tensorflow
from tests.models.cifar_numpy import Net

VARIANTS = ("conv2d", "conv3d", "meta", "metahead")
COUNTS = {
    "small": (88_170, 83_526, 84_126, 26_750),
    "medium": (357_265, 176_761, 187_433, 292_961),
    "residual": (1_573_902, 846_222, 931_086, 1_516_766),
}
# Whose parts another case has: PyTorch, which compiles nothing, compares them.
TWICE = {("medium", "conv2d"), ("medium", "conv3d")}
CASES = [
    pytest.param(
        size,
        variant,
        "published",
        # The other two have the residual bodies that differ.
        marks=[pytest.mark.neutral, pytest.mark.slow]
        if size == "residual" and "conv" in variant
        else [slow_on("jax", "tensorflow")] * (size == "residual" or (size, variant) in TWICE),
    )
    for size in COUNTS
    for variant in VARIANTS
]
CASES.append(("medium", "meta", "grouped"))


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@functools.cache
def network(*args, **kwargs):
    """A network with random weights, built once for all tests that read it."""
    with keras_private.values_given_later():
        model = cifar_net(*args, **kwargs)
        randomize(model)
    return model


def logits(model, x):
    return computed(model, x, training=False).astype("float64")


def randomize(model):
    """Weights of which none can hide; no layer grows or shrinks the signal much."""
    rng = np.random.default_rng(5)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif weight.name == "alpha":
            value = rng.uniform(0.1, 0.9, shape)
        elif weight.name == "kernel":
            value = rng.normal(size=shape) / math.sqrt(math.prod(shape[:-1]))
        else:
            value = rng.normal(size=shape) * 0.3
        weight.assign(value)


def assert_equals_numpy(model, x, *case, **options):
    want = Net(model, *case, **options)(x)
    error = np.abs(logits(model, x) - want).max()
    assert error <= 1e-5 * np.abs(want).max()
    return want


@pytest.mark.parametrize(("size", "variant", "layout"), CASES)
def test_equals_the_numpy_reference(size, variant, layout):
    model = network(size, variant, layout)
    assert trainable(model) == COUNTS[size][VARIANTS.index(variant)]
    # Batches of 2 everywhere: JAX compiles each operation for each shape, and the zoo's have 2.
    x = images(2, 32, 32, 3)
    want = assert_equals_numpy(model, x, size, variant, layout)
    if (size, variant) == ("medium", "meta"):
        other = {"published": "grouped", "grouped": "published"}[layout]
        wrong = Net(model, size, variant, other)(x)
        assert np.abs(want - wrong).max() > 0.01 * np.abs(want).max()


def dropouts(model):
    """(layer, rate) of all that drop something in training, in the order of the network."""
    found = []
    for layer in model.layers:
        rate = layer.dense.dropout if isinstance(layer, MetaDense) else getattr(layer, "rate", 0)
        if rate:
            found.append((layer.name, rate))
    return found


@pytest.mark.slow
@pytest.mark.neutral
def test_what_is_dropped():
    stem = [("drop1", 0.1)]
    dense, grouped = [("dense_dropout", 0.2)], [("meta_dense", 0.1)]
    residual = [(f"block{i}_{j}_drop", 0.1) for i in (1, 2) for j in range(16)]
    maps = {
        "small": [("drop2", 0.1)],
        "medium": [("drop2", 0.1), ("drop3", 0.1)],
        "residual": residual,
    }
    for size in COUNTS:
        assert dropouts(network(size, "conv2d", "published")) == [*stem, *maps[size], *dense]
        metahead = network(size, "metahead", "published")
        assert dropouts(metahead) == [*stem, *maps[size], *grouped]
        kept = residual if size == "residual" else []
        for variant in ("conv3d", "meta"):
            model = network(size, variant, "published")
            assert dropouts(model) == [*stem, *kept, *dense]


def test_equals_the_numpy_reference_on_other_images():
    model = network("medium", "meta", input_shape=(16, 28, 1), num_classes=4)
    assert_equals_numpy(model, images(2, 16, 28, 1), "medium", "meta")


def norms(model):
    kind = keras.layers.BatchNormalization
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("size", "variant", "count"), [("small", "meta", 3), ("medium", "conv3d", 6)]
)
def test_norms_forget_a_tenth_a_batch(size, variant, count):
    """As the paper's, PyTorch's default: Keras' forgets a hundredth."""
    found = norms(network(size, variant, "published"))
    assert len(found) == count
    assert {(norm.momentum, norm.epsilon) for norm in found} == {(0.9, 1e-5)}


@pytest.mark.parametrize("variant", ["meta", "metahead"])
def test_softmax_is_that_of_every_meta_layer(variant):
    model = network("small", variant, meta_softmax=True)
    assert_equals_numpy(model, images(2, 32, 32, 3), "small", variant, softmax=True)


@functools.cache
def fresh(size, variant):
    """A network with its initial values, which no test changes."""
    keras.utils.set_random_seed(1)
    return cifar_net(size, variant)


def meta_layers(model):
    return [layer for layer in model._flatten_layers() if isinstance(layer, MetaLayer)]


def test_meta_initializer_is_that_of_every_meta_layer_and_each_has_values_of_its_own():
    initializer = keras.initializers.RandomUniform(5.0, 6.0)
    # What is read is computed all the same, and the rest doesn't matter.
    with keras_private.values_given_later():
        model = cifar_net("medium", "meta", meta_initializer=initializer)
        kernels = [ops.convert_to_numpy(layer.kernel) for layer in meta_layers(model)]
        randomize(model)
    assert len(kernels) == 2
    assert all(kernel.min() >= 5 and kernel.max() <= 6 for kernel in kernels)
    assert len({kernel[:8, :16].tobytes() for kernel in kernels}) == 2


@slow_on("jax")
def test_meta_layers_begin_with_unit_variance():
    kernels = [layer.kernel for layer in meta_layers(fresh("medium", "meta"))]
    assert len(kernels) == 2
    values = np.concatenate([ops.convert_to_numpy(kernel).ravel() for kernel in kernels])
    assert abs(values.mean()) < 0.1
    assert abs(values.std() - 1) < 0.1


@slow_on("jax")
@pytest.mark.parametrize(
    ("variant", "name", "fan_in"),
    [
        ("conv2d", "conv2", 9 * 6),
        ("conv2d", "dense", 2048),
        ("conv3d", "conv3", 27),
        ("meta", "conv3", 9 * 4),
        ("metahead", "meta_dense", 512),
        ("metahead", "head", 40),
    ],
)
def test_kernels_and_biases_begin_uniform_within_the_fan_in(variant, name, fan_in):
    layer = fresh("small", variant).get_layer(name)
    layer = getattr(layer, "dense", layer)
    bound = 1 / math.sqrt(fan_in)
    kernel, bias = ops.convert_to_numpy(layer.kernel), ops.convert_to_numpy(layer.bias)
    assert 0.8 * bound < np.abs(kernel).max() <= bound * 1.000001
    assert 0 < np.abs(bias).max() <= bound * 1.000001


def test_slopes_and_norms_begin_as_in_the_paper():
    for weight in fresh("medium", "meta").weights:
        value = {"alpha": 0.25, "gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}
        if weight.name in value:
            np.testing.assert_array_equal(ops.convert_to_numpy(weight), value[weight.name])


@pytest.mark.parametrize(
    ("arguments", "groups", "outputs", "units"),
    [
        ({"head_groups": 32}, 32, 32, 10),
        ({"head_outputs": 5}, 4, 5, 10),
        ({"head_groups": 8, "head_units": 5}, 8, 8, 5),
    ],
)
def test_sizes_of_the_meta_head(arguments, groups, outputs, units):
    model = network("small", "metahead", **arguments)
    body = COUNTS["small"][0] - 81_961 - 410
    head = 2048 * units + (units + 1) * groups + groups * outputs + 1
    assert trainable(model) == body + head + 10 * (units * outputs + 1)


@pytest.mark.parametrize(("size", "features"), [("small", 40), ("medium", 64)])
def test_features_only(size, features):
    for variant in VARIANTS if size == "small" else ("metahead",):
        model = network(size, variant, features_only=True)
        assert model.output_shape == (None, features)


def test_classifier_activation():
    model = network(classifier_activation="softmax", num_classes=7, name="mine")
    assert model.name == "mine"
    np.testing.assert_allclose(logits(model, images(2, 32, 32, 3)).sum(axis=1), 1, atol=1e-5)


def test_images_are_channels_last_whatever_the_global_format():
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        model = network("medium", "meta", name="channels_first")
    finally:
        keras.config.set_image_data_format(before)
    assert_equals_numpy(model, images(2, 32, 32, 3), "medium", "meta")


@slow_on("jax")
@slow_on_tensorflow
def test_trains_in_mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = cifar_net("small", "meta", input_shape=(16, 16, 3))
    finally:
        keras.config.set_dtype_policy(before)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Compiling takes TensorFlow three times as long as the rest.
    model.compile("adam", loss, jit_compile=keras.backend.backend() == "jax")
    old = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    loss = model.train_on_batch(images(4, 16, 16, 3), np.arange(4))
    assert np.isfinite(loss)
    for value, weight in zip(old, model.trainable_weights, strict=True):
        assert np.any(value != ops.convert_to_numpy(weight)), weight.path


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "large"}, "`size` must be one of 'small', 'medium', 'residual', but it is"),
        ({"variant": "conv"}, "`variant` must be one of 'conv2d', "),
        ({"layout": "channels"}, "`layout` must be one of 'published', 'grouped', but it is"),
        ({"num_classes": 0}, "`num_classes` must be an integer of at least 1, but it is 0."),
        ({"input_shape": (32, 32)}, "`input_shape` must be (height, width, channels), but it is"),
        ({"input_shape": (8, 32, 3)}, "sides of at least 16 pixels, but it is (8, 32, 3)."),
        ({"input_shape": (None, 32, 3)}, "sides of at least 16 pixels"),
        ({"input_shape": (32, 32, 0)}, "`input_shape[2]` must be an integer of at least 1"),
        ({"meta_softmax": True}, "`meta_softmax` is for the variants 'meta' and 'metahead'"),
        ({"meta_initializer": "ones"}, "`meta_initializer` is for the variants"),
        ({"head_groups": 4}, "`head_groups` is for the variant 'metahead', but it is 4 and"),
        ({"variant": "meta", "head_outputs": 4}, "`head_outputs` is for the variant 'metahead'"),
        ({"variant": "metahead", "head_units": 0}, "`head_units` must be an integer of at least"),
        ({"variant": "metahead", "head_groups": 3}, "`head_groups` must divide the 2048 features"),
    ],
)
def test_wrong_arguments_are_told_in_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        cifar_net(**arguments)
    assert str(error.value).count(". ") == 0
