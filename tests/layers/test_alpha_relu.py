"""AlphaReLU: its values, its slopes near zero, what its line costs, and α as a weight."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_recres.layers import AlphaReLU
from keras_recres.layers.alpha_relu import alpha_relu, linear_below
from tests.gradients import gradients
from tests.marks import slow_on_tensorflow

ALPHAS = (0.1, 0.5, 0.6, 0.75, 0.999, 1.0)
DTYPES = ["float32", "bfloat16"]
if keras.backend.backend() != "jax":
    DTYPES.append("float64")
EDGES = [0.0, -0.0, 1e-45, -1e-45, 1e-40, 1.2e-38, 1e-30, 1e-12, 5e-3, 1.0, 3e38, -3e38]


def reference(x, alpha, max_slope=100.0):
    """min(x^α, M·x) and its slope, in float64."""
    x = np.asarray(x, "float64")
    positive = np.where(x > 0, x, 1.0)
    power = positive**alpha
    straight = max_slope * positive < power if alpha < 1 else np.zeros(x.shape, bool)
    value = np.where(straight, max_slope * positive, power)
    slope = np.where(straight, max_slope, alpha * power / positive)
    return np.where(x > 0, value, 0.0), np.where(x > 0, slope, 0.0)


def value_and_slope(x, alpha, dtype="float32", learnable=False, jit=False):
    """What the layer gives for a flat list of numbers, with its gradient by each of them."""
    policy = "mixed_bfloat16" if dtype == "bfloat16" else dtype
    layer = AlphaReLU(alpha, learnable=learnable, dtype=policy)
    layer.build((len(x),))
    x = ops.convert_to_tensor(np.array(x, "float64").astype("float32"), dtype="float32")
    weights = layer.trainable_variables

    def cast(x):
        return ops.cast(layer(ops.cast(x, dtype)), "float32" if dtype == "bfloat16" else dtype)

    value, grads = gradients(cast, weights, x, jit=jit)
    # `gradients` weighs the outputs with cos 0, cos 1, …
    slope = np.asarray(grads[-1], "float64") / np.cos(np.arange(len(x)))
    return np.asarray(value, "float64"), slope, grads[:-1]


@pytest.mark.parametrize("dtype", DTYPES)
@given(
    alpha=st.sampled_from(ALPHAS),
    learnable=st.booleans(),
    # bfloat16 ends a little before float32.
    x=st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=8, max_size=8),
)
def test_value_and_gradients_are_finite_and_right_for_every_float(dtype, alpha, learnable, x):
    x = EDGES + x
    value, slope, by_alpha = value_and_slope(x, alpha, dtype, learnable)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert all(np.isfinite(g).all() for g in by_alpha)
    if dtype == "bfloat16":
        assert (np.abs(slope) <= 101).all()
        return
    want_value, want_slope = reference(np.array(x, "float32"), alpha)
    # Below the smallest normal number machines may take x for zero.
    sure = np.abs(np.array(x)) > 2e-38
    # Keras rounds the initial α to float32 also where it is stored as float64.
    rtol = 1e-12 if dtype == "float64" and not learnable else 2e-5
    np.testing.assert_allclose(value[sure], want_value[sure], rtol=rtol)
    np.testing.assert_allclose(value[~sure], want_value[~sure], atol=1e-35)
    # At ε itself either slope is right.
    border = linear_below(alpha)
    away = sure & (np.abs(np.array(x) - border) > 1e-5 * border)
    np.testing.assert_allclose(slope[away], want_slope[away], rtol=max(rtol, 1e-7), atol=1e-30)
    assert (np.abs(slope) <= 100.1).all()


@pytest.mark.parametrize(
    ("alpha", "learnable"), [(0.1, False), (0.1, True), (0.75, True), (1.0, True)]
)
def test_compilers_that_flush_subnormal_numbers_give_no_nan(alpha, learnable):
    value, slope, by_alpha = value_and_slope(EDGES, alpha, learnable=learnable, jit=True)
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert all(np.isfinite(g).all() for g in by_alpha)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the others select where this multiplies"
)
def test_the_plain_power_of_relu_has_nan_gradients():
    """One reason for the layer: if this fails, TensorFlow has changed."""

    def naive(x):
        return ops.power(ops.relu(x), 0.1)

    _, (slope,) = gradients(naive, [], np.array([-1.0, 0.0, 1.0], "float32"))
    assert not np.isfinite(slope[:2]).all()
    _, slope, _ = value_and_slope([-1.0, 0.0, 1.0], 0.1)
    np.testing.assert_allclose(slope, [0.0, 0.0, 0.1], rtol=1e-5)


def test_infinities_and_nan():
    value, slope, _ = value_and_slope([np.inf, -np.inf, np.nan], 0.75)
    np.testing.assert_array_equal(value, [np.inf, 0.0, np.nan])
    np.testing.assert_array_equal(slope[:2], [0.0, 0.0])


@pytest.mark.parametrize("learnable", [False, True])
def test_alpha_one_is_the_relu_to_the_bit(learnable):
    x = np.concatenate([np.random.default_rng(0).normal(size=50), [0.0, 1e-30, 1e30]])
    value, slope, _ = value_and_slope(x, 1.0, learnable=learnable)
    x = x.astype("float32")
    np.testing.assert_array_equal(value, np.maximum(x, 0))
    np.testing.assert_allclose(slope, x > 0, rtol=1e-6)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("alpha", "printed"), [(0.75, (1e-7, 3e-22, 5e-6)), (0.5, (0.0025, 7e-10)), (0.1, (0.42, 4e-4))]
)
def test_the_line_costs_what_the_docstring_says(alpha, printed):
    slope, end = 100.0, linear_below(alpha)
    # Uniform in ln x, from far below ε; the density of z is that at 0, its largest.
    u = np.linspace(-60, 0, 600_001)
    x = end * np.exp(u)
    density, step = x / math.sqrt(2 * math.pi), u[1] - u[0]

    def integral(values):
        return float(np.sum((values * density)[1:] + (values * density)[:-1]) * step / 2)

    value, _ = reference(x, alpha)
    np.testing.assert_allclose(value, slope * x, rtol=1e-6)
    worst = np.max(x**alpha - value)
    bound = (1 - alpha) * (alpha / slope) ** (alpha / (1 - alpha))
    assert worst == pytest.approx(bound, rel=1e-5)
    assert worst == pytest.approx(printed[0], rel=0.1)
    missing = integral(x ** (2 * alpha) - value**2)
    formula = (1 / (2 * alpha + 1) - 1 / 3) * end ** (2 * alpha + 1) / math.sqrt(2 * math.pi)
    assert missing == pytest.approx(formula, rel=1e-4)
    assert missing == pytest.approx(printed[1], rel=0.15)
    if alpha > 0.5:
        missing = integral(alpha**2 * x ** (2 * alpha - 2) - slope**2)
        formula = (1 - alpha) ** 2 / (2 * alpha - 1) * end ** (2 * alpha - 1)
        assert missing == pytest.approx(formula / math.sqrt(2 * math.pi), rel=1e-4)
        assert missing == pytest.approx(printed[2], rel=0.1)


@pytest.mark.neutral
def test_the_mean_square_of_the_slope_is_finite_and_as_stated_for_small_alpha():
    alpha, end = 0.1, linear_below(0.1)
    x = np.exp(np.linspace(math.log(end) - 30, 3, 400_001))
    _, slope = reference(x, alpha)
    values = slope**2 * np.exp(-(x**2) / 2) * x / math.sqrt(2 * math.pi)
    mean = np.sum(values[1:] + values[:-1]) * np.log(x[1] / x[0]) / 2
    stated = (1 - alpha) ** 2 / (1 - 2 * alpha) * 100 ** ((1 - 2 * alpha) / (1 - alpha))
    assert mean == pytest.approx(stated / math.sqrt(2 * math.pi), rel=0.01)
    assert mean == pytest.approx(24, rel=0.01)


def test_the_gradient_by_alpha_is_the_power_times_the_logarithm():
    x = np.array([1e-3, 0.3, 1.0, 7.0, -2.0], "float32")
    _, _, (by_alpha,) = value_and_slope(x, 0.5, learnable=True)
    positive = x[:4].astype("float64")
    want = np.sum(np.cos(np.arange(4)) * positive**0.5 * np.log(positive))
    np.testing.assert_allclose(by_alpha, want, rtol=1e-5)


def test_alpha_is_learnt_from_data():
    x = np.random.default_rng(0).uniform(0.05, 3, size=(256, 1)).astype("float32")
    model = keras.Sequential([keras.Input((1,)), AlphaReLU(0.9, learnable=True)])
    model.compile(keras.optimizers.SGD(0.3), "mse")
    model.fit(x, x**0.4, batch_size=64, epochs=15, verbose=0)
    assert float(model.layers[0].exponent.value) == pytest.approx(0.4, abs=0.01)


@slow_on_tensorflow
@pytest.mark.parametrize(("target", "end"), [(3.0, 1.0), (-3.0, 0.01)])
def test_training_keeps_alpha_in_its_range(target, end):
    x = np.full((8, 1), 2.0, "float32")
    model = keras.Sequential([keras.Input((1,)), AlphaReLU(0.5, learnable=True)])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    model.fit(x, x**target, epochs=2, verbose=0)
    assert float(model.layers[0].exponent.value) == pytest.approx(end)


def test_the_function_is_an_activation_that_saves_and_loads(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, activation=alpha_relu),
            keras.layers.Dense(4, activation=AlphaReLU(0.3, max_slope=7.0)),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(loaded(x)), ops.convert_to_numpy(model(x)), atol=1e-6
    )
    assert loaded.layers[0].activation is alpha_relu
    assert loaded.layers[1].activation.max_slope == 7.0
