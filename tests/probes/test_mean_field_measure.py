"""Networks of finite width against the theory, on the backend in use."""

import itertools

import keras
import numpy as np
import pytest

from keras_recres import backend, layers
from keras_recres.models import mean_field_net
from keras_recres.probes import mean_field
from tests.marks import slow_on_tensorflow

BIASES = {"sigma_b_sq": 0.5, "sigma_a_sq": 0.5}
NETWORKS = {
    "tanh RRN": ("rrn", "tanh", None, {"sigma_b_sq": 0.5}),
    "tanh FRN": ("frn", "tanh", None, BIASES),
    "ReLU FRN": ("frn", "relu", None, {**BIASES, "sigma_w_sq": 0.5}),
    "plain tanh": ("plain", "tanh", None, {"sigma_b_sq": 0.1, "sigma_w_sq": 1.4}),
    "α-ReLU FRN": ("frn", "alpha_relu", 0.9, {**BIASES, "sigma_w_sq": 0.5}),
}
NAMES = (
    "p", "q", "gamma", "lam", "e", "c", "s", "v_phi", "v_dphi", "chi", "chi_ratio", "chi_w",
    "chi_b", "chi_v", "chi_a",
)  # fmt: skip


def builder(kind, activation, alpha, variances, width, depth):
    def build():
        if kind == "plain":
            return mean_field_net(
                kind, activation, depth=depth, width=width, input_shape=(3,), **variances
            ).layers[3:]
        phi = layers.AlphaReLU(alpha) if alpha else activation
        layer = layers.RRN if kind == "rrn" else layers.FRN
        return [layer(width, phi, **variances) for _ in range(depth)]

    return build


@slow_on_tensorflow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("α-ReLU FRN", "plain tanh") else [pytest.mark.slow])
        for name in NETWORKS
    ],
)
def test_networks_agree_with_theory(name):
    kind, activation, alpha, variances = NETWORKS[name]
    width, depth = 256, 5
    network = builder(kind, activation, alpha, variances, width, depth)
    measured = mean_field.measure(network, draws=16, e0=0.6, seed=3)
    theory = mean_field.predict(kind, activation, depth, alpha=alpha, e0=0.6, **variances)
    assert (measured.draws, measured.depth, measured.width) == (16, depth, width)
    every = []
    for quantity in NAMES:
        if getattr(theory, quantity) is None:
            assert np.isnan(getattr(measured, quantity)).all()
            continue
        values, errors = getattr(measured, quantity), measured.standard_error(quantity)
        assert values.shape == errors.shape == (depth + 1,)
        np.testing.assert_array_equal(np.isnan(values), np.isnan(getattr(theory, quantity)))
        z = np.abs(measured.z_scores(theory, quantity))
        # The errors are estimates from 16 networks themselves, with a long tail; a factor left
        # out of any of them would show in all layers.
        assert np.nanmax(z) < 6, quantity
        assert np.nanmedian(z) < 3, quantity
        every.append(z[~np.isnan(z)])
        assert np.nanmax(errors / np.abs(values)) < 0.2, quantity
    assert np.sqrt(np.mean(np.concatenate(every) ** 2)) < 2
    assert measured.p[0] == pytest.approx(1, rel=1e-6)
    assert measured.e[0] == pytest.approx(0.6, rel=1e-5)
    assert (measured.chi[-1], measured.chi_ratio[0]) == (1, 1)


def test_one_layer_by_hand():
    signs = itertools.cycle([1, -1])

    def network():
        # W is 1 in all entries, or −1: other weights at each draw, and the same squares.
        kernel = keras.initializers.Constant(next(signs))
        return [layers.FRN(5, kernel_initializer=kernel, projection_initializer="identity")]

    x = np.array([[0.1, 0.2, 0.3, -0.4, 0.5], [0.0, 0.0, 0.0, 0.0, 1.0]], "float32")
    measured = mean_field.measure(network, x, draws=2)
    h = np.array([0.7, 1.0])
    np.testing.assert_allclose(measured.q[1], (h**2).mean(), rtol=1e-6)
    np.testing.assert_allclose(measured.lam[1], h[0] * h[1], rtol=1e-6)
    np.testing.assert_allclose(measured.v_phi[1], (np.tanh(h) ** 2).mean(), rtol=1e-6)
    np.testing.assert_allclose(measured.v_dphi[1], (np.cosh(h) ** -4).mean(), rtol=1e-6)
    np.testing.assert_allclose(measured.chi_a[1], 1, rtol=1e-6)
    # V is the identity: ∂E/∂b = φ′(h) g, and ⟨g²⟩ = 1.
    np.testing.assert_allclose(measured.chi_b[1], np.cosh(0.7) ** -4, rtol=1e-6)
    np.testing.assert_allclose(measured.chi_w[1], np.cosh(0.7) ** -4 * 0.55 / 5, rtol=1e-6)
    np.testing.assert_allclose(measured.chi_v[1], np.tanh(0.7) ** 2, rtol=1e-6)


def model(width=64, depth=3, **kwargs):
    inputs = keras.Input((10,))
    x = keras.layers.Dense(width, name="stem")(inputs)
    for _ in range(depth):
        x = layers.FRN(width, "relu", **kwargs)(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def test_a_model_is_cloned_and_left_alone():
    network = model()
    before = [keras.ops.convert_to_numpy(w) for w in network.weights]
    x = np.random.default_rng(0).normal(size=(2, 10)).astype("float32")
    measured = mean_field.measure(network, x, draws=3, seed=1)
    assert len(set(measured.values["p"][:, -1])) == 3
    # p₀ and e₀ are those that the stem makes of x.
    assert measured.p[0] != pytest.approx(1, rel=1e-3)
    assert (measured.standard_error("p") > 0).all()
    for w, old in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(w), old)
    again = mean_field.measure(model, x, draws=3, seed=1)
    assert again.p.shape == measured.p.shape


def test_a_seed_repeats_the_measurement():
    network = builder("rrn", "tanh", None, {}, 16, 2)
    one, other = (mean_field.measure(network, draws=2, seed=5) for _ in range(2))
    for name in ("p", "chi_w"):
        np.testing.assert_array_equal(one.values[name], other.values[name])


def test_the_jackknife_of_a_mean_is_its_standard_error():
    measured = mean_field.measure(builder("rrn", "tanh", None, {}, 16, 2), draws=5, seed=0)
    p = measured.values["p"]
    np.testing.assert_allclose(
        measured.standard_error("p"), p.std(axis=0, ddof=1) / np.sqrt(5), rtol=1e-10, atol=1e-12
    )


def test_gradients_of_the_backend():
    x, y = (keras.ops.convert_to_tensor(v, dtype="float32") for v in ([1.0, 2.0], [3.0, -1.0]))
    by_x, by_y = backend.gradients(lambda x, y: keras.ops.sum(x**2), [x, y])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(by_x), [2, 4])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(by_y), [0, 0])


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("network", "kwargs", "message"),
    [
        (model, {"draws": 1}, "`draws` must be at least 2 for a standard error, but it is 1"),
        (model, {"draws": 2.5}, "`draws` must be an integer"),
        (model, {"p0": -1.0}, "`p0` must be a finite number above 0"),
        (model, {"e0": 2.0}, r"`e0` must be a number in \[-1, 1\]"),
        (model, {"x": np.zeros((3, 10))}, r"`x` must be two inputs.*\(3, 10\)"),
        (
            lambda: [keras.layers.Dense(3)],
            {},
            "`network` must have FRN, RRN or Dense layers .* none",
        ),
        (lambda: [layers.RRN(3), layers.RRN(4)], {}, r"of one width, but it has \[3, 4\]"),
        (
            lambda: [layers.RRN(3, kernel_initializer=keras.initializers.RandomNormal(seed=1))],
            {},
            "the first two are equal",
        ),
    ],
)
def test_bad_input_is_named(network, kwargs, message):
    with pytest.raises(ValueError, match=message):
        mean_field.measure(network, **{"draws": 2, **kwargs})


def test_unknown_quantities_are_named():
    measured = mean_field.measure(builder("rrn", "tanh", None, {}, 8, 1), draws=2, seed=0)
    with pytest.raises(ValueError, match="`name` must be one of p, q"):
        measured.standard_error("rho")
    with pytest.raises(AttributeError, match="rho"):
        _ = measured.rho
    assert "chi_ratio" in dir(measured)
