"""Gaussian moments of tanh, exact for every variance: tanh is a mixture of error functions."""

import functools

import numpy as np

# Ten nodes for K, 55 pairs: relative error below 1e-11 for any variance and correlation.
NODES = 10
# Beyond exp(±EDGE) the moments are their power laws to the last bit.
EDGE = 300.0


class Tanh:
    """V φ, V φ′ and the gap 1 − W φ / V φ of φ = tanh, for log variances.

    The logistic distribution is a scale mixture of normal ones, whose scale is Kolmogorov's K
    (D. F. Andrews and C. L. Mallows, "Scale mixtures of normal distributions", J. R. Stat. Soc. B
    36, 1974, section 3):

    tanh(z) = E_K[2 Φ(z/K) − 1],  P(K ≤ k) = Σ_{n∈ℤ} (−1)^n exp(−2 n² k²),

    and for the error function Φ the Gaussian expectations are known. So

    W φ(q, λ) = (2/π) E_{K,K′} asin(λ / √((q + K²)(q + K′²)))
    V φ′(q)   = (2/π) E_{K,K′} (K² K′² + q (K² + K′²))^{−½}

    without a scale that shrinks as q grows: the same few nodes for K serve every q, from where
    tanh is linear to where it is a sign.
    """

    odd = True

    def log_v(self, log_q):
        """Log V φ(q), V φ(q) = E tanh(z)², z ~ N(0, q)."""
        clipped = np.clip(log_q, -EDGE, EDGE)
        weights, sine, cosine = _angles(clipped)
        v = np.tensordot(weights, np.arctan2(sine, cosine), 1) * (2 / np.pi)
        return np.log(v) + np.minimum(log_q + EDGE, 0)

    def log_v_prime(self, log_q):
        """Log V φ′(q), V φ′(q) = E tanh′(z)²."""
        clipped = np.clip(log_q, -EDGE, EDGE)
        weights, squares, other_squares = _pairs(clipped.ndim)
        spread = squares * other_squares + np.exp(clipped) * (squares + other_squares)
        v = np.tensordot(weights, spread**-0.5, 1) * (2 / np.pi)
        return np.log(v) - np.maximum(log_q - EDGE, 0) / 2

    def gap(self, log_q, u):
        """1 − W φ / V φ of a pair with correlation 1 − u, without cancellation for u → 0."""
        clipped = np.clip(log_q, -EDGE, EDGE)
        weights, sine, cosine = _angles(clipped)
        # tanh is odd, and so is W φ in the correlation.
        near = np.minimum(u, 2 - u)
        correlation, square = 1 - near, near * (2 - near)
        other_cosine = np.sqrt(cosine**2 + sine**2 * square)
        # A − B for sin A = sine, sin B = correlation · sine, by its sine and cosine.
        sine_of_difference = sine * square / (other_cosine + correlation * cosine)
        cosine_of_difference = cosine * other_cosine + correlation * sine**2
        difference = np.arctan2(sine_of_difference, cosine_of_difference)
        gap = np.tensordot(weights, difference, 1) / np.tensordot(
            weights, np.arctan2(sine, cosine), 1
        )
        return np.where(u > 1, 2 - gap, gap)


def _angles(log_q):
    """Weights of the pairs (K, K′), and sine and cosine of asin(q / √((q + K²)(q + K′²)))."""
    weights, squares, other_squares = _pairs(log_q.ndim)
    q = np.exp(log_q)
    product = (q + squares) * (q + other_squares)
    sine = q / np.sqrt(product)
    cosine = np.sqrt((squares * other_squares + q * (squares + other_squares)) / product)
    return weights, sine, cosine


@functools.cache
def _pairs(rank):
    """Weights, K² and K′² of the unordered pairs of nodes, shaped against arrays of a rank."""
    nodes, weights = kolmogorov_rule(NODES)
    i, j = np.triu_indices(NODES)
    shape = (-1, *[1] * rank)
    pair_weights = weights[i] * weights[j] * np.where(i == j, 1, 2)
    squares = nodes**2
    return pair_weights, squares[i].reshape(shape), squares[j].reshape(shape)


def kolmogorov_rule(count):
    """The Gauss rule, in log K, for expectations over Kolmogorov's distribution.

    Args:
        count: Number of nodes.

    Returns:
        Nodes K and weights, (count,) float64 each.
    """
    # Both tails of the density vanish doubly exponentially in log K, where equidistant points
    # are therefore exact to rounding; Lanczos' method takes their Gauss rule.
    log_k = np.linspace(np.log(0.15), np.log(4.5), 100)
    density = _kolmogorov_density(np.exp(log_k)) * np.exp(log_k)
    masses = density / density.sum()
    basis = [np.sqrt(masses)]
    diagonal, off_diagonal = [], []
    for _ in range(count):
        vector = log_k * basis[-1]
        diagonal.append(vector @ basis[-1])
        for earlier in basis:
            vector = vector - (vector @ earlier) * earlier
        off_diagonal.append(np.linalg.norm(vector))
        basis.append(vector / off_diagonal[-1])
    off_diagonal = np.diag(off_diagonal[:-1], 1)
    nodes, vectors = np.linalg.eigh(np.diag(diagonal) + off_diagonal + off_diagonal.T)
    return np.exp(nodes), vectors[0] ** 2


def _kolmogorov_density(k):
    """Density of K; its series for large k, and the one that Poisson's summation gives."""
    k = k[:, None]
    n = np.arange(1, 12)
    large = 8 * k * (-1.0) ** (n - 1) * n**2 * np.exp(-2 * (n * k) ** 2)
    m = (2 * n - 1) ** 2 * np.pi**2 / 8
    small = np.sqrt(2 * np.pi) * np.exp(-m / k**2) * (2 * m / k**4 - 1 / k**2)
    return np.where(k < 1, small, large).sum(axis=1)
