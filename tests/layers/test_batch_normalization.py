"""BatchNormalization against its equation in float64, and against Keras' own layer."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import BatchNormalization, RecurrentResidual
from tests.gradients import JIT, gradients

BACKEND = keras.backend.backend()


def filled(layer, shape):
    with keras_private.values_given_later():
        if not layer.built:
            layer.build(shape)
        rng = np.random.default_rng(1)
        for weight in layer.weights:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return layer


def weights(layer):
    return [ops.convert_to_numpy(weight) for weight in layer.weights]


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    offset=st.floats(-100, 100),
    epsilon=st.sampled_from([1e-5, 1e-3]),
    momentum=st.sampled_from([0.0, 0.9]),
    center=st.booleans(),
    scale=st.booleans(),
)
def test_it_is_its_equation(shape, offset, epsilon, momentum, center, scale):
    shape = (*shape, 6)
    layer = BatchNormalization(epsilon=epsilon, momentum=momentum, center=center, scale=scale)
    filled(layer, shape)
    moving = [ops.convert_to_numpy(w) for w in (layer.moving_mean, layer.moving_variance)]
    x = np.random.default_rng(0).normal(offset, 2.0, shape).astype("float32")
    rows = x.astype("float64").reshape(-1, 6)
    statistics = rows.mean(0), rows.var(0)
    want = (x - statistics[0]) / np.sqrt(statistics[1] + epsilon)
    if scale:
        want = want * ops.convert_to_numpy(layer.gamma)
    if center:
        want = want + ops.convert_to_numpy(layer.beta)
    y = ops.convert_to_numpy(layer(x, training=True))
    if BACKEND == "jax" and abs(offset) > 10:
        # Keras' x · γ/√(σ² + ε) + (β − μ · γ/√(σ² + ε)) cancels.
        atol = 1e-2
    elif len(rows) > 1:
        # Of values near 100 float32 keeps 1e-5, and the smallest deviation is a tenth of 2.
        atol = 2e-4 * max(1.0, abs(offset))
    else:
        # One value a feature: what the mean was rounded by is divided by √ε.
        atol = 1e-5 * max(1.0, abs(offset)) / np.sqrt(epsilon)
    np.testing.assert_allclose(y, want, atol=atol)
    for weight, before, value in zip(
        (layer.moving_mean, layer.moving_variance), moving, statistics, strict=True
    ):
        want = momentum * before + (1 - momentum) * value
        got = ops.convert_to_numpy(weight)
        np.testing.assert_allclose(got, want, atol=1e-5 * max(1.0, abs(offset)), rtol=1e-4)


PLAIN = {"center": False, "scale": False}


@pytest.mark.parametrize(
    ("options", "shape", "jit"),
    [
        # Every rank and every option, at the last axis and before it.
        ({}, (7, 4), False),
        ({}, (7, 5, 3, 4), True),
        (PLAIN, (7, 3, 4), False),
        (PLAIN, (7, 5, 3, 4), False),
        ({}, (4, 2, 3, 2, 4), False),
        ({"axis": 1}, (7, 3, 4), False),
        ({"axis": 1}, (7, 5, 3, 4), True),
        ({"axis": 1, "scale": False}, (4, 2, 3, 2, 4), False),
    ],
    ids=str,
)
def test_values_gradients_and_averages_are_those_of_keras(options, shape, jit):
    x = np.random.default_rng(0).normal(1.0, 2.0, shape).astype("float32")
    found = []
    for layers in (BatchNormalization, keras.layers.BatchNormalization):
        layer = filled(layers(epsilon=1e-5, momentum=0.5, **options), shape)
        y, grads = gradients(
            lambda x, layer=layer: layer(x, training=True), layer.trainable_variables, x, jit
        )
        if BACKEND == "jax":
            # Its gradients are taken in a scope that keeps no averages.
            layer(x, training=True)
        found.append([y, *grads, *weights(layer)])
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def operations(layer, x):
    """The kinds of TensorFlow's operations in a training step's forward pass."""
    import tensorflow as tf

    graph = tf.function(lambda x: layer(x, training=True)).get_concrete_function(x).graph
    return {operation.type for operation in graph.get_operations()}


def test_fused_on_tensorflow_and_pytorch():
    """That the test above does not compare Keras with itself."""
    layer = filled(BatchNormalization(), (2, 3, 3, 4))
    x = np.ones((2, 3, 3, 4), "float32")
    if BACKEND == "tensorflow":
        assert "FusedBatchNormV3" in operations(layer, x)
        for other in ({"synchronized": True}, {"dtype": "float64"}):
            layer = filled(BatchNormalization(**other), (2, 3, 3, 4))
            assert "FusedBatchNormV3" not in operations(layer, x)
    elif BACKEND == "torch":
        x = ops.convert_to_tensor(x).requires_grad_()
        seen, edges = set(), [layer(x, training=True).grad_fn]
        while edges:
            node = edges.pop()
            seen.add(type(node).__name__)
            edges += [node for node, _ in node.next_functions if node is not None]
        assert "NativeBatchNormBackward0" in seen
    else:
        pytest.skip("JAX has no function of its own for it")


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({}, {"training": False}),
        ({"trainable": False}, {"training": True}),
        ({"renorm": True}, {"training": True}),
        ({}, {"training": True, "mask": np.array([[True, False, True], [True, True, False]])}),
    ],
    ids=["inference", "frozen", "renorm", "mask"],
)
def test_what_only_keras_does_is_done_by_keras(options, call):
    x = np.random.default_rng(0).normal(1.0, 2.0, (2, 3, 4)).astype("float32")
    found = []
    for layers in (BatchNormalization, keras.layers.BatchNormalization):
        layer = filled(layers(**options), x.shape)
        found.append([ops.convert_to_numpy(layer(x, **call)), *weights(layer)])
    for got, want in zip(*found, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("deviation", [0.0, 0.02, 1.0])
def test_a_large_mean_cancels_nothing(deviation, jit):
    """The mean square less the squared mean would have no digit left, and be below 0."""
    if BACKEND == "jax" and jit:
        pytest.importorskip("jax", "0.10.2", "XLA of before rounds Keras' own mean coarsely")
    offset = np.linspace(1, 100, 8)
    x = np.random.default_rng(0).normal(0.0, 1.0, (64, 6, 6, 8)) * deviation + offset
    x = x.astype("float32")
    layer = BatchNormalization(epsilon=1e-5, momentum=0.0)
    layer.build(x.shape)
    y, _ = gradients(lambda x: layer(x, training=True), [], x, jit)
    if BACKEND == "jax":
        layer(x, training=True)
    wide = x.astype("float64")
    variance = wide.var((0, 1, 2))
    want = (wide - wide.mean((0, 1, 2))) / np.sqrt(variance + 1e-5)
    # Rounding the mean to float32 moves all of them.
    rounding = 4 * np.spacing(np.float32(100))
    atol = 1e-5 + rounding / np.sqrt(variance + 1e-5).min()
    np.testing.assert_allclose(y, want, atol=atol)
    found = ops.convert_to_numpy(layer.moving_variance)
    np.testing.assert_allclose(found, variance, rtol=1e-3, atol=rounding**2)
    assert (found >= 0).all()


def test_shapes_unknown_while_traced():
    if BACKEND != "tensorflow":
        pytest.skip("TensorFlow's alone")
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(4, 3, 2, 5)).astype("float32")
    want = ops.convert_to_numpy(BatchNormalization()(x, training=True))
    for shape in ([None] * 4, [None, None, None, 5]):
        layer = filled(BatchNormalization(gamma_initializer="ones"), x.shape)
        for weight, value in zip(layer.weights, (1, 0, 0, 1), strict=True):
            weight.assign(np.full(5, value))
        traced = tf.function(
            lambda x, layer=layer: layer(x, training=True), [tf.TensorSpec(shape, "float32")]
        )
        np.testing.assert_allclose(traced(x), want, atol=1e-5)
    assert BatchNormalization()(np.zeros((2, 4, 0), "float32"), training=True).shape == (2, 4, 0)


def test_a_batch_of_one_value():
    layer = filled(BatchNormalization(momentum=0.5), (1, 3))
    y = layer(np.full((1, 3), 7.0, "float32"), training=True)
    want = ops.convert_to_numpy(layer.beta)
    np.testing.assert_allclose(ops.convert_to_numpy(y)[0], want, rtol=1e-4)
    assert np.isfinite(np.concatenate(weights(layer))).all()


def test_mixed_precision_trains_with_averages_of_float32():
    x = np.random.default_rng(0).normal(1.0, 2.0, (64, 4)).astype("float32")
    layer = BatchNormalization(momentum=0.0, dtype="mixed_bfloat16")
    y = layer(ops.cast(x, "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"
    rounded = ops.convert_to_numpy(ops.cast(ops.cast(x, "bfloat16"), "float32"))
    mean = ops.convert_to_numpy(layer.moving_mean)
    np.testing.assert_allclose(mean, rounded.mean(0), rtol=1e-5)
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def test_weight_files_are_those_of_keras_layers(tmp_path):
    def model(layers):
        return keras.Sequential([keras.Input((5, 4)), layers(name="norm")])

    ours, theirs = model(BatchNormalization), model(keras.layers.BatchNormalization)
    for source, other in ((theirs, ours), (ours, theirs)):
        for weight in source.weights:
            weight.assign(np.random.default_rng().uniform(0.5, 1.5, weight.shape))
        source.save_weights(tmp_path / "a.weights.h5")
        other.load_weights(tmp_path / "a.weights.h5")
        for got, want in zip(weights(other), weights(source), strict=True):
            np.testing.assert_array_equal(got, want)


def test_in_a_recurrent_block_its_averages_follow_every_step():
    x = np.random.default_rng(0).normal(1.0, 2.0, (16, 4)).astype("float32")
    found = []
    for layers in (BatchNormalization, keras.layers.BatchNormalization):
        norm = layers(momentum=0.5, name="norm")
        branch = keras.Sequential([norm, keras.layers.Activation("tanh")])
        block = RecurrentResidual(branch, steps=3)
        block.build(x.shape)
        y = block(x, training=True)
        found.append([ops.convert_to_numpy(y), *weights(norm)])
    for got, want in zip(*found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
