"""TokensToToken: an image as a sequence of tokens, by splits and attention in turn."""

import difflib
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_rate, refuse_mask, takes_numpy
from keras_recres.layers.soft_split import SoftSplit
from keras_recres.layers.token_performer import TokenPerformer
from keras_recres.layers.token_transformer import TokenTransformer

TOKEN_TYPES = ("performer", "transformer")


@keras.saving.register_keras_serializable(package="keras_recres")
class TokensToToken(keras.layers.Layer):
    """Turns an image into tokens in three soft splits, with attention after the first two.

    x ← attention(split(x)), laid out as an image again, twice; then out = W split(x) + b

    the tokens-to-token module of T2T-ViT (arXiv 2101.11986, section 3.1). The second and third
    split have 3×3 patches at stride 2. With the defaults a side of 224 pixels becomes 56, 28 and
    14 tokens.

    Example:
    >>> layer = keras_recres.layers.TokensToToken(units=256)
    >>> layer(keras.random.normal((2, 224, 224, 3))).shape
    (2, 196, 256)

    Args:
        units: Integer ≥ 1, features of a token in the output.
        token_dim: Integer ≥ 1, features of a token between the splits.
        token_type: "performer" (linear attention, `TokenPerformer`) or "transformer" (softmax
            attention, `TokenTransformer`).
        first_kernel_size: Integer ≥ 1, side of a patch of the first split in pixels.
        first_strides: Integer ≥ 1, distance of the patches of the first split in pixels.
        dropout: Number in [0, 1), in the token layers; None is the published value, 0.1 for
            performers and 0 for transformers.

    Input shape: (batch, H, W, channels), all but the batch known.

    Output shape: (batch, H'·W', units).

    Raises:
        ValueError: For arguments out of their range, an image too small for the splits, or one
            with a mask.
    """

    @takes_numpy
    def __init__(
        self,
        units: int = 256,
        token_dim: int = 64,
        token_type: str = "performer",
        first_kernel_size: int = 7,
        first_strides: int = 4,
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("units", units)
        check_count("token_dim", token_dim)
        check_count("first_kernel_size", first_kernel_size)
        check_count("first_strides", first_strides)
        if dropout is not None:
            check_rate("dropout", dropout)
        if token_type not in TOKEN_TYPES:
            near = difflib.get_close_matches(str(token_type), TOKEN_TYPES, n=1)
            raise ValueError(
                f"`token_type` must be 'performer' or 'transformer', but it is {token_type!r}"
                + (f": did you mean {near[0]!r}?" if near else ".")
            )
        self.units = units
        self.token_dim = token_dim
        self.token_type = token_type
        self.first_kernel_size = first_kernel_size
        self.first_strides = first_strides
        self.dropout = dropout

        def tokens(name):
            if token_type == "performer":
                rate = 0.1 if dropout is None else dropout
                return TokenPerformer(token_dim, dropout=rate, dtype=self.dtype_policy, name=name)
            rate = 0.0 if dropout is None else dropout
            return TokenTransformer(token_dim, dropout=rate, dtype=self.dtype_policy, name=name)

        def split(kernel_size, strides, name):
            return SoftSplit(kernel_size, strides, dtype=self.dtype_policy, name=name)

        self.split1 = split(first_kernel_size, first_strides, "split1")
        self.tokens1 = tokens("tokens1")
        self.split2 = split(3, 2, "split2")
        self.tokens2 = tokens("tokens2")
        self.split3 = split(3, 2, "split3")
        self.project = keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            dtype=self.dtype_policy,
            name="project",
        )

    def build(self, input_shape: ShapeLike) -> None:
        shape = tuple(input_shape)
        for split, tokens in ((self.split1, self.tokens1), (self.split2, self.tokens2)):
            grid = split.grid(shape)
            split.build(shape)
            tokens.build(split.compute_output_shape(shape))
            shape = (shape[0], *grid, self.token_dim)
        self.split3.build(shape)
        self.project.build(self.split3.compute_output_shape(shape))

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        refuse_mask(self, inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        for split, tokens in ((self.split1, self.tokens1), (self.split2, self.tokens2)):
            grid = split.grid(x.shape)
            x = tokens(split(x), training=training)
            x = ops.reshape(x, (-1, *grid, self.token_dim))
        return self.project(self.split3(x))

    def grid(self, input_shape: ShapeLike) -> tuple[int, int]:
        """Rows and columns of tokens, (H', W'), for an image of `input_shape`."""
        shape = tuple(input_shape)
        for split in (self.split1, self.split2):
            shape = (shape[0], *split.grid(shape), self.token_dim)
        return self.split3.grid(shape)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        rows, columns = self.grid(input_shape)
        return (input_shape[0], rows * columns, self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "token_dim": self.token_dim,
            "token_type": self.token_type,
            "first_kernel_size": self.first_kernel_size,
            "first_strides": self.first_strides,
            "dropout": self.dropout,
        }
