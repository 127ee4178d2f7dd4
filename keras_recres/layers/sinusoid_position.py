"""SinusoidPosition: a fixed code of the position, added to a sequence."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_positive, check_tokens_shape, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class SinusoidPosition(keras.layers.Layer):
    """Adds a sinusoid of the position to each token; nothing in it is learned.

    y[n, j] = x[n, j] + sin(a) for even j, + cos(a) for odd j,  a = n / P^(2⌊j/2⌋ / C)

    with the position n from 0 (the class token, where there is one), C features and P the
    `max_wavelength` (arXiv 1706.03762, section 3.5; arXiv 2101.11986). The table is a weight that
    is not trained, so that it is saved with the model.

    Example:
    >>> y = keras_recres.layers.SinusoidPosition()(keras.ops.zeros((2, 197, 256)))
    >>> keras.ops.convert_to_numpy(y[0, 0, :4]).tolist()
    [0.0, 1.0, 0.0, 1.0]

    Args:
        max_wavelength: Number P > 0; the slowest feature has nearly the period 2πP, in tokens.

    Input shape: (batch, N, features), all but the batch known.

    Output shape: that of the input.

    Raises:
        ValueError: If `max_wavelength` is not positive, or N or the features are not known.
    """

    @takes_numpy
    def __init__(self, max_wavelength: float = 10000.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        check_positive("max_wavelength", max_wavelength)
        self.max_wavelength = max_wavelength

    def build(self, input_shape: ShapeLike) -> None:
        check_tokens_shape(self, input_shape)
        if input_shape[1] is None:
            raise ValueError(
                f"The input of {self.name!r} must have a known number of tokens, but it has the "
                f"shape {tuple(input_shape)}."
            )
        table = sinusoid_table(*input_shape[1:], self.max_wavelength)
        self.positions = self.add_weight(
            shape=table.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(table, dtype=dtype),
            trainable=False,
            name="positions",
        )

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        return ops.add(inputs, ops.cast(self.positions, inputs.dtype))

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}


def sinusoid_table(tokens, features, max_wavelength=10000.0):
    """The (tokens, features) table of `SinusoidPosition` in NumPy float64.

    Args:
        tokens: Number of positions.
        features: Number of features C.
        max_wavelength: Number P.
    """
    position = np.arange(tokens, dtype=np.float64)[:, None]
    feature = np.arange(features)
    angle = position / np.float64(max_wavelength) ** (2 * (feature // 2) / features)
    return np.where(feature % 2 == 0, np.sin(angle), np.cos(angle))
