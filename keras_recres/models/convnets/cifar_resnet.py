"""ResNets for images of 32 x 32 pixels: original, plain, pre-activated, and the forms between."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import BatchNormalization, RecurrentResidual
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

SHORTCUTS = ("identity", "scaling", "exclusive_gate", "shortcut_gate", "conv", "dropout")
PLACEMENTS = ("original", "bn_after_add", "relu_before_add", "relu_only", "full")
STAGES = (16, 32, 64)
# Where the gates begin in arXiv 1603.05027: nearly shut, which leaves the shortcut open.
GATE_BIAS = -6.0


@family(min_side=4, convolutional=True)
def cifar_resnet(
    depth: int = 20,
    *,
    residual: bool = True,
    filters: Sequence[int] = STAGES,
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "cifar_resnet",
) -> keras.Model:
    """The residual and the plain networks for CIFAR-10 of the paper that introduced ResNets.

    A convolution, then three stages of n units of two 3 x 3 convolutions with 16, 32 and 64
    channels, depth = 6 n + 2 (arXiv 1512.03385, section 4.2): x ← relu(x + F(x)), and without
    shortcuts x ← relu(F(x)). Where the width doubles, the shortcut takes every other pixel and
    adds channels of zeros ("option A").

    Example:
    >>> keras_recres.models.cifar_resnet(20).count_params()
    271098

    Args:
        depth: Integer 6 n + 2 with n ≥ 1: 20, 32, 44, 56, 110.
        residual: Whether the units have shortcuts.
        filters: Channels of each stage, integers ≥ 1 that do not fall.
        input_shape: (height, width, channels), sides of at least 4 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last stage, (batch, 64).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    shortcut = "identity" if residual else None
    x, inputs = _network(depth, 2, shortcut, "original", filters, input_shape)
    return _head(x, inputs, num_classes, features_only, classifier_activation, name)


@family(min_side=4, convolutional=True)
def preact_resnet(
    depth: int = 110,
    shortcut: str = "identity",
    placement: str = "full",
    *,
    bottleneck: bool | None = None,
    filters: Sequence[int] = STAGES,
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "preact_resnet",
) -> keras.Model:
    """Pre-activation ResNets, and the shortcuts and orders that they were compared with.

    x ← f(h(x) + F(x)) with a unit's convolutions F, its shortcut h and what follows the sum, f
    (arXiv 1603.05027). `placement` says where norms and ReLUs stand (its figure 4):

    - "original": F = conv, BN, ReLU, conv, BN, and f = ReLU
    - "bn_after_add": F = conv, BN, ReLU, conv, and f = BN, ReLU
    - "relu_before_add": F = conv, BN, ReLU, conv, BN, ReLU
    - "relu_only": F = ReLU, conv, BN, ReLU, conv, BN
    - "full": F = BN, ReLU, conv, BN, ReLU, conv, as the paper proposes

    and `shortcut` what h is (its table 1): "identity"; "scaling", x / 2 beside F / 2;
    "exclusive_gate", (1 − g) x beside g F with g the sigmoid of a 1 x 1 convolution of x;
    "shortcut_gate", (1 − g) x; "conv", a 1 x 1 convolution of x; "dropout", of half of x. Units of
    bottlenecks have three convolutions, 1 x 1, 3 x 3 and 1 x 1, the last four times as wide. Where
    the width changes, networks of two convolutions a unit take every other pixel and add channels
    of zeros, and those of bottlenecks project, as the authors' code does.

    Example:
    >>> keras_recres.models.preact_resnet(164).count_params()
    1727482

    Args:
        depth: Integer ≥ 8, 6 n + 2, or 9 n + 2 with bottlenecks: 110, 164, 1001.
        shortcut: h, see above.
        placement: See above.
        bottleneck: Whether units are bottlenecks; None for depths above 110.
        filters: Channels of each stage, integers ≥ 1 that do not fall; of bottlenecks before the
            last convolution.
        input_shape: (height, width, channels), sides of at least 4 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last stage.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    for key, value, known in (
        ("shortcut", shortcut, SHORTCUTS),
        ("placement", placement, PLACEMENTS),
    ):
        if value not in known:
            raise ValueError(f"`{key}` must be one of {known}, but it is {value!r}.")
    if bottleneck is None:
        bottleneck = isinstance(depth, int) and depth > 110
    convolutions = 3 if bottleneck else 2
    x, inputs = _network(depth, convolutions, shortcut, placement, filters, input_shape)
    return _head(x, inputs, num_classes, features_only, classifier_activation, name)


def _network(depth, convolutions, shortcut, placement, stages, input_shape):
    """Everything but the head: its output, and the input."""
    units, rest = divmod(depth - 2, 3 * convolutions) if isinstance(depth, int) else (0, 1)
    if rest or units < 1:
        raise ValueError(
            f"`depth` must be {3 * convolutions} n + 2 with an integer n of at least 1, but it is "
            f"{depth!r}."
        )
    if not isinstance(stages, tuple | list) or len(stages) != 3:
        raise ValueError(f"`filters` must be the channels of three stages, but it is {stages!r}.")
    for filters in stages:
        check_count("filters", filters)
    if not stages[0] <= stages[1] <= stages[2]:
        raise ValueError(f"`filters` must not fall from stage to stage, but it is {stages!r}.")
    inputs = image_input(input_shape, 4)
    x = conv(stages[0], 3, name="stem_conv")(inputs)
    if placement != "full":
        x = norm("stem_norm")(x)
        x = x if placement == "relu_only" else keras.layers.ReLU(name="stem_relu")(x)
    for stage, filters in enumerate(stages):
        for i in range(units):
            strides = 2 if stage and not i else 1
            specs = _specs(filters, convolutions, strides)
            x = _unit(x, specs, shortcut, placement, f"stage{stage}_unit{i}")
    if placement == "full":
        x = norm("norm")(x)
    if placement in ("full", "relu_only"):
        x = keras.layers.ReLU(name="relu")(x)
    return keras.layers.GlobalAveragePooling2D(name="mean")(x), inputs


def _head(x, inputs, num_classes, features_only, classifier_activation, name):
    if not features_only:
        x = keras.layers.Dense(num_classes, classifier_activation, name="logits")(x)
    return keras.Model(inputs, x, name=name)


def _specs(filters, convolutions, strides):
    """Filters, kernel size and strides of each convolution of a unit."""
    if convolutions == 2:
        return [(filters, 3, strides), (filters, 3, 1)]
    return [(filters, 1, strides), (filters, 3, 1), (4 * filters, 1, 1)]


def _unit(x, specs, shortcut, placement, name):
    filters, strides = specs[-1][0], specs[0][2]
    same = filters == x.shape[-1] and strides == 1
    if same and shortcut in ("identity", "scaling"):
        inner = keras.Sequential(
            [keras.Input(x.shape[1:]), *_branch(specs, placement)], name=f"{name}_branch"
        )
        # x / 2 + F / 2 = x + (F − x) / 2.
        how = {"shortcut": "none", "residual_scale": 0.5} if shortcut == "scaling" else {}
        y = RecurrentResidual(inner, steps=1, name=name, **how)(x)
    else:
        y = _other_unit(x, specs, shortcut, placement, name, same)
    if placement == "bn_after_add":
        y = norm(f"{name}_norm")(y)
    if placement in ("original", "bn_after_add"):
        y = keras.layers.ReLU(name=f"{name}_relu")(y)
    return y


def _other_unit(x, specs, shortcut, placement, name, same):
    """A unit that changes the width, or whose shortcut is not an identity, up to the sum."""
    filters, strides = specs[-1][0], specs[0][2]
    branch = _branch(specs, placement, f"{name}_")
    if shortcut is None:
        return chain(x, branch)
    project = not same and (len(specs) == 3 or shortcut == "conv")
    if project and len(specs) == 3 and placement == "full":
        # The first norm and ReLU are the projection's, too, which has no norm of its own.
        x, branch = chain(x, branch[:2]), branch[2:]
    y = chain(x, branch)
    if project:
        x = conv(filters, 1, strides, name=f"{name}_shortcut")(x)
        if len(specs) == 3 and placement != "full":
            x = norm(f"{name}_shortcut_norm")(x)
    elif not same:
        x = widened(x, filters, strides, f"{name}_shortcut")
    if shortcut == "conv" and not project:
        x = conv(filters, 1, name=f"{name}_shortcut")(x)
    if shortcut == "dropout":
        x = keras.layers.Dropout(0.5, name=f"{name}_dropout")(x)
    if shortcut == "scaling":
        return 0.5 * x + 0.5 * y
    if shortcut in ("exclusive_gate", "shortcut_gate"):
        gate = keras.layers.Conv2D(
            filters,
            1,
            activation="sigmoid",
            bias_initializer=keras.initializers.Constant(GATE_BIAS),
            name=f"{name}_gate",
        )(x)
        return (1 - gate) * x + (gate * y if shortcut == "exclusive_gate" else y)
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _branch(specs, placement, prefix=""):
    """The layers of F."""
    layers = []
    for i, (filters, size, strides) in enumerate(specs, 1):
        after = norm(f"{prefix}norm{i}")
        relu = keras.layers.ReLU(name=f"{prefix}relu{i}")
        convolved = padded_conv(filters, size, strides, prefix, i)
        last = i == len(specs)
        if placement == "full":
            layers += [after, relu, *convolved]
        elif placement == "relu_only":
            layers += [relu, *convolved, after]
        elif last and placement != "relu_before_add":
            layers += [*convolved, after] if placement == "original" else convolved
        else:
            layers += [*convolved, after, relu]
    return layers


def chain(x, layers):
    for layer in layers:
        x = layer(x)
    return x


def widened(x, filters, strides, name, pool=1):
    """A shortcut without weights: every other pixel, or means of `pool`, and then maps of zeros."""
    if strides > 1:
        x = keras.layers.AveragePooling2D(pool, strides, padding="same", name=name)(x)
    return ops.pad(x, [[0, 0]] * 3 + [[0, filters - x.shape[-1]]])


def padded_conv(filters, size, strides, prefix, i):
    """The layers of the convolution `prefix`conv`i`, padded on both sides alike.

    Keras' "same" would pad an even side to the right and below alone.
    """
    if strides == 1 or size == 1:
        return [conv(filters, size, strides, f"{prefix}conv{i}")]
    pad = keras.layers.ZeroPadding2D(size // 2, name=f"{prefix}pad{i}")
    return [pad, conv(filters, size, strides, f"{prefix}conv{i}", "valid")]


def conv(filters, size, strides=1, name=None, padding="same"):
    return keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding=padding,
        use_bias=False,
        # The deviation √(2 / (k² filters)) of the authors' code.
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )


def norm(name):
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)
