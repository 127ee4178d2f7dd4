"""How lengths, correlations and gradients behave in deep networks: laws, and fits of the curves."""

import dataclasses
import math

import numpy as np

from keras_recres.backend.types import Activation
from keras_recres.layers.checks import check_choice
from keras_recres.probes.mean_field import arguments
from keras_recres.probes.mean_field.prediction import Prediction, predict
from keras_recres.probes.mean_field.suggestion import check_alpha

C = math.sqrt(2 / math.pi)
SHALLOWEST = 64


@dataclasses.dataclass(frozen=True)
class Law:
    """A number that the theory predicts of large depth, beside its fit.

    Attributes:
        name: What `Asymptotics[name]` finds it by.
        equation: Where the number stands, for layer l.
        predicted: By the theory.
        fitted: By least squares over the deeper half of the computed layers, with the next orders
            of the expansion in l among the terms.
    """

    name: str
    equation: str
    predicted: float
    fitted: float


@dataclasses.dataclass(frozen=True, eq=False)
class Asymptotics:
    """Laws of large depth and the curves they are about.

    Attributes:
        laws: A tuple of `Law`.
        prediction: The `Prediction` whose curves were fitted, for e₀ and, in the second column,
            for one that is a ten-thousandth nearer to 1.
    """

    laws: tuple[Law, ...]
    prediction: Prediction

    def __getitem__(self, name: str) -> Law:
        for law in self.laws:
            if law.name == name:
                return law
        raise KeyError(f"{name!r}; there are {', '.join(law.name for law in self.laws)}")

    def __str__(self) -> str:
        rows = [f"{'law':<13} {'predicted':>12} {'fitted':>12}  equation"]
        for law in self.laws:
            rows.append(
                f"{law.name:<13} {law.predicted:>12.6g} {law.fitted:>12.6g}  {law.equation}"
            )
        return "\n".join(rows)


def asymptotics(
    kind: str,
    activation: Activation,
    depth: int = 4096,
    *,
    sigma_w_sq: float = 1.0,
    sigma_b_sq: float = 0.0,
    sigma_v_sq: float = 1.0,
    sigma_a_sq: float = 0.0,
    p0: float = 1.0,
    e0: float = 0.3,
    alpha: float | None = None,
) -> Asymptotics:
    """The laws of large depth l (arXiv 1712.08969, section 3), fitted to the recursion.

    With C = √(2/π), v = σ_v² + σ_a², B = σ_v² σ_w² / 2, and an RRN being σ_v = 1, σ_a = 0:

    - tanh: p ≈ v l − 2 C σ_v² √l / (σ_w √v);  ln χ₀/χ_l ≈ (4/3) C σ_w σ_v² √(l/v);
      e → e*, v e* = σ_v² (2/π) asin e* + σ_a², and what is left of e₀ ~ l^{−δ},
      δ = 1 − (2/π) (σ_v²/v) / √(1 − e*²); e itself reaches e* like l^{−min(δ, ½)}. For σ_a = 0
      e* = 0 and e ~ l^{2/π − 1}: any two inputs become orthogonal.
    - ReLU: p and χ₀/χ_l grow by 1 + B a layer; 1 − e ≈ (3π (1 + B) / (√2 B l))².
    - α-ReLU: p ≈ K l^{1/(1−α)}, K = [σ_v² σ_w^{2α} c_α (1 − α)]^{1/(1−α)};  χ₀/χ_l ~ l^R,
      R = α² / ((1 − α)(2α − 1)), infinite for α ≤ ½;  e → e*, the fixed point of W φ/V φ below
      1, and near e* what is left of e₀ ~ l^{−δ}, δ = (1 − (W φ/V φ)′(e*)) / (1 − α). δ is so
      small (0.12 for α = ¾) that e is far from e* at any usual depth: its law shows the e of the
      last layer, and δ is fitted to two curves that begin at e*, without biases.

    Example:
    >>> from keras_recres.probes import mean_field
    >>> laws = mean_field.asymptotics("frn", "relu", 200, sigma_w_sq=2.0)
    >>> round(laws["p_growth"].fitted, 6)
    2.0

    Args:
        kind: "frn" or "rrn".
        activation: "tanh", "relu" or "alpha_relu".
        depth: Integer ≥ 64, how far the curves are computed.
        sigma_w_sq: σ_w² > 0, a number, as all that follow.
        sigma_b_sq: σ_b² ≥ 0.
        sigma_v_sq: σ_v² > 0; 1 for an RRN.
        sigma_a_sq: σ_a² ≥ 0; 0 for an RRN.
        p0: Mean square of the input's entries, > 0.
        e0: Cosine of two inputs, in (-1, 1).
        alpha: α in (0, 1) of "alpha_relu".

    Returns:
        An `Asymptotics`; `print` shows the laws as a table.

    Raises:
        ValueError: For arguments out of their range.
    """
    check_choice("kind", kind, arguments.RESIDUAL)
    arguments.check_depth(depth)
    if depth < SHALLOWEST:
        raise ValueError(f"`depth` must be at least {SHALLOWEST} for a fit, but it is {depth}.")
    if activation not in arguments.NAMES:
        raise ValueError(
            f"`activation` must be {', '.join(map(repr, arguments.NAMES))}, whose laws are known, "
            f"but it is {activation!r}."
        )
    if alpha is not None and check_alpha(alpha) == 1:
        raise ValueError("`alpha` must be below 1, but it is 1, whose laws are those of 'relu'.")
    given = {
        "sigma_w_sq": sigma_w_sq, "sigma_b_sq": sigma_b_sq, "sigma_v_sq": sigma_v_sq,
        "sigma_a_sq": sigma_a_sq, "p0": p0, "e0": e0,
    }  # fmt: skip
    for name, value in given.items():
        open_end = name in ("sigma_w_sq", "sigma_v_sq")
        if np.ndim(value) or (open_end and value == 0) or (name == "e0" and abs(value) == 1):
            allowed = "a number above 0" if open_end else "a number"
            allowed = "a number in (-1, 1)" if name == "e0" else allowed
            raise ValueError(f"`{name}` must be {allowed}, but it is {value!r}.")
    # A second cosine, so near to the first that the difference is a derivative.
    given["e0"] = np.array([e0, e0 + 1e-4 * (1 - e0)])
    curves = predict(kind, activation, depth, alpha=alpha, **given)
    of = {"tanh": _tanh, "relu": _relu, "alpha_relu": _alpha_relu}[activation]
    return Asymptotics(tuple(of(curves)), curves)


def _tanh(curves):
    w, v = math.sqrt(curves.sigma_w_sq), float(curves.sigma_v_sq)
    total = v + float(curves.sigma_a_sq)
    limit = _fixed_point(lambda e: (v * (2 / np.pi) * np.arcsin(e) + (total - v)) / total)
    delta = 1 - (2 / np.pi) * (v / total) / math.sqrt(1 - limit**2)
    linear, root, *_ = _fit(curves, curves.p[:, 0], (_linear, _root, np.log, _one, _inverse_root))
    yield Law("p_slope", "p ≈ [v] l", total, linear)
    predicted = -2 * C * v / (w * math.sqrt(total))
    yield Law("p_root", "p ≈ v l + [−2 C σ_v² / (σ_w √v)] √l", predicted, root)
    root, *_ = _fit(curves, curves.log_chi_ratio[:, 0], (_root, np.log, _one, _inverse_root))
    predicted = (4 / 3) * C * w * v / math.sqrt(total)
    yield Law("log_chi_root", "ln χ₀/χ_l ≈ [(4/3) C σ_w σ_v² / √v] √l", predicted, root)
    # Powers that the expansion has, but for those too near to another to be told apart.
    rates = [delta]
    rates += [r for r in (0.5, 2 * delta, 1.0) if min(abs(r - other) for other in rates) > 0.02]
    fitted, *_ = _fit(curves, curves.e[:, 0], (_one, *map(_power, rates)))
    yield Law("e_limit", "e → [e*]", limit, fitted)
    yield _memory(curves, delta)


def _relu(curves):
    growth = float(curves.sigma_v_sq * curves.sigma_w_sq) / 2
    slope, *_ = _fit(curves, curves.log_p[:, 0], (_linear, _one))
    yield Law("p_growth", "p ~ [1 + B]^l", 1 + growth, math.exp(slope))
    slope, *_ = _fit(curves, curves.log_chi_ratio[:, 0], (_linear, _one))
    yield Law("chi_growth", "χ₀/χ_l ~ [1 + B]^l", 1 + growth, math.exp(slope))
    slope, *_ = _fit(curves, curves.one_minus_e[:, 0] ** -0.5, (_linear, np.log, _one))
    predicted = math.sqrt(2) * growth / (3 * math.pi * (1 + growth))
    yield Law("e_slope", "(1 − e)^{−½} ≈ [√2 B / (3π (1 + B))] l", predicted, slope)


def _alpha_relu(curves):
    alpha = float(curves.alpha)
    moments = arguments.moments_of("alpha_relu", alpha)
    power = 1 / (1 - alpha)
    log_v, log_w = math.log(curves.sigma_v_sq), math.log(curves.sigma_w_sq)
    branch = math.exp(log_v + alpha * log_w + float(moments.log_v(0.0)))
    slope, *_ = _fit(curves, curves.log_p[:, 0], (np.log, _one, _inverse, _log_over))
    yield Law("p_exponent", "p ~ l^[1/(1−α)]", power, slope)
    slope, *_ = _fit(curves, np.exp(curves.log_p[:, 0] / power), (_linear, np.log, _one))
    yield Law("p_factor", "p ≈ [K] l^{1/(1−α)}", (branch / power) ** power, slope**power)
    if alpha > 0.5:
        slope, *_ = _fit(curves, curves.log_chi_ratio[:, 0], (np.log, _one, _inverse, _log_over))
        predicted = alpha**2 * power / (2 * alpha - 1)
    else:
        slope = predicted = math.inf
    yield Law("chi_exponent", "χ₀/χ_l ~ l^[α² / ((1−α)(2α−1))]", predicted, slope)
    limit = _fixed_point(lambda e: 1 - moments.gap(0.0, 1 - e))
    step = 1e-5 * (1 - limit)
    gaps = moments.gap(0.0, 1 - limit + step * np.array([1, -1]))
    delta = power * (1 - float(gaps[0] - gaps[1]) / (2 * step))
    yield Law("e_limit", "e → [e*]", limit, float(curves.e[-1, 0]))
    # Only within 1 − e* of e* is the approach a power of l, and δ is small.
    near = predict(
        "frn", "alpha_relu", curves.depth, alpha=alpha, p0=curves.p0,
        sigma_w_sq=curves.sigma_w_sq, sigma_v_sq=curves.sigma_v_sq,
        e0=limit + np.array([0, 1e-4 * (1 - limit)]),
    )  # fmt: skip
    yield _memory(near, delta)


def _memory(curves, rate):
    """The law of the difference that the inputs' cosine makes, from two nearby cosines."""
    left = np.log(np.abs(np.diff(curves.one_minus_e, axis=1)[:, 0]))
    slope, *_ = _fit(curves, left, (np.log, _one, _inverse_root, _inverse))
    return Law("e_exponent", "∂e/∂e₀ ~ l^[−δ]", -rate, slope)


def _fixed_point(function):
    """The stable fixed point in [0, 1) of a convex function with function(1) = 1."""
    low, high = 0.0, 1 - 1e-9
    if function(low) <= low:
        return 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > middle else (low, middle)
    return low


def _fit(curves, values, terms):
    """Least squares coefficients of the terms, over the deeper half of the layers."""
    layers = np.unique(np.geomspace(curves.depth / 2, curves.depth, 200).astype(int))
    columns = np.stack([term(layers.astype("float64")) for term in terms], axis=1)
    sizes = np.linalg.norm(columns, axis=0)
    found, *_ = np.linalg.lstsq(columns / sizes, values[layers], rcond=None)
    return [float(c) for c in found / sizes]


def _linear(x):
    return x


def _one(x):
    return np.ones_like(x)


def _root(x):
    return np.sqrt(x)


def _inverse(x):
    return 1 / x


def _inverse_root(x):
    return x**-0.5


def _log_over(x):
    return np.log(x) / x


def _power(rate):
    return lambda x: x**-rate
