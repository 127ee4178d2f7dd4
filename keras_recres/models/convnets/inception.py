"""Inception with batch norms, up to its third version."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.models.convnets.applications import application
from keras_recres.models.convnets.inception_parts import (
    AVERAGE,
    MAX,
    conv,
    modules,
    stem,
)
from keras_recres.models.convnets.parts import as_inception_takes_it, image_input, network
from keras_recres.models.families import family

# Filters of a module of BN-Inception: 1 × 1; 3 × 3 and its reduction; two 3 × 3 and their
# reduction; after the average pooling. Without a 1 × 1 the module halves the sides.
BN_MODULES = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
# Smallest side that the stem and two reductions leave a pixel of, and that from which the auxiliary
# classifier of the third version has maps of 17 × 17.
MIN_SIDE, AUXILIARY_SIDE = 75, 299


@family(min_side=32, convolutional=True, weights=(), maps=r"inception_\d[a-e]|conv2_relu")
def bn_inception(
    *,
    use_bias: bool = True,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "bn_inception",
) -> keras.Model:
    """BN-Inception, the first Inception with batch norms; some call it the second version.

    GoogLeNet whose 5 × 5 convolutions are two of 3 × 3, with a batch norm after each convolution,
    and modules of stride 2 in the place of poolings (arXiv 1502.03167). Widths from the module 4d
    on differ among public versions: these are those of Caffe's and Cadene's files.

    Example:
    >>> keras_recres.models.bn_inception().count_params()
    11315272

    Args:
        use_bias: Whether convolutions have biases, as in Caffe's files, which batch norms undo.
        input_shape: (height, width, channels), sides of at least 32 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 1024).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, 32)
    options = {"epsilon": 1e-5, "use_bias": use_bias}
    x = conv(x, 64, 7, "conv1", 2, pad=3, **options)
    x = _ceil_pool(x, "pool1")
    x = conv(x, 64, 1, "conv2_reduce", **options)
    x = _ceil_pool(conv(x, 192, 3, "conv2", **options), "pool2")
    for key, (one, before, three, before_double, double, pooled) in BN_MODULES.items():
        name_of_module, strides = f"inception_{key}", 1 if one else 2

        def branch(filters, size, suffix, y, strides=1, module=name_of_module):
            pad = 1 if strides > 1 else 0
            return conv(y, filters, size, f"{module}_{suffix}", strides, pad=pad, **options)

        y = branch(before_double, 1, "double_3x3_reduce", x)
        y = branch(double, 3, "double_3x3_1", y)
        branches = [
            branch(three, 3, "3x3", branch(before, 1, "3x3_reduce", x), strides),
            branch(double, 3, "double_3x3_2", y, strides),
        ]
        if not one:
            branches.append(_ceil_pool(x, f"{name_of_module}_pool"))
        else:
            # The last module takes the maximum.
            kind = keras.layers.MaxPooling2D if key == "5b" else _average_with_border
            y = kind(3, 1, padding="same", name=f"{name_of_module}_pool")(x)
            branches = [
                branch(one, 1, "1x1", x),
                *branches,
                branch(pooled, 1, "pool_proj", y),
            ]
        x = keras.layers.Concatenate(name=name_of_module)(branches)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return network(inputs, x, num_classes, features_only, classifier_activation, name)


def _average_with_border(size, strides, padding, name):
    """Average pooling that counts the zeros around the maps, as Caffe's and PyTorch's."""

    def pool(x):
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        return keras.layers.AveragePooling2D(size, strides, name=name)(x)

    return pool


def _ceil_pool(x, name):
    """3 × 3 with stride 2, the last window cut short; of what a ReLU gives."""
    rest = [[0, 1 - side % 2] for side in x.shape[1:3]]
    x = keras.layers.ZeroPadding2D(rest, name=f"{name}_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name=name)(x)


def _auxiliary(arguments):
    there = arguments.get("auxiliary", True) and not arguments.get("features_only")
    return (0.3,) if there else ()


@family(min_side=MIN_SIDE, convolutional=True, weights=(), maps=r"mixed_\d[a-z]|stem\d_relu")
def inception_v2(
    *,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "inception_v2",
) -> keras.Model:
    """The network of table 1 of the paper that also introduced the third version.

    Three modules of its figure 5, five of figure 6 with n = 7 and two of figure 7 (arXiv
    1512.00567), with a reduction of figure 10 wherever the sides are halved. The table gives the
    maps between the groups and no widths inside: these are those of the released third version, of
    whose four modules of figure 6 the third is there twice. Nobody prints the count, which so is
    derived.

    Example:
    >>> keras_recres.models.inception_v2().count_params()
    25992776

    Args:
        input_shape: (height, width, channels), sides of at least 75 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 2048).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    inputs = image_input(input_shape, MIN_SIDE)
    x = conv(stem(inputs), 80, 3, "stem4", padding="valid")
    x = conv(x, 192, 3, "stem5", 2)
    x = conv(x, 288, 3, "stem6")
    parts = {f"mixed_5{key}": _module_a(64, 3) for key in "bcd"}
    parts["mixed_6a"] = _reduction_a()
    widths = zip("bcdef", (128, 160, 160, 160, 192), strict=True)
    parts |= {f"mixed_6{key}": _module_b(width) for key, width in widths}
    parts["mixed_7a"] = _reduction_b()
    parts |= {f"mixed_7{key}": _module_c() for key in "bc"}
    x = modules(x, parts)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return network(inputs, x, num_classes, features_only, classifier_activation, name)


@family(min_side=MIN_SIDE, convolutional=True, weights=("keras",), maps=r"mixed\d+|activation_4")
def inception_v3(
    *,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    weights: str | None = None,
    name: str = "inception_v3",
) -> keras.Model:
    """Inception, third version, as keras.applications has it: batch norms without scale.

    Factorised convolutions of 7 × 7 and 5 × 5 (arXiv 1512.00567). It has no auxiliary classifier;
    `inception_v3_aux` has.

    Example:
    >>> keras_recres.models.inception_v3().count_params()
    23851784

    Args:
        input_shape: (height, width, channels), sides of at least 75 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 2048).
        classifier_activation: None for logits, or an activation such as "softmax".
        weights: None, or "imagenet" for those that Keras downloads.
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    return application(
        keras.applications.InceptionV3,
        input_shape=input_shape,
        num_classes=num_classes,
        features_only=features_only,
        classifier_activation=classifier_activation,
        weights=weights,
        name=name,
        min_side=MIN_SIDE,
    )


@family(
    min_side=AUXILIARY_SIDE,
    convolutional=True,
    weights=("convert",),
    auxiliary=_auxiliary,
    maps=r"Mixed_\d[a-e]|Conv2d_2b_3x3_relu|Conv2d_4a_3x3_relu",
)
def inception_v3_aux(
    *,
    auxiliary: bool = True,
    transform_input: bool = False,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "inception_v3_aux",
) -> keras.Model:
    """Inception, third version, as torchvision has it: with its auxiliary classifier.

    Beside that, it differs from `inception_v3` in batch norms with scale, a dropout of a half, and
    average poolings inside the modules that count the zeros around the maps.

    Example:
    >>> keras_recres.models.inception_v3_aux().count_params()
    27197488

    Args:
        auxiliary: Whether the model has the auxiliary classifier, for training alone.
        transform_input: Whether images come normalised with ImageNet's mean and standard deviation,
            and are brought to [−1, 1] first, as torchvision does with its weights.
        input_shape: (height, width, channels), sides of at least 299 pixels, and of 75 without the
            auxiliary classifier.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 2048), alone.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to a list of two (batch, num_classes):
        logits, and those of the auxiliary classifier on the last maps of 17 × 17, whose loss counts
        0.3; without it to the logits.

    Raises:
        ValueError: If an argument is out of its range.
    """
    auxiliary = auxiliary and not features_only
    x = inputs = image_input(input_shape, AUXILIARY_SIDE if auxiliary else MIN_SIDE)
    if transform_input:
        if input_shape[-1] != 3:
            raise ValueError(
                "`transform_input` is for images of 3 channels, but `input_shape` is "
                f"{tuple(input_shape)}."
            )
        x = as_inception_takes_it(x)
    x = conv(x, 32, 3, "Conv2d_1a_3x3", 2)
    x = conv(x, 32, 3, "Conv2d_2a_3x3", padding="valid")
    x = conv(x, 64, 3, "Conv2d_2b_3x3")
    x = keras.layers.MaxPooling2D(3, 2, name="maxpool1")(x)
    x = conv(x, 80, 1, "Conv2d_3b_1x1")
    x = conv(x, 192, 3, "Conv2d_4a_3x3", padding="valid")
    x = keras.layers.MaxPooling2D(3, 2, name="maxpool2")(x)
    parts = {f"Mixed_5{key}": _module_a(n) for key, n in zip("bcd", (32, 64, 64), strict=True)}
    parts["Mixed_6a"] = _reduction_a()
    widths = zip("bcde", (128, 160, 160, 192), strict=True)
    parts |= {f"Mixed_6{key}": _module_b(width) for key, width in widths}
    x = between = modules(x, parts, _average_with_border)
    parts = {"Mixed_7a": _reduction_b(), "Mixed_7b": _module_c(), "Mixed_7c": _module_c()}
    x = modules(x, parts, _average_with_border)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    model = network(inputs, x, num_classes, features_only, classifier_activation, name)
    if not auxiliary:
        return model
    y = keras.layers.AveragePooling2D(5, 3, name="AuxLogits_pool")(between)
    y = conv(y, 128, 1, "AuxLogits_conv0")
    y = conv(y, 768, 5, "AuxLogits_conv1", padding="valid")
    y = keras.layers.GlobalAveragePooling2D(name="AuxLogits_mean")(y)
    y = keras.layers.Dense(num_classes, classifier_activation, name="AuxLogits_fc")(y)
    return keras.Model(inputs, [model.output, y], name=name)


def _module_a(pooled, widest=5):
    """Figure 5; the released network has 5 × 5 where the figure has 3 × 3."""
    return [
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, widest)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        [AVERAGE, ("branch_pool", pooled, 1)],
    ]


def _reduction_a():
    return [
        [("branch3x3", 384, 3, 2)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)],
        [MAX],
    ]


def _module_b(n):
    """Figure 6."""
    wide, high = (1, 7), (7, 1)
    return [
        [("branch1x1", 192, 1)],
        [("branch7x7_1", n, 1), ("branch7x7_2", n, wide), ("branch7x7_3", 192, high)],
        [
            ("branch7x7dbl_1", n, 1),
            ("branch7x7dbl_2", n, high),
            ("branch7x7dbl_3", n, wide),
            ("branch7x7dbl_4", n, high),
            ("branch7x7dbl_5", 192, wide),
        ],
        [AVERAGE, ("branch_pool", 192, 1)],
    ]


def _reduction_b():
    return [
        [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)],
        [
            ("branch7x7x3_1", 192, 1),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
            ("branch7x7x3_4", 192, 3, 2),
        ],
        [MAX],
    ]


def _module_c():
    """Figure 7, whose branches end in two."""
    return [
        [("branch1x1", 320, 1)],
        [
            ("branch3x3_1", 384, 1),
            [("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))],
        ],
        [
            ("branch3x3dbl_1", 448, 1),
            ("branch3x3dbl_2", 384, 3),
            [("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))],
        ],
        [AVERAGE, ("branch_pool", 192, 1)],
    ]
