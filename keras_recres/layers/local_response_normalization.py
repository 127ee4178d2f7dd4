"""LocalResponseNormalization: maps divided by the energy of their neighbours."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_positive, check_switch, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each channel by a power of the energy of the channels around it.

    y_c = x_c / (k + α Σ_{|j − c| ≤ n/2} x_j²)^β

    (Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
    networks", NIPS 2012, section 3.3; no arXiv number) over the n = `size` channels around c that
    there are. Caffe and PyTorch divide α by n: `average=True`. AlexNet's paper has the defaults,
    Caffe's AlexNet and GoogLeNet have `bias=1, average=True`.

    Example:
    >>> keras_recres.layers.LocalResponseNormalization()(keras.ops.ones((2, 8, 8, 96))).shape
    (2, 8, 8, 96)

    Args:
        size: n, an odd integer ≥ 1.
        bias: k, a number above 0.
        alpha: α, a number above 0.
        beta: β, a number above 0.
        average: Boolean, whether α is divided by n.

    Input shape: (batch, …, channels).

    Output shape: that of the input.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @takes_numpy
    def __init__(
        self,
        size: int = 5,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        average: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("size", size)
        if size % 2 == 0:
            raise ValueError(f"`size` must be odd, but it is {size!r}.")
        for name, value in (("bias", bias), ("alpha", alpha), ("beta", beta)):
            check_positive(name, value)
        check_switch("average", average)
        self.size = int(size)
        self.bias, self.alpha, self.beta = float(bias), float(alpha), float(beta)
        self.average = average
        self.supports_masking = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        channels, around = inputs.shape[-1], self.size // 2
        padding = [[0, 0]] * (len(inputs.shape) - 1) + [[around, around]]
        squares = ops.pad(ops.square(inputs), padding)
        energy = sum(squares[..., i : i + channels] for i in range(self.size))
        alpha = self.alpha / self.size if self.average else self.alpha
        return inputs * (self.bias + alpha * energy) ** -self.beta

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        names = "size", "bias", "alpha", "beta", "average"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
