"""TokenTransformer: softmax attention between the tokens of a soft split."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import ShapeLike, Tensor
from keras_recres.layers.attention import multi_head_attention
from keras_recres.layers.checks import check_count, check_tokens_shape, takes_numpy
from keras_recres.layers.token_layer import TokenLayer


@keras.saving.register_keras_serializable(package="keras_recres")
class TokenTransformer(TokenLayer):
    """Self-attention that changes the number of features, then an MLP.

    q, k, v = split(W LN(x))
    y = softmax(s q kᵀ) v,  s = ⌊features / heads⌋^(-1/2)
    z = v + dropout(W' y + b')
    out = z + dropout(W₂ gelu(W₁ LN(z) + b₁) + b₂)

    The token layer of T2T-ViT in its transformer variant (arXiv 2101.11986, section 3.1). As in
    the published network the scale is that of the features which come in (147 or 576 there), not
    of the `units` that q and k have. The shortcut is v, since x has other features. Memory grows
    with the square of the tokens; `TokenPerformer` is the linear variant.

    Example:
    >>> layer = keras_recres.layers.TokenTransformer(units=64)
    >>> layer(keras.random.normal((2, 784, 576))).shape
    (2, 784, 64)

    Args:
        units: Integer ≥ 1, features of the output.
        num_heads: Integer ≥ 1, a divisor of `units`.
        dropout: Number in [0, 1), after the projection and the MLP, in training only.
        epsilon: Number > 0, added to the variance in both layer norms.

    Input shape: (batch, N, features), features ≥ `num_heads`. Tokens that a mask leaves out are not
    attended to.

    Output shape: (batch, N, units).

    Raises:
        ValueError: For arguments out of their range, or heads that do not divide the units.
    """

    projection = "qkv"

    @takes_numpy
    def __init__(
        self,
        units: int = 64,
        num_heads: int = 1,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        check_count("units", units)
        check_count("num_heads", num_heads)
        if units % num_heads:
            raise ValueError(f"`num_heads` must divide `units` {units}, but it is {num_heads}.")
        super().__init__(units, dropout, epsilon, use_bias=False, **kwargs)
        self.num_heads = num_heads

    def build(self, input_shape: ShapeLike) -> None:
        check_tokens_shape(self, input_shape)
        if input_shape[-1] < self.num_heads:
            raise ValueError(
                f"`num_heads` must be at most the {input_shape[-1]} features of the input of "
                f"{self.name!r}, but it is {self.num_heads}."
            )
        self.scale = (input_shape[-1] // self.num_heads) ** -0.5
        super().build(input_shape)

    def attention(self, projected: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        # Keras' matmul gives float32 on PyTorch under a float64 policy.
        qkv = ops.cast(projected, self.compute_dtype)
        return multi_head_attention(qkv, self.num_heads, self.scale, mask=mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_heads": self.num_heads}
