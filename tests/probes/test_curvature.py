"""κ against closed forms, and where there is no curvature to speak of."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import layers as own
from keras_recres.probes import curves, extrinsic_curvature
from tests.marks import slow_on, slow_on_tensorflow

# On TensorFlow forward derivatives, which are not its default, take several times as long to trace.
SLOW_THERE = [slow_on_tensorflow, pytest.mark.tensorflow]
METHODS = [pytest.param("forward", marks=SLOW_THERE)]
TOLERANCE = {"float32": 1e-5, "float64": 1e-9}
PAIRS = [pytest.param("forward", dtype, marks=SLOW_THERE) for dtype in TOLERANCE]
if keras.backend.backend() == "tensorflow":
    METHODS.append("tape")
    PAIRS += [("tape", dtype) for dtype in TOLERANCE]


def identity(units):
    inputs = keras.Input((units,))
    return keras.Model(inputs, layers.Activation("linear", name="same")(inputs))


def tanh_net(units=6, depth=2, seed=0):
    inputs = x = keras.Input((units,))
    for i in range(depth):
        initializer = keras.initializers.RandomNormal(stddev=0.8, seed=seed + i)
        x = layers.Dense(units, activation="tanh", kernel_initializer=initializer)(x)
    return keras.Model(inputs, x)


def curve_of(*functions):
    return lambda theta: ops.stack([f(theta) for f in functions], axis=-1)


def of_velocity(v, a):
    """The formula of the docstring, as it is written."""
    vv, aa, va = (np.sum(p * q, axis=-1) for p, q in ((v, v), (a, a), (v, a)))
    return np.sqrt(vv * aa - va * va) / vv**1.5


THETA = np.linspace(0.2, 2.8, 9)
HELIX = curve_of(lambda t: 3 * ops.cos(t), lambda t: 3 * ops.sin(t), lambda t: t / 2)
CUBIC = curve_of(lambda t: t, lambda t: t**3, ops.zeros_like)
TRUTH = {
    "helix": (HELIX, np.full(9, 3 / (9 + 0.25))),
    "cubic": (CUBIC, 6 * THETA / (1 + 9 * THETA**4) ** 1.5),
    "circle": (curves.circle(2.5, axes=np.eye(2, 3)), np.full(9, 0.4)),
}


class Part(layers.Layer):
    """Three coordinates of several."""

    def __init__(self, start, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def call(self, inputs):
        return inputs[:, self.start : self.start + 3]


@pytest.mark.parametrize(("method", "dtype"), PAIRS)
def test_curves_with_known_curvature(method, dtype):
    inputs = keras.Input((9,))
    outputs = [Part(3 * i, name=name)(inputs) for i, name in enumerate(TRUTH)]
    record = extrinsic_curvature(
        keras.Model(inputs, outputs),
        lambda theta: ops.concatenate([curve(theta) for curve, _ in TRUTH.values()], axis=-1),
        THETA,
        method=method,
        dtype=dtype,
    )
    assert (record.method, record.dtype) == (method, dtype)
    assert {name for name, _ in record.rows} == {"input", *TRUTH}
    for (name, step), kappa in list(zip(record.rows, record.kappa, strict=True))[1:]:
        assert step is None
        np.testing.assert_allclose(kappa, TRUTH[name][1], rtol=TOLERANCE[dtype])


@pytest.mark.parametrize(("method", "dtype"), PAIRS)
def test_an_ellipse_made_by_a_linear_layer(method, dtype):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(5)])
    curve = curves.circle(1.5)
    theta = curve.theta(16, "float64")
    record = extrinsic_curvature(model, curve, theta, method=method, dtype=dtype)
    kernel = ops.convert_to_numpy(model.layers[0].kernel).astype("float64")
    v = 1.5 * np.stack([-np.sin(theta), np.cos(theta)], axis=-1) @ kernel
    a = -1.5 * np.stack([np.cos(theta), np.sin(theta)], axis=-1) @ kernel
    np.testing.assert_allclose(record.kappa[1], of_velocity(v, a), rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(record.speed[1], np.linalg.norm(v, axis=-1), rtol=TOLERANCE[dtype])


def test_differences_give_the_same_ellipse():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(5)])
    curve = curves.circle(1.5)
    record, other = (
        extrinsic_curvature(model, curve, curve.theta(16), method=m, dtype="float64")
        for m in ("auto", "finite")
    )
    assert (other.method, other.dtype) == ("finite", "float64")
    np.testing.assert_allclose(other.kappa, record.kappa, rtol=1e-8)
    np.testing.assert_allclose(other.speed, record.speed, rtol=1e-10)


def test_a_great_circle_of_a_sphere():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 5, 2))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    inputs = keras.Input((4, 5, 2))
    model = keras.Model(inputs, layers.Permute((2, 1, 3))(layers.Flatten()(inputs)[:, None, None]))
    record = extrinsic_curvature(model, curves.great_circle(a, b), THETA, dtype="float64")
    np.testing.assert_allclose(record.kappa, 1 / np.linalg.norm(a), rtol=1e-12)


def test_a_wide_random_tanh_network_follows_the_mean_field_recursion():
    """Poole et al., arXiv 1606.05340, equations 7 to 9, for the pre-activations h.

    q' = σ_w² ∫Dz φ(√q z)² + σ_b²,  g' = χ₁ g,  κ'² = 3 χ₂/χ₁² + κ²/χ₁  (times the width), with
    χ₁ = σ_w² ∫Dz φ'(√q z)² and χ₂ = σ_w² ∫Dz φ''(√q z)², for a great circle at the input.
    """
    width, depth, sigma_w_sq, sigma_b_sq, q = 1500, 3, 2.0, 0.1, 0.8
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    # The input is a circle of radius √(width q), and takes the place of pre-activations.
    speed_sq, kappa_sq = q, 1 / q
    want = []
    for _ in range(depth):
        phi = np.tanh(np.sqrt(q) * nodes)
        first, second = 1 - phi**2, -2 * phi * (1 - phi**2)
        chi_1, chi_2 = (sigma_w_sq * np.sum(weights * d**2) for d in (first, second))
        kappa_sq = 3 * chi_2 / chi_1**2 + kappa_sq / chi_1
        speed_sq *= chi_1
        q = sigma_w_sq * np.sum(weights * phi**2) + sigma_b_sq
        want.append((kappa_sq, speed_sq))
    kappa, speed = np.sqrt(np.transpose(want) * [[1 / width], [width]])

    rng = np.random.default_rng(0)
    inputs = x = keras.Input((width,))
    for i in range(depth):
        dense = layers.Dense(width, name=f"h{i}")
        x = dense(layers.Activation("tanh")(x))
        kernel = rng.normal(size=(width, width)) * np.sqrt(sigma_w_sq / width)
        dense.set_weights([kernel, rng.normal(size=width) * np.sqrt(sigma_b_sq)])
    circle = curves.circle(np.sqrt(width * 0.8), axes=rng.normal(size=(2, width)))
    record = extrinsic_curvature(
        keras.Model(inputs, x), circle, circle.theta(16), layers=["h*"], check=False
    )
    # At this width one network and circle differ from the next by 1 to 2 %.
    np.testing.assert_allclose(record.kappa.mean(axis=1), kappa, rtol=0.05)
    np.testing.assert_allclose(record.speed.mean(axis=1), speed, rtol=0.05)


def test_curvature_does_not_depend_on_the_parametrisation():
    model = tanh_net()
    a, b = np.random.default_rng(1).normal(size=(2, 6))
    curve = curves.great_circle(a, b)
    tau = np.linspace(0.5, 1.4, 7)
    record, cubed = (
        extrinsic_curvature(model, c, t, dtype="float64", check=False)
        for c, t in ((curve, tau**3), (lambda tau: curve(tau**3), tau))
    )
    np.testing.assert_allclose(cubed.kappa, record.kappa, rtol=1e-9)
    np.testing.assert_allclose(cubed.speed, record.speed * 3 * tau**2, rtol=1e-12)


def test_small_curvature_is_not_lost_in_a_difference():
    # Nearly straight, run through with a large acceleration along it: the formula with
    # |v|²|a|² − (v·a)² has lost all digits in float32, and in float64 most.
    bend = 1e-4
    curve = curve_of(lambda t: ops.exp(2 * t), lambda t: bend * ops.exp(4 * t))
    theta = np.linspace(0, 1, 6)
    s = np.exp(2 * theta)
    want = 2 * bend / (1 + (2 * bend * s) ** 2) ** 1.5
    for dtype, tolerance in (("float32", 1e-3), ("float64", 1e-11)):
        record = extrinsic_curvature(identity(2), curve, theta, dtype=dtype)
        np.testing.assert_allclose(record.kappa[1], want, rtol=tolerance)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_tiny_and_huge_curves_have_their_curvature_in_float32(size):
    # The squares of their velocities are beyond float32.
    circle = curves.circle(size)
    record = extrinsic_curvature(identity(2), circle, circle.theta(5), check=False)
    np.testing.assert_allclose(record.kappa, 1 / size, rtol=1e-5)


@pytest.mark.parametrize("method", [*METHODS, "finite"])
def test_where_the_curve_stands_still_the_curvature_is_zero(method):
    # A cusp at θ = 0, and a layer that forgets its input.
    curve = curve_of(lambda t: t**2, lambda t: t**3)
    inputs = keras.Input((2,))
    zero = layers.Dense(3, kernel_initializer="zeros", bias_initializer="ones", name="zero")
    model = keras.Model(inputs, [layers.Activation("linear")(inputs), zero(inputs)])
    theta = np.linspace(-1, 1, 5)
    record = extrinsic_curvature(model, curve, theta, method=method)
    forgets = [name for name, _ in record.rows].index("zero")
    assert not record.kappa[forgets].any()
    assert not record.speed[forgets].any()
    if method != "finite":
        assert record.kappa[0, 2] == record.speed[0, 2] == 0
        v = np.stack([2 * theta, 3 * theta**2], axis=-1)
        a = np.stack([np.full(5, 2.0), 6 * theta], axis=-1)
        moving = theta != 0
        want = of_velocity(v[moving], a[moving])
        np.testing.assert_allclose(record.kappa[0, moving], want, rtol=1e-5)
    assert np.isfinite(record.kappa).all()


def piecewise_linear(activation):
    inputs = keras.Input((1,))
    dense = layers.Dense(20, name="dense")
    model = keras.Model(inputs, activation(dense(inputs)))
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(1, 20)), rng.normal(size=20)
    dense.set_weights([kernel, bias])
    return model, lambda level: (level - bias) / kernel[0]


@pytest.mark.parametrize(
    ("activation", "kinks_at", "batch_size"),
    [
        (lambda x: layers.ReLU()(x), (0,), None),
        pytest.param(lambda x: layers.ReLU()(x), (0,), 4, marks=slow_on("jax", "tensorflow")),
        pytest.param(
            lambda x: layers.Activation("leaky_relu")(x),
            (0,),
            None,
            marks=slow_on("jax", "tensorflow"),
        ),
        pytest.param(
            lambda x: layers.PReLU(alpha_initializer="ones")(x),
            (0,),
            None,
            marks=slow_on("jax", "tensorflow"),
        ),
        (lambda x: layers.Activation("relu6")(6 * x), (0, 1), None),
        pytest.param(
            lambda x: layers.Activation("hard_tanh")(x),
            (-1, 1),
            4,
            marks=slow_on("jax", "tensorflow"),
        ),
        pytest.param(lambda x: abs(x), (0,), None, marks=slow_on("jax", "tensorflow")),
        (lambda x: layers.Maximum()([x, 0.5 - x]), (0.25,), None),
        # As many groups as points at once.
        (lambda x: own.GroupedDense(5, 4, "prelu", kernel_initializer="identity")(x), (0,), 4),
    ],
    ids=["relu", "relu4", "leaky_relu", "prelu", "relu6", "hard_tanh", "abs", "maximum", "grouped"],
)
def test_between_kinks_a_line_stays_straight_and_kinks_are_counted(
    activation, kinks_at, batch_size
):
    model, crossing = piecewise_linear(activation)
    theta = np.linspace(-1, 1, 11) + 1e-3
    record = extrinsic_curvature(
        model, lambda t: ops.reshape(t, (-1, 1)), theta, batch_size=batch_size
    )
    assert np.abs(record.kappa).max() < 1e-4
    crossings = np.concatenate([crossing(level) for level in kinks_at])
    inside = np.sum((theta[0] < crossings) & (crossings < theta[-1]))
    assert inside > 3
    assert list(record.kinks[:2]) == [0, 0]
    assert record.kinks[-1] == inside


@pytest.mark.parametrize(
    ("pooling", "kinks"), [(layers.MaxPooling1D, 2), (layers.GlobalMaxPooling1D, 1)]
)
def test_kinks_of_max_pooling_are_changes_of_the_maximum(pooling, kinks):
    # Along θ the maximum of (θ, 0.5) changes its place at 0.5, that of (1 − θ, 0.2) at 0.8, and
    # that of all four at 0.5.
    inputs = keras.Input((4, 1))
    model = keras.Model(inputs, pooling()(inputs))

    def curve(theta):
        parts = [theta, ops.full_like(theta, 0.5), 1 - theta, ops.full_like(theta, 0.2)]
        return ops.stack(parts, axis=-1)[..., None]

    record = extrinsic_curvature(model, curve, np.linspace(0.01, 0.99, 30), batch_size=8)
    assert list(record.kinks) == [0, kinks]
