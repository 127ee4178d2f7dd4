"""TrainableSubsampling2D: LeNet's pooling, a sum with a trained coefficient for each map."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, Initializer, Shape, ShapeLike, Sizes, Tensor
from keras_recres.layers.checks import check_maps_shape, size_tuple, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class TrainableSubsampling2D(keras.layers.Layer):
    """The sum of each window, times a trained coefficient of the map, plus a trained bias.

    y_c[i, j] = φ(w_c Σ_{p, q} x_c[i h + p, j w + q] + b_c)

    over windows of h × w that do not overlap (LeCun, Bottou, Bengio and Haffner, "Gradient-based
    learning applied to document recognition", 1998, section II.B; no arXiv number). Rows and
    columns that fill no window are left out.

    Example:
    >>> layer = keras_recres.layers.TrainableSubsampling2D(2)
    >>> layer(keras.ops.ones((1, 28, 28, 6))).shape
    (1, 14, 14, 6)
    >>> layer.count_params()
    12

    Args:
        pool_size: Integer ≥ 1 or two of them, h and w.
        activation: φ; None, or whatever `keras.activations.get` takes.
        kernel_initializer: Keras initializer of the coefficients; None for 1 / (h w), a mean.
        bias_initializer: Keras initializer of the biases.

    Input shape: (batch, height, width, maps).

    Output shape: (batch, ⌊height / h⌋, ⌊width / w⌋, maps).

    Raises:
        ValueError: If `pool_size` is out of its range, or the input has another rank.
    """

    @takes_numpy
    def __init__(
        self,
        pool_size: Sizes = 2,
        activation: Activation = None,
        kernel_initializer: Initializer = None,
        bias_initializer: Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = size_tuple("pool_size", pool_size, 2)
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.Constant(1 / self._cells)
        )
        self.bias_initializer = keras.initializers.get(bias_initializer)

    @property
    def _cells(self):
        return self.pool_size[0] * self.pool_size[1]

    def build(self, input_shape: ShapeLike) -> None:
        check_maps_shape(self, input_shape)
        maps = (input_shape[-1],)
        self.kernel = self.add_weight(maps, self.kernel_initializer, name="kernel")
        self.bias = self.add_weight(maps, self.bias_initializer, name="bias")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        mean = ops.average_pool(inputs, *2 * (self.pool_size,), data_format="channels_last")
        return self.activation(mean * self._cells * self.kernel + self.bias)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        batch, *sides, maps = input_shape
        pooled = (
            side if side is None else side // size
            for side, size in zip(sides, self.pool_size, strict=True)
        )
        return (batch, *pooled, maps)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
