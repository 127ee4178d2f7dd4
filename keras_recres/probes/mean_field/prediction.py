"""The mean-field recursions: lengths, correlations and gradients, layer by layer."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_recres.backend.types import Activation
from keras_recres.layers.checks import check_choice
from keras_recres.probes.mean_field import arguments

_LOGARITHMS = (
    "p", "q", "s", "v_phi", "v_dphi", "chi_ratio", "chi", "chi_w", "chi_b", "chi_v", "chi_a",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What the theory says of every layer of a network at initialisation.

    All arrays are float64 of shape (depth + 1,) + the common shape of the hyperparameters. Row l
    belongs to layer l; row 0 is the input, which has p, γ, e, s and χ and no layer: the other
    rows 0 are nan, and there is no other nan. Quantities that outgrow float64 are kept as
    logarithms (`log_p`, …, natural ones); as they are (`p`, …) they are then inf, or 0 where they
    vanish.

    Attributes:
        p: E x_i², the mean square of the state.
        q: E h_i², the variance of the pre-activation.
        gamma: E x_i x′_i, the states of two inputs.
        lam: E h_i h′_i, λ of the slides.
        e: γ/p, their cosine.
        c: λ/q, the correlation of their pre-activations.
        one_minus_e: 1 − e, without cancellation.
        s: p − γ, half their mean squared distance.
        v_phi: V φ(q) = E φ(h_i)².
        v_dphi: V φ′(q) = E φ′(h_i)².
        chi_ratio: χ₀/χ_l, how much larger the mean square of the gradient is at the input than at
            layer l.
        chi: χ_l/χ_L, the gradient that reaches the state of layer l, that of the output being 1.
        chi_w: mean square of ∂E/∂W of layer l, a single entry, where χ_L = 1.
        chi_b: … of ∂E/∂b.
        chi_v: … of ∂E/∂V; None but for an FRN.
        chi_a: … of ∂E/∂a; None but for an FRN.
    """

    kind: str
    activation: object
    depth: int
    alpha: object
    sigma_w_sq: object
    sigma_b_sq: object
    sigma_v_sq: object
    sigma_a_sq: object
    p0: object
    e0: object
    one_minus_e: np.ndarray
    c: np.ndarray
    log_p: np.ndarray
    log_q: np.ndarray
    log_s: np.ndarray
    log_v_phi: np.ndarray
    log_v_dphi: np.ndarray
    log_chi_ratio: np.ndarray
    log_chi: np.ndarray
    log_chi_w: np.ndarray
    log_chi_b: np.ndarray
    log_chi_v: np.ndarray | None
    log_chi_a: np.ndarray | None

    def __getattr__(self, name: str) -> np.ndarray | None:
        if name not in _LOGARITHMS:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")
        logarithm = getattr(self, "log_" + name)
        with np.errstate(over="ignore"):
            return None if logarithm is None else np.exp(logarithm)

    def __dir__(self):
        return [*super().__dir__(), *_LOGARITHMS]

    @property
    def e(self) -> np.ndarray:
        """γ/p, the cosine of two inputs' states."""
        return 1 - self.one_minus_e

    @property
    def gamma(self) -> np.ndarray:
        """γ = E x_i x′_i."""
        return _product(self.e, self.p)

    @property
    def lam(self) -> np.ndarray:
        """λ = E h_i h′_i."""
        return _product(self.c, self.q)

    @property
    def layers(self) -> np.ndarray:
        """0 … depth."""
        return np.arange(self.depth + 1)


def predict(
    kind: str,
    activation: Activation,
    depth: int,
    *,
    sigma_w_sq: float = 1.0,
    sigma_b_sq: float = 0.0,
    sigma_v_sq: float = 1.0,
    sigma_a_sq: float = 0.0,
    p0: float = 1.0,
    e0: float = 0.3,
    alpha: float | None = None,
    derivative: Callable[..., Any] | None = None,
) -> Prediction:
    """Lengths, correlations and gradients of an infinitely wide network, layer by layer.

    With h = W x + b, W_ij ~ N(0, σ_w²/N), V_ij ~ N(0, σ_v²/N), b_i ~ N(0, σ_b²), a_i ~ N(0, σ_a²)
    (G. Yang and S. S. Schoenholz, "Mean field residual networks: on the edge of chaos",
    arXiv 1712.08969, section 2):

    q = σ_w² p₋ + σ_b²,  λ = σ_w² γ₋ + σ_b²
    RRN, x ← φ(h) + x:         p = V φ(q) + p₋,               γ = W φ(q, λ) + γ₋
    FRN, x ← V φ(h) + x + a:   p = σ_v² V φ(q) + σ_a² + p₋,   γ = σ_v² W φ(q, λ) + σ_a² + γ₋

    and backward, a loss' gradient being independent of the weights (σ_v² = 1 in an RRN):

    χ₋ = (1 + σ_v² σ_w² V φ′(q)) χ,  χ_b = σ_v² V φ′(q) χ,  χ_w = p₋ χ_b,  χ_v = V φ(q) χ,  χ_a = χ.

    Without shortcuts, x ← φ(h) (arXiv 1606.05340, 1611.01232): p = V φ(q), so that
    q = σ_w² V φ(q₋) + σ_b², γ = W φ(q, λ) and χ₋ = σ_w² V φ′(q) χ. Below a critical σ_w² (see
    `Phase.critical`) all inputs become alike and gradients vanish, above it they explode, both as
    eˡ; at it, 1 for tanh and 2 for ReLU without biases, neither is exponential.

    Example:
    >>> from keras_recres.probes import mean_field
    >>> mean_field.predict("frn", "relu", 2, sigma_w_sq=2.0).p
    array([1., 2., 4.])

    Args:
        kind: "frn", "rrn" or "plain".
        activation: "tanh" (exact), "relu", "alpha_relu" (closed forms), or a callable φ on float64
            arrays, whose moments are found by quadrature: milliseconds a layer and setting.
        depth: Integer L ≥ 1.
        sigma_w_sq: σ_w² ≥ 0. This and all that follow are numbers or arrays of one common
            (broadcast) shape.
        sigma_b_sq: σ_b² ≥ 0.
        sigma_v_sq: σ_v² ≥ 0; 1 but for an FRN.
        sigma_a_sq: σ_a² ≥ 0; 0 but for an FRN.
        p0: Mean square of the input's entries, > 0.
        e0: Cosine of two inputs of that length, in [-1, 1].
        alpha: α in (0, 1] of "alpha_relu". For α ≤ ½ V φ′, and with it every χ before the last
            layer, is infinite; for α ≤ ¾ its estimate from one network has an infinite variance.
        derivative: φ′ of a callable φ; None for a difference quotient.

    Returns:
        A `Prediction`.

    Raises:
        ValueError: For arguments out of their range, and for an RRN whose φ is not odd.
    """
    check_choice("kind", kind, arguments.KINDS)
    arguments.check_depth(depth)
    moments = arguments.moments_of(activation, alpha, derivative)
    given = {
        name: arguments.variance(name, value)
        for name, value in (
            ("sigma_w_sq", sigma_w_sq),
            ("sigma_b_sq", sigma_b_sq),
            ("sigma_v_sq", sigma_v_sq),
            ("sigma_a_sq", sigma_a_sq),
        )
    }
    arguments.check_one_matrix(kind, moments, sigma_v_sq, sigma_a_sq)
    given["p0"] = arguments.numbers_in(
        "p0", p0, 0, np.inf, "a finite number above 0, or several", low_open=True
    )
    given["e0"] = arguments.numbers_in("e0", e0, -1, 1, "a number in [-1, 1], or several")
    given["alpha"] = None if alpha is None else np.asarray(alpha, dtype="float64")
    try:
        shape = np.broadcast_shapes(*(v.shape for v in given.values() if v is not None))
    except ValueError:
        shapes = {name: v.shape for name, v in given.items() if v is not None and v.shape}
        raise ValueError(
            f"the hyperparameters must have shapes that broadcast, but they have {shapes}."
        ) from None
    with np.errstate(divide="ignore"):
        forward = _forward(kind, moments, depth, shape, given)
        backward = _backward(kind, given, **forward)
    return Prediction(kind=kind, activation=activation, depth=depth, **given, **forward, **backward)


def sizes(kind, moments, depth, given):
    """Log p, log χ₀/χ_l and the rest of `Prediction` but for what needs a pair of inputs.

    The pair costs most of the time where moments are found by quadrature.

    Args:
        kind: "frn", "rrn" or "plain".
        moments: From `arguments.moments_of`.
        depth: Integer L ≥ 1.
        given: dict of the hyperparameters, checked float64 arrays.

    Returns:
        A dict of the logarithms.
    """
    given = {**given, "e0": np.asarray(np.nan)}
    shape = np.broadcast_shapes(*(v.shape for v in given.values()))
    with np.errstate(divide="ignore"):
        forward = _forward(kind, moments, depth, shape, given, pairs=False)
        return {**forward, **_backward(kind, given, **forward)}


def _forward(kind, moments, depth, shape, given, pairs=True):
    residual = kind in arguments.RESIDUAL
    log_w, log_b, log_v, log_a = (
        np.log(given[f"sigma_{name}_sq"]) for name in ("w", "b", "v", "a")
    )
    names = ("log_p", "one_minus_e", "log_q", "c", "log_v_phi", "log_v_dphi")
    rows = {name: np.full((depth + 1, *shape), np.nan) for name in names}
    log_p = rows["log_p"][0] = np.broadcast_to(np.log(given["p0"]), shape)
    # The state of the recursion is u = 1 − e: e near 1 is where inputs are hard to tell apart.
    u = rows["one_minus_e"][0] = np.broadcast_to(1 - given["e0"], shape)
    for layer in range(1, depth + 1):
        log_wp = log_w + log_p
        log_q = np.logaddexp(log_wp, log_b)
        # 1 − c = σ_w² s / q; where q = 0 it is the limit for σ_w → 0, σ_b = 0.
        share = np.exp(np.where(log_q > -np.inf, log_wp, 0) - np.where(log_q > -np.inf, log_q, 0))
        v = moments.log_v(log_q)
        distance = share * u
        gap = moments.gap(log_q, distance) if pairs else np.nan
        log_branch = log_v + v
        if residual:
            next_log_p = np.logaddexp(np.logaddexp(log_p, log_branch), log_a)
            u = np.exp(log_p - next_log_p) * u + np.exp(log_branch - next_log_p) * gap
        else:
            next_log_p, u = log_branch, np.broadcast_to(gap, shape)
        u = np.clip(u, 0, 2)
        log_p = next_log_p
        values = (log_p, u, log_q, 1 - distance, v, moments.log_v_prime(log_q))
        for name, value in zip(names, values, strict=True):
            rows[name][layer] = value
    return {**rows, "log_s": rows["log_p"] + np.log(rows["one_minus_e"])}


def _backward(kind, given, log_p, log_v_phi, log_v_dphi, **_):
    log_w, log_v = (np.log(given[f"sigma_{name}_sq"]) for name in ("w", "v"))
    # What does not pass through the branch is zero, also where V φ′ is infinite.
    log_b = np.where(log_v > -np.inf, log_v + np.where(log_v > -np.inf, log_v_dphi, 0), -np.inf)
    through = np.where(log_w > -np.inf, log_w + np.where(log_w > -np.inf, log_b, 0), -np.inf)
    log_factor = np.logaddexp(0, through[1:]) if kind in arguments.RESIDUAL else through[1:]
    none = np.zeros_like(log_p[:1])
    ratio = np.concatenate([none, np.cumsum(log_factor, axis=0)])
    # Summed from the end: the difference of two infinite sums would be nan.
    chi = np.concatenate([np.cumsum(log_factor[::-1], axis=0)[::-1], none])
    no_layer = np.full_like(none, np.nan)
    chi_b = np.concatenate([no_layer, chi[1:] + log_b[1:]])
    return {
        "log_chi_ratio": ratio,
        "log_chi": chi,
        "log_chi_b": chi_b,
        "log_chi_w": np.concatenate([no_layer, chi_b[1:] + log_p[:-1]]),
        "log_chi_v": chi + log_v_phi if kind == "frn" else None,
        "log_chi_a": np.concatenate([no_layer, chi[1:]]) if kind == "frn" else None,
    }


def _product(factor, large):
    """Factor · large, and 0 where the factor is, even if `large` is inf."""
    return np.where(factor == 0, 0.0, factor * np.where(factor == 0, 0.0, large))
