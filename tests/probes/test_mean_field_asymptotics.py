"""The four limits: laws of large depth against fits of the recursion."""

import math

import numpy as np
import pytest

from keras_recres.probes.mean_field import asymptotics

pytestmark = pytest.mark.neutral
DEPTH = 1500
BIASES = {"sigma_b_sq": 0.5, "sigma_a_sq": 0.5}


def check(found, tolerances):
    assert {law.name for law in found.laws} == set(tolerances)
    for name, tolerance in tolerances.items():
        law = found[name]
        assert law.fitted == pytest.approx(law.predicted, abs=tolerance), law


@pytest.mark.parametrize("sigma_w_sq", [0.5, 2.0])
def test_tanh_rrn(sigma_w_sq):
    found = asymptotics("rrn", "tanh", DEPTH, sigma_w_sq=sigma_w_sq, sigma_b_sq=0.5)
    c = math.sqrt(2 / math.pi)
    assert found["p_slope"].predicted == 1
    assert found["p_root"].predicted == pytest.approx(-2 * c / math.sqrt(sigma_w_sq))
    assert found["log_chi_root"].predicted == pytest.approx(4 / 3 * c * math.sqrt(sigma_w_sq))
    assert found["e_limit"].predicted == 0
    assert found["e_exponent"].predicted == pytest.approx(2 / math.pi - 1)
    check(
        found,
        {
            "p_slope": 1e-4,
            "p_root": 0.01,
            "log_chi_root": 0.002,
            "e_limit": 0.002,
            "e_exponent": 0.003,
        },
    )


def test_tanh_frn():
    found = asymptotics("frn", "tanh", DEPTH, **BIASES)
    assert found["p_slope"].predicted == 1.5
    limit = found["e_limit"].predicted
    assert 1.5 * limit == pytest.approx(2 / math.pi * math.asin(limit) + 0.5, abs=1e-12)
    check(
        found,
        {
            "p_slope": 1e-4,
            "p_root": 0.01,
            "log_chi_root": 0.002,
            "e_limit": 0.002,
            "e_exponent": 0.01,
        },
    )
    # ρ at constant σ_v/√(1 + ρ²) leaves the law of the gradient as it is.
    roots = [
        asymptotics("frn", "tanh", 64, sigma_v_sq=v, sigma_a_sq=v * (v - 1))["log_chi_root"]
        for v in (1.0, 2.0, 3.0)
    ]
    assert len({round(root.predicted, 12) for root in roots}) == 1


def test_relu_frn():
    found = asymptotics("frn", "relu", DEPTH, sigma_w_sq=0.8, sigma_v_sq=1.5, **BIASES)
    assert found["p_growth"].predicted == pytest.approx(1.6)
    check(found, {"p_growth": 1e-9, "chi_growth": 1e-9, "e_slope": 1e-5})


@pytest.mark.parametrize("alpha", [0.6, 0.75, 0.9])
def test_alpha_relu_frn(alpha):
    found = asymptotics("frn", "alpha_relu", DEPTH, alpha=alpha, **BIASES)
    assert found["p_exponent"].predicted == pytest.approx(1 / (1 - alpha))
    assert found["chi_exponent"].predicted == pytest.approx(
        alpha**2 / ((1 - alpha) * (2 * alpha - 1))
    )
    for name in ("p_exponent", "p_factor", "chi_exponent", "e_exponent"):
        assert found[name].fitted == pytest.approx(found[name].predicted, rel=5e-3), name
    # On its way: above where it was at a tenth of the depth, below e*.
    e = found.prediction.e[:, 0]
    assert e[DEPTH // 10] < e[-1] == found["e_limit"].fitted < found["e_limit"].predicted < 1


def test_small_powers_have_no_gradient():
    found = asymptotics("frn", "alpha_relu", 64, alpha=0.4)
    assert found["chi_exponent"].predicted == found["chi_exponent"].fitted == math.inf


def test_laws_print_as_a_table_and_have_names():
    found = asymptotics("frn", "relu", 64)
    lines = str(found).splitlines()
    assert len(lines) == 4
    assert "p_growth" in lines[1]
    assert "1.5" in lines[1]
    with pytest.raises(KeyError, match="there are p_growth, chi_growth, e_slope"):
        found["e_limit"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 63}, "`depth` must be at least 64 for a fit, but it is 63"),
        ({"activation": np.tanh}, "`activation` must be .* whose laws are known"),
        ({"sigma_w_sq": 0}, "`sigma_w_sq` must be a number above 0"),
        ({"sigma_v_sq": [1, 2]}, "`sigma_v_sq` must be a number above 0"),
        ({"p0": [1.0]}, "`p0` must be a number"),
        ({"e0": 1.0}, r"`e0` must be a number in \(-1, 1\)"),
        ({"activation": "alpha_relu", "alpha": 1.0}, "`alpha` must be below 1"),
        ({"activation": "alpha_relu", "alpha": [0.5]}, "`alpha` must be a single number"),
    ],
)
def test_bad_input_is_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        asymptotics(**{"kind": "frn", "activation": "tanh", "depth": 64, **kwargs})
