"""TransformerBlock: the pre-norm block of a vision transformer."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.attention import multi_head_attention
from keras_recres.layers.checks import (
    check_count,
    check_positive,
    check_rate,
    check_tokens_shape,
    takes_numpy,
)
from keras_recres.layers.layer_normalization import LayerNormalization


@keras.saving.register_keras_serializable(package="keras_recres")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and an MLP, each behind a layer norm and with a shortcut of its own.

    z = x + d(W' softmax((C / heads)^(-1/2) q kᵀ) v + b'),  q, k, v = split(W LN(x))
    out = z + d(W₂ gelu(W₁ LN(z) + b₁) + b₂)

    the block of ViT (arXiv 2010.11929, equations 2 and 3) as T2T-ViT has it (arXiv 2101.11986):
    no bias in W, the exact GELU, and d is stochastic depth (arXiv 1603.09382), which in training
    drops a branch for a whole example and divides what it keeps by the probability of keeping.
    The block is residual already: to repeat it use `RecurrentResidual(block, shortcut="none")`.

    Example:
    >>> block = keras_recres.layers.TransformerBlock(num_heads=4)
    >>> block(keras.random.normal((2, 197, 256))).shape
    (2, 197, 256)
    >>> block.count_params()
    526336

    Args:
        num_heads: Integer ≥ 1, a divisor of the features.
        mlp_ratio: Number > 0, hidden units of the MLP as a share of the features.
        mlp_dim: None, or the hidden units of the MLP as an integer ≥ 1, instead of `mlp_ratio`.
        dropout: Number in [0, 1), after the projection and both dense layers of the MLP.
        attention_dropout: Number in [0, 1), of the attention weights.
        drop_path: Number in [0, 1), probability of dropping a branch for an example.
        epsilon: Number > 0, added to the variance in both layer norms.

    Input shape: (batch, N, features). Tokens that a mask leaves out are not attended to.

    Output shape: that of the input.

    Raises:
        ValueError: For arguments out of their range, or heads that do not divide the features.
    """

    @takes_numpy
    def __init__(
        self,
        num_heads: int = 4,
        mlp_ratio: float = 2.0,
        mlp_dim: int | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("num_heads", num_heads)
        check_positive("mlp_ratio", mlp_ratio)
        if mlp_dim is not None:
            check_count("mlp_dim", mlp_dim)
        check_rate("dropout", dropout)
        check_rate("attention_dropout", attention_dropout)
        check_rate("drop_path", drop_path)
        check_positive("epsilon", epsilon)
        self.supports_masking = True
        self.num_heads = num_heads
        self.mlp_ratio = mlp_ratio
        self.mlp_dim = mlp_dim
        self.dropout = dropout
        self.attention_dropout = attention_dropout
        self.drop_path = drop_path
        self.epsilon = epsilon

    def build(self, input_shape: ShapeLike) -> None:
        check_tokens_shape(self, input_shape)
        features = input_shape[-1]
        if features % self.num_heads:
            raise ValueError(
                f"`num_heads` must divide the {features} features of the input of {self.name!r}, "
                f"but it is {self.num_heads}."
            )
        hidden = max(1, int(features * self.mlp_ratio)) if self.mlp_dim is None else self.mlp_dim
        self.scale = (features // self.num_heads) ** -0.5

        # What is dropped, and where, in the order of the call.
        self.norm1 = self._norm("norm1")
        self.qkv = self._dense(3 * features, "qkv", use_bias=False)
        self.attention_dropout_layer = self._dropout(self.attention_dropout, "attention_dropout")
        self.attention_output = self._dense(features, "attention_output")
        self.norm2 = self._norm("norm2")
        # Keras' "gelu" is the exact one, not the tanh approximation.
        self.mlp_hidden = self._dense(int(hidden), "mlp_hidden", activation="gelu")
        self.mlp_output = self._dense(features, "mlp_output")
        self.dropout_layer = self._dropout(self.dropout, "dropout")
        self.drop_path_layer = self._dropout(self.drop_path, "drop_path", noise_shape=(None, 1, 1))
        for layer in (
            self.norm1,
            self.qkv,
            self.attention_output,
            self.norm2,
            self.mlp_hidden,
            self.dropout_layer,
            self.drop_path_layer,
        ):
            layer.build(input_shape)
        self.mlp_output.build((*input_shape[:-1], hidden))
        tokens = input_shape[1]
        self.attention_dropout_layer.build((input_shape[0], self.num_heads, tokens, tokens))

    def _norm(self, name):
        return LayerNormalization(epsilon=self.epsilon, dtype=self.dtype_policy, name=name)

    def _dense(self, units, name, **kwargs):
        return keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )

    def _dropout(self, rate, name, **kwargs):
        return keras.layers.Dropout(rate, dtype=self.dtype_policy, name=name, **kwargs)

    def attend(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """The attention branch without its norm and shortcut."""
        dropout = None
        if self.attention_dropout:

            def dropout(weights):
                return self.attention_dropout_layer(weights, training=training)

        # Keras' matmul gives float32 on PyTorch under a float64 policy.
        qkv = ops.cast(self.qkv(inputs), self.compute_dtype)
        y, _ = multi_head_attention(qkv, self.num_heads, self.scale, dropout, mask)
        return self.dropout_layer(self.attention_output(y), training=training)

    def mlp(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The MLP branch without its norm and shortcut."""
        y = self.dropout_layer(self.mlp_hidden(inputs), training=training)
        return self.dropout_layer(self.mlp_output(y), training=training)

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        y = self.attend(self.norm1(inputs), training=training, mask=mask)
        x = inputs + self.drop_path_layer(y, training=training)
        y = self.mlp(self.norm2(x), training=training)
        return x + self.drop_path_layer(y, training=training)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "mlp_ratio": self.mlp_ratio,
            "mlp_dim": self.mlp_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
            "drop_path": self.drop_path,
            "epsilon": self.epsilon,
        }
