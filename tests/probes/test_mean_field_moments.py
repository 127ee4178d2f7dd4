"""Gaussian moments: closed forms against quadrature, quadrature against a plain grid."""

import math

import numpy as np
import pytest

from keras_recres.probes.mean_field.alpha_relu import AlphaReLU, ReLU
from keras_recres.probes.mean_field.quadrature import Quadrature
from keras_recres.probes.mean_field.tanh import Tanh, kolmogorov_rule

pytestmark = pytest.mark.neutral
LOG_Q = np.log(10.0) * np.array([-8, -4, -1, 0, 1, 4, 8])
# 1 − c: from inputs that nearly agree to opposite ones.
U = np.array([0.0, 1e-10, 1e-4, 0.1, 0.5, 1.0, 1.3, 1.999, 2.0])


def on_a_grid(function, q, c):
    """E f(x) f(y) by the trapezoidal rule in the plane."""
    z = np.linspace(-9, 9, 1001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    x, y = np.meshgrid(z, z, indexing="ij")
    values = function(np.sqrt(q) * x) * function(np.sqrt(q) * (c * x + np.sqrt(1 - c**2) * y))
    return density @ values @ density


@pytest.mark.parametrize("q", [0.01, 1.0, 20.0])
def test_quadrature_and_tanh_against_a_plain_grid(q):
    log_q = np.array([math.log(q)])
    slope = on_a_grid(lambda z: 1 / np.cosh(z) ** 2, q, 1.0)
    for moments in (Tanh(), Quadrature(np.tanh)):
        v = np.exp(moments.log_v(log_q))
        assert v == pytest.approx(on_a_grid(np.tanh, q, 1.0), rel=1e-9)
        assert np.exp(moments.log_v_prime(log_q)) == pytest.approx(slope, rel=1e-9)
        for c in (0.9, 0.3, -0.6):
            w = v * (1 - moments.gap(log_q, np.array([1 - c])))
            assert w == pytest.approx(on_a_grid(np.tanh, q, c), rel=1e-8)


def test_tanh_against_quadrature():
    by_mixture, by_quadrature = Tanh(), Quadrature(np.tanh)
    np.testing.assert_allclose(by_mixture.log_v(LOG_Q), by_quadrature.log_v(LOG_Q), atol=1e-10)
    np.testing.assert_allclose(
        by_mixture.log_v_prime(LOG_Q), by_quadrature.log_v_prime(LOG_Q), atol=1e-9
    )
    for u in U[1:]:
        np.testing.assert_allclose(
            by_mixture.gap(LOG_Q, u), by_quadrature.gap(LOG_Q, u), rtol=1e-9, err_msg=f"{u}"
        )
    assert (by_mixture.gap(LOG_Q, np.float64(0)) == 0).all()
    assert (by_mixture.gap(LOG_Q, np.float64(2)) == 2).all()


def test_tanh_is_linear_at_one_end_and_a_sign_at_the_other():
    tanh = Tanh()
    ends = np.array([-np.inf, -2000.0, 70.0, 2000.0])
    np.testing.assert_allclose(tanh.log_v(ends), [-np.inf, -2000, 0, 0], atol=1e-14)
    far = math.log(4 / 3 / math.sqrt(2 * math.pi))
    np.testing.assert_allclose(tanh.log_v_prime(ends), [0, 0, far - 35, far - 1000], atol=1e-11)
    for c in (-0.7, 0.2, 0.95):
        near, large = tanh.gap(ends, np.float64(1 - c))[[0, -1]]
        assert near == pytest.approx(1 - c, rel=1e-12)
        assert large == pytest.approx(1 - 2 / math.pi * math.asin(c), rel=1e-12)


def test_the_scales_of_the_mixture():
    nodes, weights = kolmogorov_rule(10)
    assert weights.sum() == pytest.approx(1, abs=1e-14)
    # Moments of Kolmogorov's distribution in closed form; E 1/K is tanh′(0) √(π/2).
    assert weights @ nodes == pytest.approx(math.sqrt(math.pi / 2) * math.log(2), rel=1e-11)
    assert weights @ nodes**2 == pytest.approx(math.pi**2 / 12, rel=1e-10)
    assert weights @ (1 / nodes) == pytest.approx(math.sqrt(math.pi / 2), rel=1e-11)


@pytest.mark.parametrize("alpha", [1.0, 0.9, 0.75, 0.6, 0.551, 0.549, 0.5, 0.451, 0.449, 0.2, 0.05])
def test_powers_against_quadrature(alpha):
    power = AlphaReLU(alpha)
    integrated = Quadrature(
        lambda z: np.maximum(z, 0) ** alpha,
        lambda z: np.where(z > 0, alpha * np.where(z > 0, z, 1) ** (alpha - 1), 0),
    )
    np.testing.assert_allclose(power.log_v(LOG_Q), integrated.log_v(LOG_Q), atol=1e-11)
    if alpha >= 0.75:
        # The integral of φ′² converges the slower, the nearer α is to ½.
        np.testing.assert_allclose(
            power.log_v_prime(LOG_Q), integrated.log_v_prime(LOG_Q), atol=1e-8
        )
    expected = integrated.gap(np.float64(0), U)
    # At u = 1e-10 the difference of two values of φ has few digits.
    np.testing.assert_allclose(power.gap(0.0, U), expected, rtol=3e-7)
    np.testing.assert_allclose(power.gap(0.0, U[3:]), expected[3:], rtol=1e-9)


def test_the_integral_of_the_slides():
    # J_α(θ) = Γ(α+1) sin^{2α+1}θ ∫₀^{π/2} cos^α η (1 − cos θ cos η)^{−1−α} dη.
    for alpha in (0.3, 0.5, 0.75):
        for c in (0.6, 0.0, -0.8):
            # Substituted so that the power at π/2 is smooth.
            t, weights = np.polynomial.legendre.leggauss(200)
            t, weights = (t + 1) / 2, weights / 2
            eta = np.pi / 2 * (1 - t**4)
            inner = np.cos(eta) ** alpha * (1 - c * np.cos(eta)) ** (-1 - alpha)
            integral = weights @ (inner * 2 * np.pi * t**3)
            j = math.gamma(alpha + 1) * (1 - c * c) ** (alpha + 0.5) * integral
            power = AlphaReLU(alpha)
            w = math.exp(power.log_v(0.0)) * (1 - power.gap(0.0, 1 - c))
            assert w == pytest.approx(j / (2 * math.pi), rel=1e-9)


def test_relu_for_nearly_equal_inputs():
    u = np.array([0.0, 1e-14, 1e-9, 0.1, 1.0, 2.0])
    # 1 − W/V = u − (2√2/3π) u^{3/2} + …
    gap = ReLU().gap(0.0, u)
    np.testing.assert_allclose(
        gap[:3], u[:3] - 2 * math.sqrt(2) / (3 * math.pi) * u[:3] ** 1.5, rtol=1e-12
    )
    assert gap[-2] == pytest.approx(1 - 1 / math.pi, rel=1e-14)
    assert gap[-1] == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(AlphaReLU(1.0).gap(0.0, u), gap, rtol=1e-13)


def test_quadrature_of_a_function_that_is_not_zero_at_zero():
    cosh = Quadrature(lambda z: 1 / np.cosh(z))
    assert not cosh.odd
    assert np.exp(cosh.log_v(np.array(-np.inf))) == pytest.approx(1)
    log_q, c = np.array([0.0]), 0.4
    w = np.exp(cosh.log_v(log_q)) * (1 - cosh.gap(log_q, np.array([1 - c])))
    assert w == pytest.approx(on_a_grid(lambda z: 1 / np.cosh(z), 1.0, c), rel=1e-8)


def test_quadrature_goes_on_as_a_power_where_float64_ends():
    power, integrated = AlphaReLU(0.8), Quadrature(lambda z: np.maximum(z, 0) ** 0.8)
    log_q = np.array([-1500.0, -650.0, 650.0, 1500.0])
    np.testing.assert_allclose(integrated.log_v(log_q), power.log_v(log_q), rtol=1e-12)
    np.testing.assert_allclose(integrated.log_v_prime(log_q), power.log_v_prime(log_q), rtol=1e-9)
    u = np.float64(0.7)
    np.testing.assert_allclose(integrated.gap(log_q, u), power.gap(log_q, u), rtol=1e-9)
