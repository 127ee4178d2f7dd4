"""Initial variances for a depth, from the theory."""

import dataclasses
import math

import keras
import numpy as np

from keras_recres.backend.types import Activation
from keras_recres.layers.checks import check_choice, check_count, check_positive
from keras_recres.layers.residual_dense import bias_initializer, weight_initializer
from keras_recres.probes.mean_field import arguments
from keras_recres.probes.mean_field.prediction import sizes

# Largest number, and the distance from 1 to the next one.
DTYPES = {
    "float64": (1.79e308, 2.0**-52),
    "float32": (3.402e38, 2.0**-23),
    "bfloat16": (3.389e38, 2.0**-7),
    "float16": (65504.0, 2.0**-10),
}
# What training may add to the sums of squares before they overflow.
MARGIN = 2.0**10
# … and to entries of six standard deviations.
ENTRIES = 2.0**6
GRADIENT_BUDGET = 2.0
CEILING = 2.0
# Measured, see `suggest`.
SGD_BUDGET = 256.0
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
        limit: What bounds σ_w²: "gradient" (the budget), "dtype" (the largest p^(L)),
            "learning_rate", or "ceiling" (none of them, below the ceiling).
        log_p: Natural logarithm of p^(L).
        log_chi_ratio: ln χ₀/χ_L; for α ≤ ½ ln p^(L)/p₀.
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

    def arguments(self) -> dict[str, float]:
        """The variances by the names of the arguments of `layers.FRN` or `layers.RRN`."""
        names = ["sigma_w_sq", "sigma_b_sq"]
        if self.kind == "frn":
            names += ["sigma_v_sq", "sigma_a_sq"]
        return {name: getattr(self, name) for name in names}

    def initializers(self) -> dict[str, keras.initializers.Initializer]:
        """Keras initializers by the names of the arguments of `layers.FRN` or `layers.RRN`.

        Kernels N(0, σ²/fan_in), not truncated; biases N(0, σ²). Each call makes new ones, which
        draw different values.
        """
        made = {
            "kernel_initializer": weight_initializer(self.sigma_w_sq),
            "bias_initializer": bias_initializer(self.sigma_b_sq),
        }
        if self.kind == "frn":
            made["projection_initializer"] = weight_initializer(self.sigma_v_sq)
            made["output_bias_initializer"] = bias_initializer(self.sigma_a_sq)
        return made


def suggest(
    kind: str,
    activation: Activation,
    depth: int,
    *,
    sigma_b_sq: float = 0.0,
    sigma_v_sq: float = 1.0,
    sigma_a_sq: float = 0.0,
    p0: float = 1.0,
    alpha: float | None = None,
    gradient_budget: float = GRADIENT_BUDGET,
    dtype: str = "float32",
    width: int = 1024,
    ceiling: float = CEILING,
    learning_rate: float | None = None,
) -> Suggestion:
    """The initial σ_w² for a depth: the largest one with which gradients and numbers stay sound.

    He's and Glorot's initialisations do not know the depth; the best σ_w² depends on it (arXiv
    1712.08969, section 4). More variance makes inputs easier to tell apart, until

    - gradients explode: tanh: ln(χ₀/χ_L) ≈ (4/3) √(2/π) σ_w √L · σ_v²/√(σ_v² + σ_a²) (in an RRN
      without the last factor), so that σ_w √L is what a budget bounds; ReLU: without biases
      χ₀/χ_L = p^(L)/p₀ = (1 + σ_v² σ_w²/2)^L, so that the budget bounds p^(L), too;
    - numbers grow too large for the dtype (ReLU and α-ReLU): p^(L) ≤ `largest_p`.

    The bounds are found with the exact recursion, and the smallest of them and `ceiling` is taken.
    `gradient_budget=math.inf` leaves the bound of the dtype alone: what can be computed, which is
    far more than what optimisers of usual learning rates can train.

    It must not be used for a tanh FRN with plain SGD where the rate η times N units times L layers
    is 128: no training came through. At 14 or less all did, at 32 to 38 four of six (and all three
    of 50 layers of 64, of the study `mnist_init`). On MNIST at 14 × 14 pixels, 200 steps, one or
    two seeds, the suggestion and Xavier's σ_w² = 1 reached, in percent:

        network          η      η N L  suggested   Xavier
        FRN, 200 of 64   0.001   13    87.3, 87.4  54.7, 55.2
        FRN, 200 of 64   0.003   38    86.5, 86.5  59.1, 50.8
        FRN, 200 of 64   0.01   128    24.4, 17.1  76.5, 73.1 (300 steps)
        RRN, 200 of 64   0.001   13    86.4, 86.8  63.6, 65.0
        FRN, 400 of 32   0.003   38    38.9        71.8
        FRN, 100 of 128  0.003   38    88.5        74.2
        FRN, 100 of 128  0.01   128    15.9        74.1
        FRN, 100 of 32   0.002    6    84.2, 84.8  71.7, 72.5
        FRN, 100 of 32   0.01    32    85.6, 62.5  75.8, 71.5
        FRN, 100 of 32   0.04   128    11.2, 36.4  69.2, 10.7
        RRN, 100 of 32   0.01    32    84.4, 86.2  75.4, 79.5
        RRN, 100 of 32   0.04   128    85.2, 85.2  83.5, 81.7

    At the rate too large no σ_w² was a cure: a third of the suggestion's, which `learning_rate`
    gives in the third line, reached 24.3 and 11.2 %; at 28 × 28 pixels six from 5e-4 to 1 reached
    13 to 85 % in that FRN, in no order. In an RRN of 200 layers of 64 at η = 0.01 Xavier is ahead
    there, by 82 to 78 % (300 steps, three seeds).

    Where the `learning_rate` η of plain SGD is known, it bounds what ReLU networks can bear:
    η N Σ_l (χ_w + χ_v) ≤ 256, the rate times the squared norm of a logit's gradient, the weights of
    the last map being N(0, 1/N). On MNIST all ReLU networks of 10 to 100 layers, 32 to 128 wide,
    came through 200 to 300 steps below 278 at rates 1e-4 to 1e-2, and all above 7,400 diverged.

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
        gradient_budget: The largest ln(χ₀/χ_L), > 0. 2 is a root mean square gradient e ≈ 2.7
            times as large at the input as at the output. For α ≤ ½, where the theory's χ is
            infinite, the largest ln(p^(L)/p₀).
        dtype: What the network computes in: "float32", "bfloat16", "float16" or "float64".
        width: Integer ≥ 1, the units of the layers.
        ceiling: The largest σ_w² ever suggested, > 0. In a shallow network neither bound binds,
            and the theory of large L says nothing; 2 is He's.
        learning_rate: η > 0 of plain SGD, which then bounds σ_w², too; with an infinite
            `gradient_budget` it is what a ReLU network can just bear. It does not make too large a
            rate fit for tanh, see above. None for no such bound.

    Returns:
        A `Suggestion`.

    Raises:
        ValueError: For arguments out of their range, and where no σ_w² is safe in the dtype.
    """
    check_choice("kind", kind, arguments.RESIDUAL)
    arguments.check_depth(depth)
    check_count("width", width)
    check_positive("ceiling", ceiling)
    moments = arguments.moments_of(activation, None if alpha is None else check_alpha(alpha))
    check_positive("gradient_budget", gradient_budget)
    check_positive("p0", p0)
    check_positive("sigma_v_sq", sigma_v_sq)
    if learning_rate is not None:
        check_positive("learning_rate", learning_rate)
    given = {
        "sigma_b_sq": arguments.variance("sigma_b_sq", sigma_b_sq),
        "sigma_v_sq": arguments.variance("sigma_v_sq", sigma_v_sq),
        "sigma_a_sq": arguments.variance("sigma_a_sq", sigma_a_sq),
        "p0": np.asarray(p0, dtype="float64"),
    }
    arguments.check_one_matrix(kind, moments, sigma_v_sq, sigma_a_sq)
    log_largest_p = math.log(largest_p(dtype, width))

    def bounded(sigma_w_sq):
        """Log p^(L), ln χ₀/χ_L, and which bounds are passed, for every σ_w²."""
        found = sizes(kind, moments, depth, {**given, "sigma_w_sq": sigma_w_sq})
        log_p, log_ratio = found["log_p"][-1], growth_of_gradients(found, alpha, p0)[-1]
        passed = {"dtype": log_p > log_largest_p, "gradient": log_ratio > gradient_budget}
        if learning_rate is not None:
            log_step = math.log(learning_rate * width) + _log_gradient_norm_sq(found)
            passed["learning_rate"] = log_step > math.log(SGD_BUDGET)
        return log_p, log_ratio, passed

    low, high, limit = min(LOWEST, ceiling), float(ceiling), "ceiling"
    # Each turn keeps the interval at whose upper end a bound is passed for good: the gradient by W
    # of an α-ReLU network grows again for small σ_w².
    for _ in range(7):
        grid = np.geomspace(low, high, 33)
        _, _, passed = bounded(grid)
        sound = np.flatnonzero(~np.any([*passed.values()], axis=0))
        if len(sound) == 0:
            what = {
                "dtype": f"p^(L) above {math.exp(log_largest_p):.3g}, the largest safe in {dtype}",
                "gradient": f"ln(χ₀/χ_L) above the `gradient_budget` {gradient_budget!r}",
                "learning_rate": "gradients too large for the `learning_rate` "
                f"{learning_rate!r} of SGD at `width` {width}",
            }
            too_much = max(passed, key=lambda name: passed[name].sum())
            raise ValueError(
                f"`depth` {depth} has {what[too_much]}, for every σ_w²: choose smaller σ_v², σ_a² "
                "or `p0`."
            )
        last = int(sound[-1])
        if last == len(grid) - 1:
            break
        limit = next(name for name, values in passed.items() if values[last + 1])
        low, high = grid[last], grid[last + 1]
    high = high if limit == "ceiling" else low
    log_p, log_ratio, _ = bounded(np.array([high]))
    return Suggestion(
        kind, activation, None if alpha is None else float(alpha), depth,
        float(high), float(sigma_b_sq), float(sigma_v_sq), float(sigma_a_sq),
        limit, float(log_p[0]), float(log_ratio[0]), log_largest_p,
    )  # fmt: skip


def largest_p(dtype: str, width: int) -> float:
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
        ValueError: For another dtype, or a width that is not such an integer.
    """
    check_count("width", width)
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` must be one of {', '.join(DTYPES)}, but it is {dtype!r}.")
    largest, eps = DTYPES[dtype]
    largest_sum = max(largest, DTYPES["float32"][0])
    entries = math.exp(min(2 * math.log(largest / ENTRIES), 700))
    return min(largest_sum / MARGIN / width**2, entries, eps**-2)


def _log_gradient_norm_sq(found):
    """Ln Σ_l (χ_w + χ_v), where `found` is what `sizes` gives; χ_L = 1."""
    terms = [found["log_chi_w"][1:]]
    if found["log_chi_v"] is not None:
        terms.append(found["log_chi_v"][1:])
    return np.logaddexp.reduce(np.concatenate(terms), axis=0)


def growth_of_gradients(found, alpha, p0):
    """Ln χ₀/χ_l for each layer; for α ≤ ½, where χ is infinite, ln p^(l)/p₀.

    The two are the same in a ReLU network without biases.

    Args:
        found: What `sizes` found.
        alpha: α, or None.
        p0: Mean square of the input's entries.

    Returns:
        A float64 array.
    """
    if alpha is None or alpha > 0.5:
        return found["log_chi_ratio"]
    return found["log_p"] - np.log(p0)


def check_alpha(alpha):
    """`alpha`, if it is a number.

    Raises:
        ValueError: If it is several.
    """
    if np.ndim(alpha):
        raise ValueError(f"`alpha` must be a single number here, but it is {alpha!r}.")
    return alpha
