"""Initial variances for a depth, from the theory."""

import dataclasses
import math

import keras
import numpy as np

from keras_recres.layers.checks import check_count, check_positive
from keras_recres.probes.mean_field import arguments
from keras_recres.probes.mean_field.prediction import sizes

# Largest number, and the distance from 1 to the next one.
DTYPES = {
    "float64": (1.797e308, 2.0**-52),
    "float32": (3.402e38, 2.0**-23),
    "bfloat16": (3.389e38, 2.0**-7),
    "float16": (65504.0, 2.0**-10),
}
# What training may add to the sums of squares before they overflow.
MARGIN = 2.0**10
# … and to entries of six standard deviations.
ENTRIES = 2.0**6
GRADIENT_BUDGET = 4.0
CEILING = 2.0
LOWEST = 1e-8


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """Initial variances for a network of one depth, and what they were chosen for.

    Attributes:
        kind: "frn" or "rrn".
        activation: φ.
        alpha: α of "alpha_relu", else None.
        depth: L.
        sigma_w_sq: σ_w², the one that was chosen.
        sigma_b_sq: σ_b², as given.
        sigma_v_sq: σ_v², as given.
        sigma_a_sq: σ_a², as given.
        limit: What bounds σ_w²: "gradient" (the budget), "dtype" (the largest p^(L)), or
            "ceiling" (neither, below the ceiling).
        log_p: Natural logarithm of p^(L).
        log_chi_ratio: ln χ₀/χ_L.
        log_largest_p: Natural logarithm of the largest safe p^(L) (see `largest_p`).
    """

    kind: str
    activation: object
    alpha: float | None
    depth: int
    sigma_w_sq: float
    sigma_b_sq: float
    sigma_v_sq: float
    sigma_a_sq: float
    limit: str
    log_p: float
    log_chi_ratio: float
    log_largest_p: float

    def arguments(self):
        """The variances by the names of the arguments of `layers.FRN` or `layers.RRN`."""
        names = ["sigma_w_sq", "sigma_b_sq"]
        if self.kind == "frn":
            names += ["sigma_v_sq", "sigma_a_sq"]
        return {name: getattr(self, name) for name in names}

    def initializers(self):
        """Keras initializers by the names of the arguments of `layers.FRN` or `layers.RRN`.

        Kernels N(0, σ²/fan_in), not truncated; biases N(0, σ²). Each call makes new ones, which
        draw different values.
        """
        made = {
            "kernel_initializer": _kernel_initializer(self.sigma_w_sq),
            "bias_initializer": _bias_initializer(self.sigma_b_sq),
        }
        if self.kind == "frn":
            made["projection_initializer"] = _kernel_initializer(self.sigma_v_sq)
            made["output_bias_initializer"] = _bias_initializer(self.sigma_a_sq)
        return made


def suggest(
    kind,
    activation,
    depth,
    *,
    sigma_b_sq=0.0,
    sigma_v_sq=1.0,
    sigma_a_sq=0.0,
    p0=1.0,
    alpha=None,
    gradient_budget=None,
    dtype="float32",
    width=1024,
    ceiling=CEILING,
):
    """The initial σ_w² for a depth: the largest one with which gradients and sums stay sound.

    He's and Glorot's initialisations do not know the depth; the best σ_w² depends on it (arXiv
    1712.08969, section 4). More variance makes inputs easier to tell apart, until

    - tanh: gradients explode, ln(χ₀/χ_L) ≈ (4/3) √(2/π) σ_w √L · σ_v²/√(σ_v² + σ_a²) (in an RRN
      without the last factor), so σ_w √L is what a budget bounds;
    - ReLU and α-ReLU: numbers grow too large for the dtype, `largest_p`.

    Both bounds are found with the exact recursion, and the smaller of the two and `ceiling` is
    taken.

    Example:
    >>> from keras_recres.probes import mean_field
    >>> deep = mean_field.suggest("frn", "tanh", 200)
    >>> layer = keras_recres.layers.FRN(512, activation="tanh", **deep.arguments())

    Args:
        kind: "frn" or "rrn".
        activation: "tanh", "relu", "alpha_relu" or a callable, as in `predict`.
        depth: Integer L ≥ 1.
        sigma_b_sq: σ_b² ≥ 0.
        sigma_v_sq: σ_v² > 0; 1 for an RRN.
        sigma_a_sq: σ_a² ≥ 0; 0 for an RRN.
        p0: Mean square of the entries of the first layer's input, > 0.
        alpha: α in (0, 1] of "alpha_relu".
        gradient_budget: The largest ln(χ₀/χ_L), > 0. None: 4 (a root mean square gradient e² ≈ 7
            times as large at the input as at the output) for tanh and for callables, no bound for
            ReLU and α-ReLU, whose gradients grow as their features do.
        dtype: What the network computes in: "float32", "bfloat16", "float16" or "float64".
        width: Integer ≥ 1, the units of the layers.
        ceiling: The largest σ_w² ever suggested, > 0. In a shallow network neither bound binds,
            and the theory of large L says nothing; 2 is He's.

    Returns:
        A `Suggestion`.

    Raises:
        ValueError: For arguments out of their range, and where no σ_w² is safe in the dtype.
    """
    arguments.check_kind(kind)
    arguments.check_depth(depth)
    check_count("width", width)
    check_positive("ceiling", ceiling)
    moments = arguments.moments_of(activation, None if alpha is None else check_alpha(alpha))
    if gradient_budget is None:
        gradient_budget = math.inf if activation in ("relu", "alpha_relu") else GRADIENT_BUDGET
    check_positive("gradient_budget", gradient_budget)
    check_positive("p0", p0)
    check_positive("sigma_v_sq", sigma_v_sq)
    given = {
        "sigma_b_sq": arguments.variance("sigma_b_sq", sigma_b_sq),
        "sigma_v_sq": arguments.variance("sigma_v_sq", sigma_v_sq),
        "sigma_a_sq": arguments.variance("sigma_a_sq", sigma_a_sq),
        "p0": np.asarray(p0, dtype="float64"),
    }
    if kind == "rrn":
        arguments.check_rrn(moments, sigma_v_sq, sigma_a_sq)
    log_largest_p = math.log(largest_p(dtype, width))

    def bounded(sigma_w_sq):
        """Log p^(L), ln χ₀/χ_L, and what of the two is too large, for every σ_w²."""
        found = sizes(kind, moments, depth, {**given, "sigma_w_sq": sigma_w_sq})
        log_p, log_ratio = found["log_p"][-1], found["log_chi_ratio"][-1]
        return log_p, log_ratio, log_p > log_largest_p, log_ratio > gradient_budget

    low, high = min(LOWEST, ceiling), float(ceiling)
    _, _, too_large, too_steep = bounded(np.array([low, high]))
    if too_large[0] or too_steep[0]:
        what = f"p^(L) above {math.exp(log_largest_p):.3g}, the largest safe in {dtype}"
        if not too_large[0]:
            what = f"ln(χ₀/χ_L) above the `gradient_budget` {gradient_budget!r}"
        raise ValueError(
            f"`depth` {depth} has {what}, for every σ_w²: choose smaller σ_v², σ_a² or `p0`."
        )
    limit = "ceiling"
    if too_large[1] or too_steep[1]:
        # Both bounds grow with σ_w²: each turn keeps the interval in which the first is passed.
        for _ in range(7):
            grid = np.geomspace(low, high, 33)
            _, _, too_large, too_steep = bounded(grid)
            first = int(np.argmax(too_large | too_steep))
            limit = "dtype" if too_large[first] else "gradient"
            low, high = grid[first - 1], grid[first]
        high = low
    log_p, log_ratio, _, _ = bounded(np.array([high]))
    return Suggestion(
        kind, activation, None if alpha is None else float(alpha), depth,
        float(high), float(sigma_b_sq), float(sigma_v_sq), float(sigma_a_sq),
        limit, float(log_p[0]), float(log_ratio[0]), log_largest_p,
    )  # fmt: skip


def largest_p(dtype, width):
    """The largest mean square p of the features that is safe in a dtype.

    Three bounds, the smallest of which holds:

    - sums: N² p ≤ max / 2¹⁰ in the dtype of sums, which is float32 for both 16-bit dtypes. N p is
      the squared norm of the features, and by the theory N² χ_w ~ N² p^(L) χ_L that of a kernel's
      gradient in any layer of a ReLU network, where χ_L is at most of order 1. 2¹⁰ is left for
      training.
    - entries: 2⁶ √p ≤ max: six standard deviations, and ten times that.
    - resolution: √p ≤ 1/eps. What is of order 1, the biases and the input itself, is otherwise
      rounded away where it is added to features of size √p.

    For any usual width it is the resolution: 7.0e13 in float32, 1.6e4 in bfloat16, 1.0e6 in
    float16, 2.0e31 in float64.

    Args:
        dtype: "float32", "bfloat16", "float16" or "float64".
        width: Integer ≥ 1, N.

    Returns:
        A float.

    Raises:
        ValueError: For another dtype, or a width that is no such integer.
    """
    check_count("width", width)
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {', '.join(DTYPES)}, but it is {dtype!r}.")
    largest, eps = DTYPES[dtype]
    largest_sum = max(largest, DTYPES["float32"][0])
    return min(largest_sum / MARGIN / width**2, (largest / ENTRIES) ** 2, eps**-2)


def check_alpha(alpha):
    """`alpha`, if it is a number.

    Raises:
        ValueError: If it is several.
    """
    if np.ndim(alpha):
        raise ValueError(f"`alpha` must be a single number here, but it is {alpha!r}.")
    return alpha


def _kernel_initializer(variance):
    if variance == 0:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(variance, "fan_in", "untruncated_normal")


def _bias_initializer(variance):
    if variance == 0:
        return keras.initializers.Zeros()
    return keras.initializers.RandomNormal(stddev=math.sqrt(variance))
