"""T2T-ViT whose blocks may run several times: the same parameters, more depth."""

from collections.abc import Sequence

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers.checks import check_count, check_rate
from keras_recres.layers.class_token import ClassToken
from keras_recres.layers.layer_normalization import LayerNormalization
from keras_recres.layers.recurrent_residual import RecurrentResidual
from keras_recres.layers.sinusoid_position import SinusoidPosition
from keras_recres.layers.tokens_to_token import TokensToToken
from keras_recres.layers.transformer_block import TransformerBlock
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import BIAS, COLUMNS, ROWS, family

MIN_SIDE, MAX_SIDE = 32, 384
# The first matrix of a branch by columns and the second by rows: one sum over devices a branch
# (arXiv 1909.08053, section 3).
LAYOUT = {
    r".*/(qkv|kqv|mlp_hidden)/kernel": COLUMNS,
    r".*/mlp_hidden/bias": BIAS,
    r".*/(attention_output|mlp_output)/kernel": ROWS,
}


def _as_map(model, tokens, name):
    """The tokens of the image, without the class token, in rows and columns."""
    grid = model.get_layer("tokens_to_token").grid(model.input_shape)
    return keras.layers.Reshape((*grid, tokens.shape[-1]), name=f"{name}_map")(tokens[:, 1:])


@family(
    min_side=MIN_SIDE,
    max_side=MAX_SIDE,
    weights=("own", "convert"),
    layout=lambda arguments: dict(LAYOUT),
    maps=r"block\d+",
    map_of=_as_map,
)
def t2t_vit(
    depth: int = 7,
    steps: int = 1,
    *,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    embed_dim: int = 256,
    num_heads: int = 4,
    mlp_ratio: float = 2.0,
    token_dim: int = 64,
    token_type: str = "performer",
    first_kernel_size: int = 7,
    first_strides: int = 4,
    drop_path: float = 0.1,
    dropout: float = 0.0,
    token_dropout: float | None = None,
    unshare: str | Sequence[str] = (),
    step_embedding: bool = False,
    residual_scale: float | str | None = None,
    loop: str = "auto",
    remat: bool = False,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str | None = None,
) -> keras.Model:
    """T2T-ViT with recurrent blocks: images in, logits out.

    tokens = TokensToToken(image); x = [class token; tokens] + sinusoid
    x ← block_i(x), `steps[i]` times, for i = 0 … depth − 1
    logits = W LN(x)₀ + b

    T2T-ViT is arXiv 2101.11986; `depth=7` with `steps=1` is its T2T-ViT-7. Running each block
    several times adds no parameter. Every block is a `RecurrentResidual`, also when it runs once,
    so that weights files fit models of the same depth whatever their steps are.

    Example:
    >>> model = keras_recres.models.t2t_vit(
    ...     depth=3, steps=[2, 4, 2], input_shape=(64, 64, 3), num_classes=80)
    >>> model(keras.random.normal((2, 64, 64, 3))).shape
    (2, 80)

    Args:
        depth: Integer ≥ 1, number of blocks.
        steps: Integer ≥ 1, how often each block runs, or a list of them, one per block.
        input_shape: (height, width, channels) of the images, each side from 32 to 384 pixels.
            Images are channels-last.
        num_classes: Integer ≥ 1.
        embed_dim: Integer ≥ 1, features of a token in the blocks.
        num_heads: Integer ≥ 1, heads of a block, a divisor of `embed_dim`.
        mlp_ratio: Number > 0, hidden units of a block's MLP as a share of `embed_dim`.
        token_dim: Integer ≥ 1, features of a token between the splits.
        token_type: "performer" or "transformer", the attention between the splits.
        first_kernel_size: Integer ≥ 1, side of the first split's patches in pixels.
        first_strides: Integer ≥ 1, their distance in pixels; a side of S pixels ends as about
            S / (4 · `first_strides`) tokens, so that small images want a small value.
        drop_path: Number in [0, 1), stochastic depth of the last block; it grows linearly from 0
            at the first one.
        dropout: Number in [0, 1), on the tokens before the blocks and inside the blocks.
        token_dropout: Number in [0, 1), inside the token layers; None is the published value,
            0.1 for performers and 0 for transformers.
        unshare: Which sub-layers of a block get weights of their own for every step, see
            `RecurrentResidual`.
        step_embedding: Whether each step of a block adds a learned vector to its input.
        residual_scale: None, a number, or "learned" for one trainable number a step, by which what
            a step adds to the tokens is multiplied, see `RecurrentResidual`.
        loop: "auto", "unroll" or "scan", see `RecurrentResidual`.
        remat: Whether to recompute each step in the backward pass: memory for time.
        features_only: Whether to return the normalised class token, (batch, embed_dim), and leave
            out the classifier.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model; None is made of depth and steps.

    Returns:
        A functional keras.Model from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: For arguments out of their range.
    """
    check_count("depth", depth)
    check_count("num_classes", num_classes)
    check_count("embed_dim", embed_dim)
    check_rate("drop_path", drop_path)
    check_rate("dropout", dropout)
    steps = _steps_per_block(steps, depth)
    images = image_input(input_shape, MIN_SIDE, MAX_SIDE)
    if name is None:
        name = f"t2t_vit_{depth}" + ("_rec" if max(steps) > 1 else "")

    x = TokensToToken(
        embed_dim,
        token_dim=token_dim,
        token_type=token_type,
        first_kernel_size=first_kernel_size,
        first_strides=first_strides,
        dropout=token_dropout,
        name="tokens_to_token",
    )(images)
    x = ClassToken(name="class_token")(x)
    x = SinusoidPosition(name="position")(x)
    x = keras.layers.Dropout(dropout, name="position_dropout")(x)
    for i in range(depth):
        block = TransformerBlock(
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            drop_path=drop_path * i / max(1, depth - 1),
            name=f"transformer_block{i}",
        )
        x = RecurrentResidual(
            block,
            steps=steps[i],
            shortcut="none",
            unshare=unshare,
            step_embedding=step_embedding,
            residual_scale=residual_scale,
            loop=loop,
            remat=remat,
            name=f"block{i}",
        )(x)
    x = LayerNormalization(epsilon=1e-5, name="norm")(x)
    x = x[:, 0]
    if not features_only:
        x = keras.layers.Dense(
            num_classes,
            activation=classifier_activation,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            name="head",
        )(x)
    return keras.Model(images, x, name=name)


def _steps_per_block(steps, depth):
    """`steps` as a list of one integer per block."""
    if not isinstance(steps, list | tuple):
        check_count("steps", steps)
        return [steps] * depth
    if len(steps) != depth:
        raise ValueError(
            f"`steps` must be an integer or a list of one per block, but it has {len(steps)} "
            f"entries, {list(steps)}, and `depth` is {depth}."
        )
    for i, count in enumerate(steps):
        check_count(f"steps[{i}]", count)
    return list(steps)
