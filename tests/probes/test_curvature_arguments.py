"""Which rows there are, what is left alone, and what is refused."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import layers as own
from keras_recres.probes import curves, extrinsic_curvature
from tests.marks import slow_on, slow_on_tensorflow

BACKEND = keras.backend.backend()
CIRCLE = curves.circle(1.0)
THETA = CIRCLE.theta(4)


class Subclassed(keras.Model):
    """Shares a layer, has a model inside, and does something after its last layer."""

    def __init__(self):
        super().__init__(name="subclassed")
        self.shared = layers.Dense(3, activation="tanh", name="shared")
        self.inside = keras.Sequential([layers.Dense(3, name="inner")], name="inside")
        self.recurrent = own.RecurrentResidual(
            keras.Sequential([layers.Dense(3, activation="tanh", name="dense")], name="branch"),
            steps=3,
            name="block",
        )

    def call(self, inputs):
        x = ops.concatenate([inputs, inputs[:, :1]], axis=-1)
        x = self.recurrent(self.inside(self.shared(self.shared(x))))
        return ops.square(x)


def rows(model=None, **options):
    return extrinsic_curvature(model or Subclassed(), CIRCLE, THETA, check=False, **options).rows


@slow_on("jax", "tensorflow")
def test_rows_of_a_subclassed_model():
    block = [("block", step) for step in range(3)]
    shared = [("input", None), ("shared", 0), ("shared", 1), ("inside/inner", None)]
    assert rows() == [*shared, *block, ("subclassed", None)]
    assert rows(steps=False) == [*shared, ("block", None), ("subclassed", None)]


def test_a_curve_that_runs_on_no_tensor_is_blamed_itself():
    curve = curves.Curve(lambda t: t + "a", (0, 6), (2,))
    with pytest.raises(ValueError, match=r"`curve` does not run on a tensor .*keras\.ops[^\n]*$"):
        extrinsic_curvature(Subclassed(), curve, THETA)


def test_a_curve_that_cannot_be_differentiated_is_blamed_itself():
    curve = curves.Curve(lambda t: ops.stack([np.cos(t), ops.sin(t)], -1), (0, 6), (2,))
    with pytest.raises(ValueError, match=r"cannot differentiate the curve .*keras\.ops"):
        extrinsic_curvature(layers.Dense(3), curve, THETA)


@pytest.mark.skipif(BACKEND != "torch", reason="the others multiply tensors and NumPy's arrays")
@pytest.mark.parametrize("before", [True, False])
def test_a_curve_s_numpy_constants_are_named(before):
    radii, other = np.array([1.0, 2.0]), 3.0

    def function(t):
        t = ops.stack([ops.cos(t), ops.sin(t)], -1)
        return radii * t * other if before else t * radii * other

    curve = curves.Curve(function, (0, 6), (2,))
    with pytest.raises(ValueError, match=r"and its constants 'radii' tensors by keras\.ops"):
        extrinsic_curvature(layers.Dense(3), curve, THETA)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow takes no such name")
def test_a_name_with_brackets_is_that_layer():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, name="fc[1]")])
    assert rows(model, layers="fc[1]") == [("fc[1]", None)]


@slow_on("jax", "tensorflow")
def test_layers_are_chosen_by_name_path_wildcard_and_object():
    model = Subclassed()
    dense = [("block/branch/dense", step) for step in range(3)]
    assert rows(model, layers="inner") == [("inside/inner", None)]
    assert rows(model, layers=["block/*/dense"]) == dense
    assert rows(model, layers=["input", "d?nse"]) == [("input", None), *dense]
    assert rows(model, layers=[model.shared, "inside"]) == [
        ("shared", 0),
        ("shared", 1),
        ("inside", None),
    ]


@slow_on("jax", "tensorflow")
def test_rows_of_steps_are_the_states_of_the_recurrence():
    inputs = keras.Input((2,))
    block = own.RecurrentResidual(layers.Dense(2, activation="tanh"), steps=3, name="block")
    model = keras.Model(inputs, block(inputs))
    record = extrinsic_curvature(model, CIRCLE, THETA, check=False)
    for steps in (1, 3):
        shorter = keras.Model(inputs, block(inputs, steps=steps))
        other = extrinsic_curvature(shorter, CIRCLE, THETA, check=False)
        np.testing.assert_allclose(record.kappa[steps], other.kappa[-1], rtol=1e-5)


def test_a_single_layer_is_a_model_too():
    assert rows(layers.Dense(3, name="dense")) == [("input", None), ("dense", None)]


@slow_on_tensorflow
def test_changed_weights_and_settings_are_seen():
    inputs = keras.Input((2,))
    block = own.RecurrentResidual(layers.Dense(2, activation="tanh"), steps=2, name="block")
    model = keras.Model(inputs, block(inputs))
    first = extrinsic_curvature(model, CIRCLE, THETA, check=False)
    block.branch.set_weights([2 * w for w in block.branch.get_weights()])
    second = extrinsic_curvature(model, CIRCLE, THETA, check=False)
    assert (np.abs(second.kappa[1:] - first.kappa[1:]) > 1e-3).any()
    block.residual_scale = 0.5
    third = extrinsic_curvature(model, CIRCLE, THETA, check=False)
    assert (np.abs(third.kappa[1:] - second.kappa[1:]) > 1e-3).any()
    assert len(rows(model)) == 3
    block.steps = 4
    assert len(rows(model)) == 5


class Counted(keras.layers.Layer):
    """A dense layer that counts its calls, and squares its outputs if its weights say so."""

    def __init__(self, branches):
        super().__init__()
        # Underscored, or the count would pass for a setting that changes.
        self.branches, self._calls = branches, 0

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 3), initializer="glorot_uniform")

    def call(self, inputs):
        self._calls += 1
        outputs = ops.tanh(ops.matmul(inputs, self.kernel))
        if self.branches and float(ops.sum(self.kernel)) < 0:
            outputs = ops.square(outputs)
        return outputs


@pytest.mark.parametrize(
    "branches",
    [False, pytest.param(True, marks=pytest.mark.skipif(BACKEND != "torch", reason="compiles it"))],
)
def test_what_is_compiled_calls_no_layer_again_and_sees_new_weights(branches):
    layer = Counted(branches)
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.BatchNormalization()])
    layer.set_weights([np.abs(w) for w in layer.get_weights()])
    circle = curves.circle()

    def kappa(curve=circle):
        return extrinsic_curvature(model, curve, THETA, check=False).kappa

    first = [kappa() for _ in range(3)]
    calls = layer._calls
    np.testing.assert_allclose([kappa(), *first[1:]], 3 * [first[0]], rtol=1e-5)
    assert (layer._calls == calls) != branches
    layer.set_weights([-3 * w for w in layer.get_weights()])
    changed = kappa()
    assert np.abs(changed - first[0]).max() > 0.1
    # A curve of its own is measured afresh.
    np.testing.assert_allclose(changed, kappa(curves.circle()), rtol=1e-5)


def test_the_model_is_left_as_it_was():
    inputs = keras.Input((2,))
    x = layers.Dense(4, activity_regularizer="l2")(inputs)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x))
    model = keras.Model(inputs, x)
    x = np.ones((2, 2), "float32")
    want = ops.convert_to_numpy(model(x))
    weights, losses = model.get_weights(), len(model.losses)
    state = [ops.convert_to_numpy(v) for v in model.variables]
    extrinsic_curvature(model, CIRCLE, THETA)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(state, model.variables, strict=True):
        np.testing.assert_array_equal(before, ops.convert_to_numpy(after))
    assert len(model.losses) == losses
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), want)


def test_a_measured_model_is_not_kept_alive():
    model = layers.Dense(3)
    extrinsic_curvature(model, CIRCLE, THETA, check=False)
    alive = weakref.ref(model)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("method", ["auto", "finite"])
def test_parts_of_the_batch_give_the_whole(method):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(9, activation="relu")])
    theta = CIRCLE.theta(23)
    whole, parts = (
        extrinsic_curvature(model, CIRCLE, theta, method=method, batch_size=size)
        for size in (None, 5)
    )
    np.testing.assert_allclose(parts.kappa, whole.kappa, rtol=1e-5)
    np.testing.assert_allclose(parts.speed, whole.speed, rtol=1e-5)
    np.testing.assert_array_equal(parts.kinks, whole.kinks)
    assert whole.kinks[-1] > 5


def test_one_theta_and_several_inputs():
    a, b = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([a, b], layers.Concatenate(name="both")([a, b]))

    def curve(theta):
        circle = CIRCLE(theta)
        return [circle, ops.concatenate([circle, circle[:, :1]], axis=-1)]

    record = extrinsic_curvature(model, curve, [0.0])
    # (cos, sin, cos, sin, cos) at θ = 0: |v|² = 2, a = −(1, 0, 1, 0, 1) ⊥ v.
    np.testing.assert_allclose(record.kappa[-1], np.sqrt(3) / 2, rtol=1e-6)


@slow_on("jax", "tensorflow")
def test_masks_reach_the_layers():
    inputs = keras.Input((3, 2))
    x = layers.Masking()(inputs)
    x = own.RecurrentResidual(layers.Dense(2, activation="tanh"), steps=2)(x)
    pooled = layers.GlobalAveragePooling1D(name="pooled")(x)
    model = keras.Model(inputs, pooled)

    def curve(theta):
        points = CIRCLE(theta)
        return ops.stack([points, ops.zeros_like(points), 2 * points], axis=1)

    def shorter(theta):
        points = CIRCLE(theta)
        return ops.stack([points, 2 * points, ops.zeros_like(points)], axis=1)

    first, second = (extrinsic_curvature(model, c, THETA, check=False) for c in (curve, shorter))
    np.testing.assert_allclose(first.kappa[-1], second.kappa[-1], rtol=1e-5)
    assert (first.kappa[-1] > 0).all()


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow has gradient tapes")
def test_tapes_are_tensorflows():
    with pytest.raises(ValueError, match="'tape' needs the backend tensorflow"):
        rows(method="tape")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"theta": []}, ("`theta`", "(0,)")),
        ({"theta": [[0.0]]}, ("`theta`", "(1, 1)")),
        ({"theta": [0.0, np.nan]}, ("`theta`", "finite")),
        ({"theta": ["a"]}, ("`theta`", "<U1")),
        ({"model": 3}, ("`model`", "3")),
        ({"curve": 3}, ("`curve`", "3")),
        ({"curve": lambda theta: ops.ones((7, 2))}, ("`curve`", "(7, 2)")),
        ({"curve": lambda theta: ops.ones((theta.shape[0], 5))}, ("inputs", "5")),
        ({"method": "frward"}, ("`method`", "'frward'", "'forward'")),
        ({"dtype": "float16"}, ("`dtype`", "'float16'")),
        ({"batch_size": 1}, ("`batch_size`", "1")),
        ({"batch_size": 2.5}, ("`batch_size`", "2.5")),
        ({"layers": []}, ("`layers`", "[]")),
        ({"layers": [3]}, ("`layers`", "3")),
        ({"layers": ["first", "secnd"]}, ("`layers`", "'secnd'", "'second'")),
        ({"layers": ["third"]}, ("'third'", "floating-point")),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(options, words):
    inputs = keras.Input((2,))
    x = layers.Dense(2, name="second")(layers.Dense(2, name="first")(inputs))
    rounded = layers.Activation(lambda x: ops.cast(x, "int32"), name="third")(x)
    arguments = {"model": keras.Model(inputs, [x, rounded]), "curve": CIRCLE, "theta": THETA}
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        extrinsic_curvature(**{**arguments, **options})
    assert all(word in str(refused.value) for word in words), refused.value
