"""AlphaReLU: a power of the positive part, with a bounded slope at zero."""

import math
import numbers
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_above_one, takes_numpy

MAX_SLOPE = 100.0
# What a learnable α is kept in: α = 0 would be a step, which has no gradient.
MIN_ALPHA, MAX_ALPHA = 0.01, 1.0
# Per dtype: the smallest number that no machine flushes to zero, and the largest.
LIMITS = {
    "float16": (6.2e-5, 65504.0),
    "bfloat16": (1.2e-38, 3.38e38),
    "float32": (1.2e-38, 3.40e38),
    "float64": (2.3e-308, 1.79e308),
}


def linear_below(alpha, max_slope=MAX_SLOPE):
    """ε = M^(−1/(1−α)), where x^α and M·x meet; 0 for α = 1.

    Args:
        alpha: α, a number in (0, 1].
        max_slope: M, a number above 1.
    """
    return 0.0 if alpha == 1 else math.exp(-math.log(max_slope) / (1 - alpha))


@keras.saving.register_keras_serializable(package="keras_recres")
def alpha_relu(x, alpha=0.75, max_slope=MAX_SLOPE):
    """min(x^α, M·x) for x > 0, else 0: what `AlphaReLU` computes, as a plain function.

    Args:
        x: Tensor of floats.
        alpha: α, a number in (0, 1], or a scalar tensor in it, through which gradients flow.
        max_slope: M, a number above 1.

    Returns:
        A tensor of the shape and dtype of `x`.
    """
    x = ops.convert_to_tensor(x)
    smallest, largest = LIMITS[keras.backend.standardize_dtype(x.dtype)]
    if isinstance(alpha, numbers.Real):
        # Never so near to zero that a machine flushes x to it, and takes a power of zero.
        border = max(linear_below(alpha, max_slope), smallest)
        slope, exponent = border ** (alpha - 1), alpha
    else:
        alpha = ops.cast(alpha, x.dtype)
        fixed = ops.stop_gradient(alpha)
        # For α = 1 the exponential is 0.
        border = ops.exp(-math.log(max_slope) / _at_least(smallest**0.5, 1 - fixed))
        border = _at_least(smallest, border)
        slope = border ** (fixed - 1)
        # x^α ln x is too large for the dtype there.
        exponent = ops.where(x > largest / math.log(largest), fixed, alpha)
    # Each branch must be finite where the other one counts: an infinite slope times 0 is NaN.
    as_power = x > border
    power = ops.where(as_power, x, ops.ones_like(x)) ** exponent
    line = slope * ops.where(x <= 0, ops.zeros_like(x), x)
    return ops.where(as_power, power, line)


def _at_least(bound, x):
    # Keras' `maximum` and `clip` on PyTorch round float64 to float32.
    return ops.where(x > bound, x, bound * ops.ones_like(x))


@keras.saving.register_keras_serializable(package="keras_recres")
class AlphaRange(keras.constraints.Constraint):
    """Keeps a learnable α in [0.01, 1]."""

    def __call__(self, w):
        return ops.clip(w, MIN_ALPHA, MAX_ALPHA)


@keras.saving.register_keras_serializable(package="keras_recres")
class AlphaReLU(keras.layers.Layer):
    """The power x^α of the positive part, with a slope of at most M.

    φ(x) = min(x^α, M·x) for x > 0, else 0

    which is ψ_α of arXiv 1712.08969, section 2, but for the M: x^α itself has an infinite slope at
    0, and the gradient of pow(relu(x), α) on TensorFlow is NaN for every x ≤ 0. Below
    ε = M^(−1/(1−α)) the curve is the straight line from the origin that meets x^α there; above, it
    is x^α to the last bit. Value and slope are finite for every finite x in every dtype (where ε is
    below the smallest normal number of the dtype, that number takes its place). For α = 1 it is
    the ReLU.

    What the line costs, with z ~ N(0, q):

    - |φ(x) − x^α| ≤ (1−α) (α/M)^(α/(1−α)), only for 0 < x < ε: 1e-7 for α = 0.75 and M = 100,
      0.0025 for α = 0.5, 0.42 for α = 0.1, where ε is 0.006.
    - E φ(z)² is too small by at most (1/(2α+1) − 1/3) ε^(2α+1) / √(2πq): 3e-22, 7e-10, 4e-4.
    - E φ′(z)² is too small by at most (1−α)²/(2α−1) ε^(2α−1) / √(2πq) for α > ½: 5e-6 for
      α = 0.75, 0.03 for α = 0.6, where a larger M helps slowly.

    For α ≤ ½ the E φ′(z)² of x^α is infinite, so that mean-field theory has no backward pass; here
    it is finite and set by M, about (1−α)²/(1−2α) M^((1−2α)/(1−α)) / √(2πq) for α < ½ (24 for
    α = 0.1), and gradients grow by it from layer to layer: choose M by it. For α ≤ ¾ it is
    E φ′(z)⁴ that is infinite for x^α: theory has a gradient, but its mean over the neurons of one
    network converges so slowly that single networks scatter widely about it.

    Example:
    >>> keras_recres.layers.AlphaReLU(0.5)(keras.ops.array([-1.0, 0.0, 4.0]))
    [0.0, 0.0, 2.0]
    >>> keras.layers.Dense(8, activation=keras_recres.layers.AlphaReLU(0.75))

    Args:
        alpha: α, a number in (0, 1]; the initial one, if it is learnable.
        learnable: Boolean, whether α is a trained weight, one for the layer. Optimizers keep it
            in [0.01, 1]. Its gradient is x^α ln x on x > ε, and 0 on the line and where that
            overflows.
        max_slope: M, a number above 1.

    Input shape: any.

    Output shape: that of the input.

    Raises:
        ValueError: For an α or M out of its range.
    """

    @takes_numpy
    def __init__(
        self, alpha: float, learnable: bool = False, max_slope: float = MAX_SLOPE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(alpha, numbers.Real) or isinstance(alpha, bool) or not 0 < alpha <= 1:
            raise ValueError(f"`alpha` must be a number in (0, 1], but it is {alpha!r}.")
        if learnable and alpha < MIN_ALPHA:
            raise ValueError(
                f"`alpha` must be at least {MIN_ALPHA} if it is learnable, but it is {alpha!r}."
            )
        check_above_one("max_slope", max_slope)
        # Plain: NumPy's would turn bfloat16 into float32.
        self.alpha = float(alpha)
        self.learnable = bool(learnable)
        self.max_slope = float(max_slope)
        self.supports_masking = True

    def build(self, input_shape: ShapeLike) -> None:
        if self.learnable:
            self.exponent = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(self.alpha),
                constraint=AlphaRange(),
                name="alpha",
            )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        alpha = self.exponent if self.learnable else self.alpha
        inputs = ops.cast(inputs, self.compute_dtype)
        return alpha_relu(inputs, alpha, self.max_slope)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "learnable": self.learnable,
            "max_slope": self.max_slope,
        }
