"""ResNet in ResNet: two streams that feed one another, one residual, one without shortcuts."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.cifar_resnet import norm, widened
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

# Blocks of each stage.
STAGES = (2, 3, 3)
MIN_SIDE = 4


@family(min_side=MIN_SIDE, convolutional=True)
def rir(
    width: int = 48,
    *,
    use_bias: bool = True,
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "rir",
) -> keras.Model:
    """ResNet in ResNet, 18 layers deep and wide, for CIFAR-10.

    Every unit takes a residual stream r and a transient one t (arXiv 1603.08029, section 3), with
    convolutions of 3 x 3 and σ a batch norm and a ReLU,

    r ← σ(W_rr r + W_tr t + r),  t ← σ(W_rt r + W_tt t)

    and a block is two units with another shortcut round their residual streams. Three stages have
    2, 3 and 3 blocks; at the first of the second and third the first unit doubles the width, the
    second halves the sides, and shortcuts take every other pixel and add maps of zeros. The head is
    a convolution of 1 x 1 to the classes, a norm, a ReLU and the mean.

    The paper leaves open where blocks widen and prints 10.3 million parameters; built after a
    public implementation it has 9,477,726 trainable ones with biases in the convolutions, 9,469,940
    without them.

    Example:
    >>> keras_recres.models.rir().count_params()
    9485618

    Args:
        width: Integer ≥ 1, maps of each stream in the first stage.
        use_bias: Whether convolutions have biases.
        input_shape: (height, width, channels), sides of at least 4 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the maps of both streams after the last block.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("width", width)
    inputs = image_input(input_shape, MIN_SIDE)

    def conv(x, filters, strides, name):
        if strides > 1:
            # On both sides, as the authors pad, and not only to the right and below.
            x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        layer = keras.layers.Conv2D(
            filters,
            3,
            strides,
            padding="valid" if strides > 1 else "same",
            use_bias=use_bias,
            kernel_initializer="he_normal",
            name=name,
        )
        return layer(x)

    def activated(x, name):
        return keras.layers.ReLU(name=f"{name}_relu")(norm(f"{name}_norm")(x))

    def unit(r, t, filters, strides, name):
        shortcut = shortened(r, filters, strides, f"{name}_shortcut")
        residual = keras.layers.Add(name=f"{name}_residual")(
            [
                conv(r, filters, strides, f"{name}_rr"),
                conv(t, filters, strides, f"{name}_tr"),
                shortcut,
            ]
        )
        transient = keras.layers.Add(name=f"{name}_transient")(
            [conv(r, filters, strides, f"{name}_rt"), conv(t, filters, strides, f"{name}_tt")]
        )
        return activated(residual, f"{name}_r"), activated(transient, f"{name}_t")

    r = activated(conv(inputs, width, 1, "stem_r"), "stem_r")
    t = activated(conv(inputs, width, 1, "stem_t"), "stem_t")
    for stage, blocks in enumerate(STAGES):
        filters = width * 2**stage
        for i in range(blocks):
            block, strides = f"stage{stage}_block{i}", 2 if stage and not i else 1
            shortcut = shortened(r, filters, strides, f"{block}_shortcut")
            r, t = unit(r, t, filters, 1, f"{block}_unit0")
            r, t = unit(r, t, filters, strides, f"{block}_unit1")
            r = keras.layers.Add(name=f"{block}_add")([r, shortcut])
    x = keras.layers.Concatenate(name="streams")([r, t])
    if not features_only:
        head = [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(num_classes, 1, use_bias=use_bias, name="conv"),
            norm("norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.GlobalAveragePooling2D(name="mean"),
        ]
        if classifier_activation:
            head.append(keras.layers.Activation(classifier_activation))
        x = keras.Sequential(head, name="logits")(x)
    return keras.Model(inputs, x, name=name)


def shortened(x, filters, strides, name):
    """The shortcut: the maps themselves where they fit."""
    if strides == 1 and filters == x.shape[-1]:
        return x
    return widened(x, filters, strides, name)
