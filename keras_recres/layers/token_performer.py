"""TokenPerformer: attention of linear cost, by random features."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_positive, takes_numpy
from keras_recres.layers.token_layer import TokenLayer


@keras.saving.register_keras_serializable(package="keras_recres")
class TokenPerformer(TokenLayer):
    """Self-attention by m positive random features, then an MLP: cost linear in the tokens.

    k, q, v = split(W LN(x) + b)
    φ(u) = exp(ω u − |u|²/2) / √m
    y = φ(q) · Σ_n φ(k_n) v_nᵀ / (φ(q) · Σ_n φ(k_n) + 1e-8)
    z = v + dropout(W' y + b')
    out = z + dropout(W₂ gelu(W₁ LN(z) + b₁) + b₂)

    E φ(q)·φ(k) = exp(q·k), so y approximates softmax attention at scale 1 (performer, arXiv
    2009.14794, section 2.3; as the token layer of T2T-ViT, arXiv 2101.11986, section 3.1). The
    features ω are m orthogonal rows of length √m, drawn once and not trained. The shortcut is v,
    not x, since the layer changes the number of features.

    φ is computed in float32 at least, also under a policy of half precision: its exponent may
    leave float16's range, and a sum over thousands of tokens bfloat16's precision.

    Example:
    >>> layer = keras_recres.layers.TokenPerformer(units=64)
    >>> layer(keras.random.normal((2, 3136, 147))).shape
    (2, 3136, 64)

    Args:
        units: Integer ≥ 1, features of the output.
        kernel_ratio: Number > 0, random features as a share of `units`: m = ⌊units · ratio⌋.
        dropout: Number in [0, 1), after the projection and the MLP, in training only.
        epsilon: Number > 0, added to the variance in both layer norms.

    Input shape: (batch, N, features). Tokens that a mask leaves out are not attended to.

    Output shape: (batch, N, units).

    Raises:
        ValueError: For arguments out of their range, or so few `units` that m is 0.
    """

    projection = "kqv"

    @takes_numpy
    def __init__(
        self,
        units: int = 64,
        kernel_ratio: float = 0.5,
        dropout: float = 0.1,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        check_count("units", units)
        check_positive("kernel_ratio", kernel_ratio)
        features = int(units * kernel_ratio)
        if features < 1:
            raise ValueError(
                f"`kernel_ratio` {kernel_ratio} of `units` {units} leaves no random feature: "
                f"their product must be at least 1."
            )
        super().__init__(units, dropout, epsilon, use_bias=True, **kwargs)
        self.features = features
        self.kernel_ratio = kernel_ratio

    def build(self, input_shape: ShapeLike) -> None:
        super().build(input_shape)
        self.random_features = self.add_weight(
            shape=(self.features, self.units),
            initializer=keras.initializers.Orthogonal(gain=self.features**0.5),
            trainable=False,
            # Or φ would see it rounded to the half precision of the policy; and PyTorch has no QR
            # decomposition of half precision, which draws it.
            dtype="float64" if self.variable_dtype == "float64" else "float32",
            autocast=False,
            name="random_features",
        )

    def phi(self, x: Tensor) -> Tensor:
        """The positive random features φ(x): (batch, N, units) → (batch, N, m)."""
        projected = ops.einsum("bnu,mu->bnm", x, ops.cast(self.random_features, x.dtype))
        half_square = ops.sum(ops.square(x), axis=-1, keepdims=True) / 2
        return ops.exp(projected - half_square) / self.features**0.5

    def attend(self, k: Tensor, q: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """The attention y of the class' equation, from k, q and v in float32 or float64."""
        k, q = self.phi(k), self.phi(q)
        if mask is not None:
            k = k * ops.cast(mask, k.dtype)[..., None]
        normaliser = ops.einsum("bnm,bm->bn", q, ops.sum(k, axis=1))
        memory = ops.einsum("bnm,bnu->bmu", k, v)
        return ops.einsum("bnm,bmu->bnu", q, memory) / (normaliser[..., None] + 1e-8)

    def attention(self, projected: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        k, q, v = ops.split(projected, 3, axis=-1)
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        y = self.attend(*(ops.cast(t, wide) for t in (k, q, v)), mask=mask)
        return ops.cast(y, self.compute_dtype), v

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_ratio": self.kernel_ratio}
