"""PyramidNet: residual units that widen a little each, instead of doubling at a few of them."""

import math

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import check_positive
from keras_recres.models.convnets.cifar_resnet import chain, conv, norm, padded_conv, widened
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

MIN_SIDE = 4
STEM = 16


@family(min_side=MIN_SIDE, convolutional=True)
def pyramidnet(
    depth: int = 110,
    alpha: float = 48,
    *,
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "pyramidnet",
) -> keras.Model:
    """The additive PyramidNets for CIFAR-10, of units of two convolutions.

    The i-th of N units is ⌊16 + α i / N + ½⌋ maps wide (arXiv 1610.02915, section 2.1, and the
    authors' code), N = (depth − 2) / 2 of them in three stages, and is x + F(x) with F = BN, conv,
    BN, ReLU, conv, BN: no ReLU before the first convolution. The shortcut adds maps of zeros and,
    where the sides halve, takes means of 2 x 2 pixels. Units that keep the width are
    `RecurrentResidual`.

    Example:
    >>> keras_recres.models.pyramidnet(110, 48).count_params()
    1785874

    Args:
        depth: Integer 6 n + 2 with n ≥ 1.
        alpha: α > 0, how many maps wider the last unit is than the stem, which has 16.
        input_shape: (height, width, channels), sides of at least 4 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    units, rest = divmod(depth - 2, 6) if isinstance(depth, int) else (0, 1)
    if rest or units < 1:
        raise ValueError(
            f"`depth` must be 6 n + 2 with an integer n of at least 1, but it is {depth!r}."
        )
    check_positive("alpha", alpha)
    inputs = image_input(input_shape, MIN_SIDE)
    x = norm("stem_norm")(conv(STEM, 3, name="stem_conv")(inputs))
    for i in range(3 * units):
        filters = math.floor(STEM + alpha * (i + 1) / (3 * units) + 0.5)
        stage, j = divmod(i, units)
        x = _unit(x, filters, 2 if stage and not j else 1, f"stage{stage}_unit{j}")
    x = keras.layers.ReLU(name="relu")(norm("norm")(x))
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    if not features_only:
        x = keras.layers.Dense(num_classes, classifier_activation, name="logits")(x)
    return keras.Model(inputs, x, name=name)


def _unit(x, filters, strides, name):
    if strides == 1 and filters == x.shape[-1]:
        layers = [keras.Input(x.shape[1:]), *_branch(filters, strides)]
        branch = keras.Sequential(layers, name=f"{name}_branch")
        return RecurrentResidual(branch, steps=1, name=name)(x)
    shortcut = widened(x, filters, strides, f"{name}_shortcut", pool=2)
    y = chain(x, _branch(filters, strides, f"{name}_"))
    return keras.layers.Add(name=f"{name}_add")([shortcut, y])


def _branch(filters, strides, prefix=""):
    return [
        norm(f"{prefix}norm1"),
        *padded_conv(filters, 3, strides, prefix, 1),
        norm(f"{prefix}norm2"),
        keras.layers.ReLU(name=f"{prefix}relu"),
        conv(filters, 3, name=f"{prefix}conv2"),
        norm(f"{prefix}norm3"),
    ]
