"""TokenLayer: what the token layers of T2T-ViT share."""

from typing import Any

import keras

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_positive, check_rate, check_tokens_shape
from keras_recres.layers.layer_normalization import LayerNormalization


class TokenLayer(keras.layers.Layer):
    """Self-attention that changes the number of features, then an MLP; the shortcut is v.

    z = v + dropout(W' y + b')
    out = z + dropout(W₂ gelu(W₁ LN(z) + b₁) + b₂)

    A subclass tells `projection`, the name of the dense layer that gives query, key and value at
    once, and `attention`, which makes y and v of what that gives.
    """

    projection: str

    def __init__(
        self, units: int, dropout: float, epsilon: float, use_bias: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        check_count("units", units)
        check_rate("dropout", dropout)
        check_positive("epsilon", epsilon)
        self.units = units
        self.dropout = dropout
        self.epsilon = epsilon

        def dense(units, name, **kwargs):
            return keras.layers.Dense(
                units,
                kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
                dtype=self.dtype_policy,
                name=name,
                **kwargs,
            )

        def norm(name):
            return LayerNormalization(epsilon=epsilon, dtype=self.dtype_policy, name=name)

        self.norm1 = norm("norm1")
        setattr(self, self.projection, dense(3 * units, self.projection, use_bias=use_bias))
        self.attention_output = dense(units, "attention_output")
        self.norm2 = norm("norm2")
        # Keras' "gelu" is the exact one, not the tanh approximation.
        self.mlp_hidden = dense(units, "mlp_hidden", activation="gelu")
        self.mlp_output = dense(units, "mlp_output")
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, input_shape: ShapeLike) -> None:
        check_tokens_shape(self, input_shape)
        hidden_shape = (*input_shape[:-1], self.units)
        self.norm1.build(input_shape)
        getattr(self, self.projection).build(input_shape)
        for layer in (
            self.attention_output,
            self.norm2,
            self.mlp_hidden,
            self.mlp_output,
            self.dropout_layer,
        ):
            layer.build(hidden_shape)

    def attention(self, projected: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Y and v, (batch, N, units) each, of (batch, N, 3 units)."""
        raise NotImplementedError

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        y, v = self.attention(getattr(self, self.projection)(self.norm1(inputs)), mask)
        x = v + self.dropout_layer(self.attention_output(y), training=training)
        y = self.mlp_output(self.mlp_hidden(self.norm2(x)))
        return x + self.dropout_layer(y, training=training)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "dropout": self.dropout,
            "epsilon": self.epsilon,
        }
