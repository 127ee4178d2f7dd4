"""ResNets for ImageNet: torchvision's and those of keras.applications."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import BatchNormalization
from keras_recres.models.convnets.applications import application
from keras_recres.models.convnets.parts import image_input, network
from keras_recres.models.families import family

# Depth: the units of each stage. Those of 50 and more layers are bottlenecks.
UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
MIN_SIDE = 32
# Depth, version: the function of keras.applications.
KERAS = {
    (50, 1): keras.applications.ResNet50,
    (101, 1): keras.applications.ResNet101,
    (152, 1): keras.applications.ResNet152,
    (50, 2): keras.applications.ResNet50V2,
    (101, 2): keras.applications.ResNet101V2,
    (152, 2): keras.applications.ResNet152V2,
}


@family(
    min_side=MIN_SIDE, convolutional=True, weights=("convert",), maps=r"stem_relu|layer\d_\d+_relu"
)
def resnet(
    depth: int = 50,
    *,
    residual: bool = True,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "resnet",
) -> keras.Model:
    """ResNets as torchvision has them, and the plain networks that they were compared with.

    Four stages of units of two 3 x 3 convolutions, or of bottlenecks of 1 x 1, 3 x 3 and 1 x 1,
    whose last is four times as wide: x ← relu(x + F(x)), and without shortcuts x ← relu(F(x))
    (arXiv 1512.03385). Where the shape changes, the shortcut is a 1 x 1 convolution with batch norm
    ("option B"; the paper's 18 and 34 layers have zeros, "A"). The stride of such a bottleneck is
    in its 3 x 3 convolution, which others call version 1.5; the paper's is in the first 1 x 1, as
    in `keras_resnet`, whose weights have the same shapes and another function.

    Example:
    >>> keras_recres.models.resnet(18).count_params()
    11699112

    Args:
        depth: 18, 34, 50, 101 or 152.
        residual: Whether the units have shortcuts.
        input_shape: (height, width, channels), sides of at least 32 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last stage, (batch, 512 or 2048).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    if depth not in UNITS:
        raise ValueError(f"`depth` must be one of {(*UNITS,)}, but it is {depth!r}.")
    inputs = image_input(input_shape, MIN_SIDE)
    x = _norm(_conv(inputs, 64, 7, 2, "conv1"), "bn1")
    x = keras.layers.ReLU(name="stem_relu")(x)
    # Zeros are less than all else that a ReLU gives.
    x = keras.layers.ZeroPadding2D(1, name="pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="pool")(x)
    for stage, units in enumerate(UNITS[depth], 1):
        for i in range(units):
            strides = 2 if stage > 1 and i == 0 else 1
            filters = 32 * 2**stage
            x = _unit(x, filters, strides, depth >= 50, residual, f"layer{stage}_{i}")
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return network(inputs, x, num_classes, features_only, classifier_activation, name)


def _unit(x, filters, strides, bottleneck, residual, name):
    specs = [(filters, 3, strides), (filters, 3, 1)]
    if bottleneck:
        specs = [(filters, 1, 1), (filters, 3, strides), (4 * filters, 1, 1)]
    y = x
    for i, (width, size, stride) in enumerate(specs, 1):
        y = _norm(_conv(y, width, size, stride, f"{name}_conv{i}"), f"{name}_bn{i}")
        if i < len(specs):
            y = keras.layers.ReLU(name=f"{name}_relu{i}")(y)
    if residual:
        if x.shape[-1] != y.shape[-1] or strides > 1:
            x = _conv(x, y.shape[-1], 1, strides, f"{name}_downsample_0")
            x = _norm(x, f"{name}_downsample_1")
        y = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)


def _conv(x, filters, size, strides, name):
    if strides > 1 and size > 1:
        # On both sides, and not only to the right and below.
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )(x)


def _norm(x, name):
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


@family(min_side=MIN_SIDE, convolutional=True, weights=("keras",), maps=r"conv\d_block\d+_out")
def keras_resnet(
    depth: int = 50,
    version: int = 1,
    *,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    weights: str | None = None,
    name: str = "keras_resnet",
) -> keras.Model:
    """ResNets of keras.applications: the authors' weights, and their pre-activated successors.

    Version 1 is the network of arXiv 1512.03385, with its weights out of Caffe: where a stage
    begins, the stride is in the first 1 x 1 convolution. Unlike the paper's, its convolutions have
    biases before batch norm. Version 2 (arXiv 1603.05027) has the stride in the last unit of a
    stage, as the weights of TensorFlow's slim do and the authors' own code does not; its first
    pooling pads with zeros before any ReLU.

    Example:
    >>> keras_recres.models.keras_resnet(50).count_params()
    25636712

    Args:
        depth: 50, 101 or 152.
        version: 1 or 2.
        input_shape: (height, width, channels), sides of at least 32 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last stage, (batch, 2048).
        classifier_activation: None for logits, or an activation such as "softmax".
        weights: None, or "imagenet" for those that Keras downloads.
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes). Its images
        are blue, green, red with the mean subtracted, for version 2 within [-1, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """
    if (depth, version) not in KERAS:
        raise ValueError(
            "`depth` must be 50, 101 or 152 and `version` 1 or 2, but they are "
            f"{depth!r} and {version!r}."
        )
    return application(
        KERAS[depth, version],
        input_shape=input_shape,
        num_classes=num_classes,
        features_only=features_only,
        classifier_activation=classifier_activation,
        weights=weights,
        name=name,
        min_side=MIN_SIDE,
    )
