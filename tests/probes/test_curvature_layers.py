"""Every layer of the zoo through every method; what frameworks differentiate wrongly."""

import threading

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import layers as own
from keras_recres import zoo
from keras_recres.models.families import family_of
from keras_recres.probes import curves, extrinsic_curvature, tracing
from keras_recres.probes.recorder import Recorder
from tests.marks import slow_on_tensorflow

BACKEND = keras.backend.backend()
# Tracing derivatives of derivatives takes TensorFlow half a minute for some models, and most of it
# where they are forward ones, which are not its default.
SLOW_THERE = [slow_on_tensorflow, pytest.mark.tensorflow]
METHODS = [pytest.param("forward", marks=SLOW_THERE)]
if BACKEND == "tensorflow":
    METHODS.append("tape")
THETA = np.linspace(0.1, 5.0, 3)


def shaken(model, seed=0):
    """The model with weights off their initial zeros and ones."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            value = ops.convert_to_numpy(weight)
            weight.assign(value + 0.2 * np.abs(rng.normal(size=value.shape)))
    return model


def ellipse(shape, seed=1):
    rng = np.random.default_rng(seed)
    return curves.ellipse(0.3 * rng.normal(size=shape), *rng.normal(size=(2, *shape)))


def chain(shape, *parts):
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    return shaken(keras.Model(inputs, x))


class SelfAttention(layers.MultiHeadAttention):
    """As a layer of one input."""

    def build(self, input_shape):
        super().build(input_shape, input_shape)

    def call(self, inputs):
        return super().call(inputs, inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape)


def dense_branch(units):
    return keras.Sequential([layers.LayerNormalization(), layers.Dense(units, activation="tanh")])


def images():
    inputs = x = keras.Input((11, 11, 3))
    x = layers.ZeroPadding2D()(layers.Rescaling(0.5)(x))
    x = layers.Conv2D(4, 3, activation="tanh")(x)
    x = layers.BatchNormalization()(x)
    y = own.Conv3dSubstitute(2, 3, volume_channels=2, activation="tanh")(x)
    y = layers.SpatialDropout2D(0.3)(y)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(y)])
    x = layers.Resizing(7, 7)(x)
    x = layers.MaxPooling2D(2, padding="same")(x)
    y = own.MetaConv2D(4, 3, groups=2, pool_size=None, flatten=False)(x)
    x = layers.Maximum()([x, layers.Reshape((4, 4, 4))(y)])
    x = layers.PReLU(shared_axes=(1, 2))(x)
    x = layers.AveragePooling2D(2, strides=1, padding="same")(x)
    y = layers.GlobalAveragePooling2D()(x)
    x = layers.AdaptiveAveragePooling2D(2)(x)
    x = layers.Permute((3, 1, 2))(x)
    x = layers.AveragePooling1D(2)(layers.Reshape((4, 4))(x))
    x = layers.Concatenate()([layers.Flatten()(x), y])
    return shaken(keras.Model(inputs, x))


def volumes():
    inputs = x = keras.Input((4, 4, 4, 2))
    x = layers.Conv3D(3, 3, padding="same", activation="tanh")(x)
    return shaken(keras.Model(inputs, layers.GlobalAveragePooling3D()(x)))


# All layers in a few models: compiling them one by one would take minutes.
MODELS = {
    "vectors": lambda: chain(
        (8,),
        layers.Dense(8, activation="gelu"),
        layers.LayerNormalization(),
        own.RecurrentResidual(layers.Dense(8, activation="tanh"), steps=2, backprop_steps=1),
        own.RecurrentResidual(dense_branch(8), steps=2, loop="scan", unshare=("norm",), remat=True),
        layers.Dropout(0.3),
        own.GroupedDense(3, 4, activation="prelu"),
        layers.Reshape((12,)),
        layers.PReLU(),
        layers.Softmax(),
        own.MetaDense(4, 3),
        own.MetaLayer(2),
        layers.Activation("silu"),
    ),
    "tokens": lambda: chain(
        (4, 6),
        layers.GroupNormalization(2),
        SelfAttention(2, 3),
        own.TransformerBlock(2, drop_path=0.1, dropout=0.1),
        own.ClassToken(),
        own.SinusoidPosition(),
    ),
    "images": images,
    "volumes": volumes,
    "line": lambda: chain(
        (9, 9, 2),
        own.Highway(layers.Conv2D(2, 3, padding="same", activation="tanh")),
        own.SCell(3, 3),
        own.CCell(3),
        own.CeilMaxPooling2D(2),
        layers.Flatten(),
    ),
    "theory": lambda: chain(
        (6,),
        own.RRN(6, sigma_w_sq=0.5),
        own.FRN(6, sigma_w_sq=0.5),
        # All positive: at the kink no derivative is right.
        layers.Rescaling(1.0, offset=30.0),
        own.AlphaReLU(0.8),
    ),
    "cells": lambda: chain(
        (5, 2),
        layers.Conv1D(4, 3, padding="same", activation="silu"),
        layers.UnitNormalization(),
        layers.Rescaling(2.0, offset=30.0),
        # All positive: at the kink no derivative is right.
        layers.ReLU(),
    ),
    "classics": lambda: chain(
        (11, 11, 3),
        own.LocalResponseNormalization(3, alpha=0.1),
        own.CeilMaxPooling2D(3, 2),
        own.PartialConv2D([(0, 1), (1, 2), (0, 1, 2)], 2, activation="tanh"),
        own.TrainableSubsampling2D(2, "tanh"),
        layers.Flatten(),
        own.RBFOutput(np.resize([1, -1, -1, 1, 1], (4, 12))),
    ),
    # With a SoftSplit and a TokenPerformer.
    "t2t": lambda: chain((16, 16, 1), own.TokensToToken(6, token_dim=4)),
}


@pytest.fixture(scope="module")
def measured(request):
    """A model, a curve, and what differences say."""
    keras.utils.set_random_seed(0)
    model = MODELS[request.param]()
    curve = ellipse(model.input_shape[1:])
    return model, curve, extrinsic_curvature(model, curve, THETA, method="finite")


def measured_models(marks):
    """All models, with marks for those that take long."""
    params = [
        pytest.param(name, marks=[] if name in ("theory", "volumes") else marks) for name in MODELS
    ]
    return pytest.mark.parametrize("measured", params, indirect=True, scope="module")


@measured_models(SLOW_THERE)
@pytest.mark.parametrize("method", METHODS)
def test_derivatives_and_differences_agree_on_every_layer(measured, method):
    model, curve, want = measured
    record = extrinsic_curvature(model, curve, THETA, method=method, dtype="float64", check=False)
    assert record.rows == want.rows
    # Differences are good to this: 1e-16 / step², over κ.
    np.testing.assert_allclose(record.kappa, want.kappa, rtol=1e-5)
    np.testing.assert_allclose(record.speed, want.speed, rtol=1e-7)


# The test above compares the same derivatives in float64, which says more.
@measured_models([pytest.mark.slow])
def test_float32_and_the_check_pass_on_every_layer(measured):
    model, curve, want = measured
    record = extrinsic_curvature(model, curve, THETA)
    assert record.dtype == "float32"
    error = np.abs(record.kappa / want.kappa - 1)
    # Rounding to float32 is magnified by a layer's own condition.
    assert error.max() < 3e-4
    assert np.median(error) < 1e-5


@pytest.mark.slow
def test_every_layer_of_the_zoo_is_among_them():
    covered = {type(layer) for build in MODELS.values() for layer in build()._flatten_layers()}
    # The smallest of each kind: the others differ in numbers.
    kinds = {
        (r.builder, *((k, v) for k, v in sorted(r.arguments.items()) if isinstance(v, str))): r
        for r in sorted(zoo.list(), key=lambda r: -r.parameters.total)
        if "own" in family_of(r.builder).weights
    }
    for record in kinds.values():
        model = zoo.load(record.name, weights=None)
        if any(isinstance(layer, keras.layers.RNN) for layer in model._flatten_layers()):
            continue  # Curves through words and sequences have no case.
        missing = {type(layer) for layer in model._flatten_layers()} - covered - {type(model)}
        assert not missing, f"{record.name} has {missing}, which no model above has"


class StoppedGradient(layers.Layer):
    """x² with a gradient that is stopped in the field's usual way."""

    def call(self, inputs):
        return inputs * ops.stop_gradient(inputs)


class OwnGradient(layers.Layer):
    """x² with the gradient of x, as straight-through estimators have it."""

    def call(self, inputs):
        if BACKEND == "jax":
            import jax

            @jax.custom_jvp
            def square(x):
                return x * x

            square.defjvp(lambda x, t: (x[0] * x[0], t[0]))
            return square(inputs)
        if BACKEND == "torch":
            return inputs + (inputs * inputs - inputs).detach()

        @ops.custom_gradient
        def square(x):
            return x * x, lambda upstream: upstream

        return square(inputs)


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_gradient_is_not_stopped(method):
    stopped = chain((3,), StoppedGradient())
    square = chain((3,), layers.Activation(lambda x: x * x))
    curve = ellipse((3,))
    record, want = (extrinsic_curvature(m, curve, THETA, method=method) for m in (stopped, square))
    np.testing.assert_allclose(record.kappa, want.kappa, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_with_a_gradient_of_its_own_is_refused_by_name(method):
    inner = OwnGradient(name="estimator")
    model = chain((3,), layers.Dense(3), own.RecurrentResidual(inner, steps=2, name="block"))
    curve = ellipse((3,))
    if (BACKEND, method) == ("tensorflow", "forward"):
        # This one looks through it.
        record, want = (
            extrinsic_curvature(model, curve, THETA, method=m, dtype="float64")
            for m in (method, "finite")
        )
        np.testing.assert_allclose(record.kappa, want.kappa, rtol=1e-6)
        return
    with pytest.raises(ValueError, match=r"^[^\n]*'block/estimator'[^\n]*other derivatives[^\n]*$"):
        extrinsic_curvature(model, curve, THETA, method=method)
    # What comes before it can be measured.
    extrinsic_curvature(model, curve, THETA, method=method, layers=["dense*"])


@slow_on_tensorflow
def test_examples_that_depend_on_one_another_are_refused():
    class Training(layers.BatchNormalization):
        def call(self, inputs):
            return super().call(inputs, training=True)

    model = chain((3,), layers.Dense(3), Training(name="norm"))
    with pytest.raises(ValueError, match="'norm' has other derivatives"):
        extrinsic_curvature(model, ellipse((3,)), np.linspace(0, 3, 8))


@slow_on_tensorflow
@pytest.mark.tensorflow
def test_layers_inside_loops_are_measured_as_a_whole():
    model = chain((3, 2), layers.SimpleRNN(3, activation="relu", name="rnn"))
    curve = ellipse((3, 2))
    record, other = (
        extrinsic_curvature(model, curve, THETA, method=m, dtype="float64", check=False)
        for m in ("auto", "finite")
    )
    np.testing.assert_allclose(record.kappa, other.kappa, rtol=1e-5)
    with pytest.raises(ValueError, match="inside a loop"):
        extrinsic_curvature(model, curve, THETA, layers=["simple_rnn_cell"])


def test_undefined_numbers_are_refused():
    model = chain((3,), layers.Activation(lambda x: ops.sqrt(x - 100), name="root"))
    with pytest.raises(ValueError, match="'root' are infinite or undefined"):
        extrinsic_curvature(model, ellipse((3,)), THETA)


def test_framework_norms_called_directly_are_right():
    """The functions that are differentiated wrongly, in a layer that goes around Keras."""

    def norm(x):
        if BACKEND == "tensorflow":
            import tensorflow as tf

            mean, variance = tf.nn.moments(x, [-1], keepdims=True)
            return (x - mean) * tf.math.rsqrt(variance + 1e-3)
        if BACKEND == "torch":
            import torch

            y = torch.nn.functional.group_norm(x, 2)
            return torch.nn.functional.layer_norm(y, (6,), eps=1e-3)
        return layers.LayerNormalization()(x)

    model = chain((6,), layers.Activation(norm))
    curve = ellipse((6,))
    record, other = (
        extrinsic_curvature(model, curve, THETA, method=m, check=False, dtype="float64")
        for m in ("auto", "finite")
    )
    np.testing.assert_allclose(record.kappa, other.kappa, rtol=1e-6)


def test_a_layer_that_cannot_be_differentiated_is_named():
    class Rounded(layers.Layer):
        def call(self, inputs):
            # Of values that leave the framework there is no derivative.
            return ops.convert_to_tensor(np.asarray(ops.convert_to_numpy(inputs)))

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape)

    model = chain((3,), layers.Dense(3), layers.Dense(2))
    broken = keras.Sequential([keras.Input((3,)), layers.Dense(3), Rounded(name="rounded")])
    with pytest.raises(ValueError, match=r"^[^\n]*'rounded'[^\n]*$"):
        extrinsic_curvature(broken, ellipse((3,)), THETA)
    # And nothing stays behind of the attempt.
    extrinsic_curvature(model, ellipse((3,)), THETA)


@slow_on_tensorflow
def test_half_precision_models_are_computed_in_float32():
    model = chain((6,), dense_branch(6), layers.Dense(4))
    half = keras.models.clone_model(model)
    policy = keras.DTypePolicy("mixed_bfloat16")
    for layer in half._flatten_layers():
        layer.dtype_policy = policy
    half.set_weights(model.get_weights())
    curve = ellipse((6,))
    record, want = (extrinsic_curvature(m, curve, THETA) for m in (half, model))
    assert record.dtype == "float32"
    np.testing.assert_allclose(record.kappa, want.kappa, rtol=1e-5)
    assert "bfloat16" in str(half(np.zeros((1, 6), "float32")).dtype)


def test_other_threads_and_later_calls_see_the_functions_as_they_were():
    call = layers.Layer.__call__
    wide = keras.backend.result_type("float64", "float32")
    seen = {}

    def elsewhere():
        seen["recorder"] = tracing.current()
        seen["wide"] = keras.backend.result_type("float64", "float32")
        seen["dtype"] = layers.Dense(1).compute_dtype
        _, seen["tangent"] = ops.jvp(
            lambda x: x * ops.stop_gradient(x), (ops.ones(1),), (ops.ones(1),)
        )

    class Error(Exception):
        pass

    with pytest.raises(Error), tracing.scope(Recorder("float64", 1)):  # noqa: PT012
        assert layers.Layer.__call__ is not call
        assert layers.Dense(1).compute_dtype == "float64"
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        raise Error
    assert seen["recorder"] is None
    assert seen["wide"] == wide == keras.backend.result_type("float64", "float32")
    assert seen["dtype"] == "float32" == layers.Dense(1).compute_dtype
    assert float(seen["tangent"][0]) == 1
    assert layers.Layer.__call__ is call
