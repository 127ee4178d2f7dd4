"""ClassToken: a learned token in front of a sequence."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Initializer, Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_tokens_shape, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class ClassToken(keras.layers.Layer):
    """Puts one learned token, the same for every example, in front of the sequence.

    y = [c; x₁; …; x_N]

    as in ViT (arXiv 2010.11929, equation 1). After the last block a classifier reads position 0.

    Example:
    >>> keras_recres.layers.ClassToken()(keras.ops.ones((2, 196, 256))).shape
    (2, 197, 256)

    Args:
        initializer: Keras initializer of the token; None is a normal distribution of standard
            deviation 0.02, truncated at two deviations, as in T2T-ViT.

    Input shape: (batch, N, features).

    Output shape: (batch, N + 1, features).

    Raises:
        ValueError: If the input is not a sequence of known features.
    """

    @takes_numpy
    def __init__(self, initializer: Initializer = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if initializer is None:
            initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape: ShapeLike) -> None:
        check_tokens_shape(self, input_shape)
        self.token = self.add_weight(
            shape=(1, 1, input_shape[-1]), initializer=self.initializer, name="token"
        )

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        token = ops.cast(self.token, inputs.dtype)
        token = ops.broadcast_to(token, (ops.shape(inputs)[0], 1, inputs.shape[-1]))
        return ops.concatenate([token, inputs], axis=1)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor | None:
        if mask is None:
            return None
        # The token itself is never masked.
        return ops.concatenate([ops.ones_like(mask[:, :1]), mask], axis=1)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        batch, tokens, features = input_shape
        return (batch, None if tokens is None else tokens + 1, features)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "initializer": keras.initializers.serialize(self.initializer),
        }
