"""The recursions: against the reference table, in closed form, in their limits and out of range."""

import csv
import math
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_recres.probes import mean_field
from keras_recres.probes.mean_field import predict

pytestmark = pytest.mark.neutral
ROWS = list(
    csv.DictReader(
        (pathlib.Path(__file__).parent / "mean_field_reference.csv").open(encoding="utf-8")
    )
)
MODELS = {
    "tanh_RRN": ("rrn", "tanh", {}),
    "tanh_FRN": ("frn", "tanh", {"sigma_a_sq": 0.5}),
    "relu_FRN": ("frn", "relu", {"sigma_a_sq": 0.5}),
    "alpharelu0.75_FRN": ("frn", "alpha_relu", {"sigma_a_sq": 0.5, "alpha": 0.75}),
}
COLUMNS = {
    "p": "p", "q": "q", "gamma": "gamma", "lam": "lam", "e": "e", "c": "c", "s": "s",
    "Vphi": "v_phi", "Vdphi": "v_dphi", "chi_ratio": "chi_ratio", "chi_back": "chi",
}  # fmt: skip
FOUR = [(kind, activation, kwargs.get("alpha")) for kind, activation, kwargs in MODELS.values()]
FOUR.append(("frn", "alpha_relu", 0.4))


@pytest.mark.parametrize("model", MODELS)
def test_the_reference_table(model):
    kind, activation, kwargs = MODELS[model]
    result = predict(kind, activation, 100, sigma_b_sq=0.5, e0=0.3, **kwargs)
    rows = [row for row in ROWS if row["model"] == model]
    assert len(rows) == 11
    layers = [int(row["l"]) for row in rows]
    for column, name in COLUMNS.items():
        expected = [float(row[column]) for row in rows]
        np.testing.assert_allclose(
            getattr(result, name)[layers], expected, rtol=1e-10, err_msg=column
        )


def test_relu_without_biases_in_closed_form():
    result = predict("frn", "relu", 50, sigma_w_sq=1.2, sigma_v_sq=0.5, p0=3.0)
    layers = np.arange(51)
    np.testing.assert_array_equal(result.layers, layers)
    np.testing.assert_allclose(result.p, 3 * 1.3**layers, rtol=1e-12)
    np.testing.assert_allclose(result.chi_ratio, 1.3**layers, rtol=1e-12)
    np.testing.assert_allclose(result.chi, 1.3 ** (50 - layers), rtol=1e-12)
    # The slopes in W of every layer are equally large: those of the state times those of χ.
    np.testing.assert_allclose(result.chi_w[1:], 0.25 * 3 * 1.3**49, rtol=1e-12)
    np.testing.assert_allclose(result.chi_v[1:], 0.6 * 3 * 1.3**49, rtol=1e-12)
    np.testing.assert_allclose(result.chi_b[1:], 0.25 * result.chi[1:], rtol=1e-12)
    np.testing.assert_allclose(result.chi_a[1:], result.chi[1:], rtol=1e-12)


def test_plain_relu_in_closed_form():
    result = predict("plain", "relu", 2000, sigma_w_sq=[1.5, 2.0, 2.5], p0=3.0)
    layers = np.arange(2001)[:, None]
    growth = layers * np.log([0.75, 1.0, 1.25])
    np.testing.assert_allclose(result.log_p, math.log(3) + growth, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.log_chi_ratio, growth, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        result.chi_w[1:, 1], 0.5 * 3 * np.ones(2000), rtol=1e-12
    )  # V φ′ p₋ χ, and at the critical σ_w² = 2 neither p nor χ changes.
    assert result.chi_v is None is result.chi_a
    # Scale does not matter to a ReLU's correlation, which has a power law: 1 − e ≈ 9 π² / (2 l²).
    np.testing.assert_allclose(result.one_minus_e[:, 0], result.one_minus_e[:, 2])
    np.testing.assert_allclose(
        result.one_minus_e[-1] * 2000**2, 9 * math.pi**2 / 2, rtol=0.02
    )  # Of the next order is ln l / l.


def test_plain_tanh_is_critical_at_one():
    found = predict("plain", "tanh", 4000, sigma_w_sq=[0.96, 1.0, 1.1])
    slopes = np.diff(found.log_chi_ratio[2000:], axis=0)
    # Below, q → 0 and every layer multiplies gradients by σ_w²; above they grow as e^l.
    np.testing.assert_allclose(slopes[:, 0], math.log(0.96), rtol=1e-6)
    assert (slopes[:, 2] > 1e-3).all()
    # At 1, q ≈ 1 / (2 l) and V φ′ ≈ 1 − 2 q, so that gradients fall as 1 / l.
    np.testing.assert_allclose(slopes[:, 1] * np.arange(2001, 4001), -1, atol=0.01)
    np.testing.assert_allclose(found.q[-1, 1] * 4000 * 2, 1, rtol=0.01)


def test_ordered_plain_networks_lose_inputs_and_gradients_at_one_rate():
    found = predict("plain", "tanh", 60, sigma_w_sq=[0.8, 3.0], sigma_b_sq=0.1)
    lost = np.diff(np.log(found.one_minus_e[30:, 0]))
    np.testing.assert_allclose(lost, np.diff(found.log_chi_ratio[30:, 0]), rtol=1e-6)
    assert (lost < -0.1).all()
    # In the chaotic phase other inputs stay apart.
    assert found.one_minus_e[-1, 1] == pytest.approx(found.one_minus_e[-2, 1], rel=1e-3)
    assert found.one_minus_e[-1, 1] > 0.1


def test_no_layer_before_the_first_and_no_v_in_an_rrn():
    result = predict("rrn", "tanh", 3)
    assert result.chi_v is None
    assert result.chi_a is None
    for name in ("q", "c", "lam", "v_phi", "v_dphi", "chi_w", "chi_b"):
        values = getattr(result, name)
        assert values.shape == (4,)
        assert np.isnan(values[0])
        assert np.isfinite(values[1:]).all()
    assert "chi_ratio" in dir(result)
    with pytest.raises(AttributeError, match="rho"):
        _ = result.rho


def test_linear_where_the_variance_is_small():
    # φ = tanh is the identity there: V φ = q, V φ′ = 1, and the cosine stays.
    result = predict("frn", "tanh", 4, sigma_w_sq=1e-9, sigma_v_sq=1e-3, e0=-0.4)
    np.testing.assert_allclose(result.q[1:], 1e-9 * result.p[:-1], rtol=1e-12)
    np.testing.assert_allclose(result.v_phi[1:], 1e-9, rtol=1e-7)
    np.testing.assert_allclose(result.v_dphi[1:], 1.0, rtol=1e-7)
    np.testing.assert_allclose(result.e, -0.4, atol=1e-15)


def test_numbers_that_outgrow_float64_stay_logarithms():
    result = predict("frn", "relu", 5000, sigma_w_sq=2.0)
    np.testing.assert_allclose(result.log_p, result.layers * math.log(2), rtol=1e-12)
    np.testing.assert_allclose(result.log_chi_ratio, result.layers * math.log(2), rtol=1e-12)
    assert result.p[-1] == np.inf
    assert result.gamma[-1] == np.inf
    assert not np.isnan(result.s).any()
    with np.errstate(all="raise"):
        assert 0.99 < result.e[-1] < 1


def test_a_grid_is_its_members():
    w, v = np.array([0.0, 0.3, 2.0]), np.array([[0.5], [1.0]])
    kwargs = {"sigma_b_sq": 0.2, "sigma_a_sq": 0.1, "e0": 0.7}
    for activation, alpha in (("tanh", None), ("relu", None), ("alpha_relu", [0.5, 0.6, 0.9])):
        together = predict("frn", activation, 12, sigma_w_sq=w, sigma_v_sq=v, alpha=alpha, **kwargs)
        assert together.p.shape == together.chi_w.shape == (13, 2, 3)
        for i in range(2):
            for j in range(3):
                alone = predict(
                    "frn", activation, 12, sigma_w_sq=w[j], sigma_v_sq=v[i, 0],
                    alpha=None if alpha is None else alpha[j], **kwargs,
                )  # fmt: skip
                for name in ("p", "e", "chi_ratio", "chi_b"):
                    np.testing.assert_allclose(
                        getattr(together, name)[:, i, j], getattr(alone, name), rtol=1e-12
                    )


def test_a_callable_is_integrated():
    named = predict("rrn", "tanh", 8, sigma_w_sq=[0.5, 50.0], sigma_b_sq=0.1)
    for derivative in (None, lambda z: 1 - np.tanh(z) ** 2):
        found = predict(
            "rrn", np.tanh, 8, sigma_w_sq=[0.5, 50.0], sigma_b_sq=0.1, derivative=derivative
        )
        for name in ("p", "e", "v_dphi", "chi_ratio"):
            np.testing.assert_allclose(getattr(found, name), getattr(named, name), rtol=1e-8)


def test_alpha_one_is_relu_and_half_is_between_its_neighbours():
    relu = predict("frn", "relu", 20, sigma_b_sq=0.3)
    power = predict("frn", "alpha_relu", 20, sigma_b_sq=0.3, alpha=1.0)
    for name in ("p", "e", "chi_ratio", "chi_v"):
        np.testing.assert_allclose(getattr(power, name), getattr(relu, name), rtol=1e-12)
    e = predict("frn", "alpha_relu", 20, alpha=0.5 + 1e-4 * np.array([-1, 0, 1])).e[-1]
    assert e[0] < e[1] < e[2]
    assert e[1] == pytest.approx((e[0] + e[2]) / 2, abs=1e-9)


def test_gradients_of_small_powers_are_infinite():
    result = predict("frn", "alpha_relu", 5, alpha=[0.3, 0.5, 0.51])
    assert (result.v_dphi[1:, :2] == np.inf).all()
    assert (result.chi[:-1, :2] == np.inf).all()
    assert np.isfinite(result.p).all()
    assert np.isfinite(result.chi[:, 2]).all()


variances = st.one_of(st.just(0.0), st.floats(1e-300, 1e-3), st.floats(1e-3, 1e6))


@given(
    which=st.sampled_from(FOUR),
    w=variances,
    b=variances,
    v=variances,
    a=variances,
    p0=st.floats(1e-6, 1e6),
    e0=st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1)),
)
def test_properties_for_any_variance(which, w, b, v, a, p0, e0):
    kind, activation, alpha = which
    if kind == "rrn":
        v, a = 1.0, 0.0
    given_variances = {"sigma_w_sq": w, "sigma_b_sq": b, "sigma_v_sq": v, "sigma_a_sq": a}
    pair = np.array([e0, (1 + e0) / 2])
    result = predict(kind, activation, 60, alpha=alpha, p0=p0, e0=pair, **given_variances)
    for name in (
        "p", "q", "gamma", "lam", "e", "c", "s", "v_phi", "v_dphi", "chi_ratio", "chi", "chi_w",
        "chi_b", "chi_v", "chi_a", "log_p", "log_chi_ratio", "log_chi_w",
    ):  # fmt: skip
        values = getattr(result, name)
        assert values is None or not np.isnan(values[1:]).any(), name
    assert (np.abs(result.e) <= 1).all()
    assert (np.abs(result.c[1:]) <= 1).all()
    assert (np.diff(result.log_p, axis=0) >= -1e-12 * np.abs(result.log_p[1:])).all()
    assert (result.log_chi_ratio >= 0).all()
    assert (result.s >= 0).all()
    # Inputs that are nearer to each other stay so.
    assert (result.one_minus_e[:, 0] >= result.one_minus_e[:, 1] * (1 - 1e-9) - 1e-15).all()
    # p grows with every variance.
    for name in given_variances:
        if kind == "frn" or name in ("sigma_w_sq", "sigma_b_sq"):
            more = {**given_variances, name: 2 * given_variances[name] + 1e-3}
            larger = predict(kind, activation, 60, alpha=alpha, p0=p0, **more)
            assert (larger.log_p >= result.log_p[:, 0] - 1e-12 * (1 + np.abs(larger.log_p))).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"kind": "resnet"}, "`kind` must be one of 'frn', 'rrn', 'plain', but it is 'resnet'"),
        ({"kind": "plain", "sigma_v_sq": 2.0}, "`sigma_v_sq` must be 1 for 'plain'"),
        ({"activation": "gelu"}, "`activation` must be 'tanh', 'relu', 'alpha_relu' or a callable"),
        ({"depth": 0}, "`depth` must be an integer of at least 1, but it is 0"),
        ({"depth": 2.0}, "`depth` must be an integer"),
        ({"sigma_w_sq": -1.0}, "`sigma_w_sq` must be a finite number of at least 0"),
        ({"sigma_a_sq": np.nan}, "`sigma_a_sq` must be a finite number"),
        ({"sigma_v_sq": [1.0, np.inf]}, "`sigma_v_sq` must be a finite number"),
        ({"sigma_b_sq": "much"}, "`sigma_b_sq` must be a finite number.*'much'"),
        ({"p0": 0.0}, "`p0` must be a finite number above 0"),
        ({"e0": 1.1}, r"`e0` must be a number in \[-1, 1\]"),
        ({"alpha": 0.5}, "`alpha` belongs to 'alpha_relu' alone"),
        ({"activation": "alpha_relu"}, r"`alpha` must be a number in \(0, 1\]"),
        ({"activation": "alpha_relu", "alpha": 0.0}, r"`alpha` must be a number in \(0, 1\]"),
        ({"activation": "alpha_relu", "alpha": [0.5, 1.2]}, r"`alpha` must be .*\[0.5, 1.2\]"),
        ({"derivative": np.cos}, "`derivative` must be None or the derivative of a callable"),
        ({"activation": np.sum}, r"`activation` must map an array to one of its shape"),
        ({"sigma_w_sq": [1, 2], "e0": [0, 0, 0]}, r"broadcast.*\(2,\).*\(3,\)"),
        ({"kind": "rrn", "sigma_v_sq": 2.0}, "`sigma_v_sq` must be 1 for 'rrn'"),
        ({"kind": "rrn", "sigma_a_sq": 0.5}, "`sigma_a_sq` must be 0 for 'rrn'"),
        ({"kind": "rrn", "activation": "relu"}, "`activation` of an RRN must be odd"),
        ({"kind": "rrn", "activation": np.exp}, "`activation` of an RRN must be odd"),
    ],
)
def test_bad_input_is_named(kwargs, message):
    kwargs = {"kind": "frn", "activation": "tanh", "depth": 3, **kwargs}
    with pytest.raises(ValueError, match=message):
        mean_field.predict(**kwargs)
