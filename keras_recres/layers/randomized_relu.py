"""RandomizedReLU: a leaky ReLU whose slope is drawn in training."""

import numbers
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class RandomizedReLU(keras.layers.Layer):
    """A leaky ReLU with a slope that is drawn for each value in training, and fixed at inference.

    y = x for x ≥ 0, else a · x;  a ~ U(lower, upper) in training, (lower + upper) / 2 at inference

    (arXiv 1505.00853, section 2.4, which draws 1/a from U(3, 8); this is the form of
    `torch.nn.RReLU`).

    Example:
    >>> keras_recres.layers.RandomizedReLU(0.1, 0.3)(keras.ops.array([-1.0, 2.0]))
    [-0.2, 2.0]

    Args:
        lower: Smallest slope, a number ≥ 0.
        upper: Largest slope, a number ≥ `lower`.
        seed: Integer or None.

    Input shape: any.

    Output shape: that of the input.

    Raises:
        ValueError: If the slopes are out of their range.
    """

    @takes_numpy
    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        seed: int | keras.random.SeedGenerator | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value, least in (("lower", lower, 0), ("upper", upper, lower)):
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value >= least:
                raise ValueError(
                    f"`{name}` must be a number of at least {least}, but it is {value!r}."
                )
        self.lower, self.upper = float(lower), float(upper)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        slope = (self.lower + self.upper) / 2
        if training:
            slope = keras.random.uniform(
                ops.shape(inputs), self.lower, self.upper, inputs.dtype, self.seed_generator
            )
        return ops.where(inputs >= 0, inputs, slope * inputs)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {"lower": self.lower, "upper": self.upper, "seed": self.seed}
        return {**super().get_config(), **own}
