"""Gaussian moments of ReLU and of its powers x^α, in closed form."""

import math

import numpy as np

# Terms of the series at arguments up to ½: the first one left out is below 2⁻⁵⁶.
TERMS = 56
# The two series of the gap have poles at α = ½ that cancel. Nearer to it than BAND the gap, an
# analytic function of α, is interpolated from Chebyshev nodes within SPREAD.
BAND, SPREAD, NODES = 0.05, 0.15, 18


class AlphaReLU:
    """V φ, V φ′ and the gap 1 − W φ / V φ of φ(x) = x^α for x > 0, else 0, for log variances.

    V φ(q)  = c_α q^α,  c_α = 2^{α−1} Γ(α + ½) / √π          (arXiv 1712.08969, α-ReLU)
    V φ′(q) = α² c_{α−1} q^{α−1} for α > ½, infinite for α ≤ ½

    W φ = q^α J_α(θ) / 2π with J_α = Γ(α+1) sin^{2α+1}θ ∫₀^{π/2} cos^α η (1 − cos θ cos η)^{−1−α} dη
    solves a hypergeometric equation in x = (1 − c)/2, c = cos θ the correlation. The solution that
    vanishes at c = −1 is, with y = 1 − x,

    W φ / V φ = y^{α+½} F(½, ½; α+3/2; y) Γ(α+1)² / (Γ(α+3/2) Γ(α+½))
              = F(−α, −α; ½−α; x) − Γ(α+1)² / (cos(πα) Γ(α+½) Γ(α+3/2)) x^{α+½} F(½, ½; α+3/2; x).

    The second form gives the gap without cancellation for c → 1.

    Args:
        alpha: α in (0, 1], a number or an array that broadcasts with the variances.
    """

    odd = False

    def __init__(self, alpha):
        self.alpha = np.asarray(alpha, dtype="float64")
        self._gap = _gap_by_series(self.alpha)
        if (np.abs(self.alpha - 0.5) < BAND).any():
            self._gap = _interpolated(self.alpha, self._gap)

    def log_v(self, log_q):
        """Log V φ(q)."""
        return _log_moment(self.alpha) + self.alpha * log_q

    def log_v_prime(self, log_q):
        """Log V φ′(q); infinite where α ≤ ½."""
        alpha = self.alpha
        finite = np.where(alpha > 0.5, alpha, 1.0)
        # Not (α − 1) log q for α = 1, which is 0 · ∞ for q = 0.
        power = np.where(finite == 1, 0.0, (finite - 1) * np.where(finite == 1, 0.0, log_q))
        return np.where(alpha > 0.5, 2 * np.log(finite) + _log_moment(finite - 1) + power, np.inf)

    def gap(self, log_q, u):
        """1 − W φ / V φ of a pair with correlation 1 − u; it does not depend on the variance."""
        del log_q
        return self._gap(u)


class ReLU(AlphaReLU):
    """V φ = q/2, V φ′ = ½, and W φ = q/2π (√(1 − c²) + c (π − arccos c)) of φ(x) = max(x, 0)."""

    def __init__(self):
        super().__init__(1.0)

    def gap(self, log_q, u):
        """1 − W φ / V φ = u + (θ cos θ − sin θ)/π of a pair with correlation cos θ = 1 − u."""
        del log_q
        theta = 2 * np.arcsin(np.sqrt(u / 2))
        k = np.arange(1, 9).reshape(-1, *[1] * np.ndim(theta))
        factorials = np.array([math.factorial(2 * n + 1) for n in range(1, 9)], dtype="float64")
        small = np.minimum(theta, 0.5)
        series = ((-1.0) ** k * 2 * k * small ** (2 * k + 1) / factorials.reshape(k.shape)).sum(0)
        exact = theta * np.cos(theta) - np.sin(theta)
        return u + np.where(theta < 0.5, series, exact) / np.pi


def _log_moment(alpha):
    """Log c_α."""
    return (alpha - 1) * math.log(2) + _lgamma(alpha + 0.5) - math.log(math.pi) / 2


def _gap_by_series(alpha):
    """The gap as a function of u, for α away from ½."""
    first = _series(-alpha, 0.5 - alpha)
    second = _series(np.full_like(alpha, 0.5), alpha + 1.5)
    log_ratio = 2 * _lgamma(alpha + 1) - _lgamma(alpha + 0.5) - _lgamma(alpha + 1.5)
    ratio = np.exp(log_ratio)
    # At α = ½ this is infinite, and the result replaced by the interpolation's.
    with np.errstate(divide="ignore"):
        odd_power = ratio / np.cos(np.pi * alpha)

    def gap(u):
        x = np.asarray(u) / 2
        near, far = np.minimum(x, 0.5), np.minimum(1 - x, 0.5)
        with np.errstate(invalid="ignore"):
            one = -_sum(first, near)
            two = odd_power * near ** (alpha + 0.5) * (1 + _sum(second, near))
        other = 1 - ratio * far ** (alpha + 0.5) * (1 + _sum(second, far))
        return np.where(x <= 0.5, one + two, other)

    return gap


def _interpolated(alpha, gap):
    """The gap where α is near ½, from values at nodes around ½; `gap` elsewhere."""
    angles = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
    nodes = 0.5 + SPREAD * np.cos(angles)
    gaps = [_gap_by_series(np.asarray(node)) for node in nodes]
    weights = [(-1.0) ** k * math.sin(angle) for k, angle in enumerate(angles)]
    # An even number of nodes has none at ½, and `alpha` that meets another is moved off it by
    # less than it matters.
    parts = [
        w / np.where(alpha == n, 1e-17, alpha - n) for w, n in zip(weights, nodes, strict=True)
    ]
    total = sum(parts)

    def interpolated(u):
        near = sum(part * node_gap(u) for part, node_gap in zip(parts, gaps, strict=True)) / total
        return np.where(np.abs(alpha - 0.5) < BAND, near, gap(u))

    return interpolated


def _series(a, c):
    """The coefficients of F(a, a; c; x) − 1 from x on, (TERMS,) + the shape of a."""
    n = np.arange(TERMS).reshape(-1, *[1] * np.ndim(a))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.cumprod((a + n) ** 2 / ((c + n) * (n + 1)), axis=0)


def _sum(coefficients, x):
    """Σ coefficients[n] x^{n+1}."""
    rank = max(np.ndim(x), coefficients.ndim - 1)
    padded = coefficients.reshape(
        TERMS, *[1] * (rank + 1 - coefficients.ndim), *coefficients.shape[1:]
    )
    powers = np.cumprod(np.broadcast_to(x, (TERMS, *np.shape(x))), axis=0)
    powers = powers.reshape(TERMS, *[1] * (rank - np.ndim(x)), *np.shape(x))
    return np.einsum("n...,n...->...", padded, powers)


def _lgamma(x):
    return np.vectorize(math.lgamma, otypes=["float64"])(x)
