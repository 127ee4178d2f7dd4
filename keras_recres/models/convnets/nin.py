"""Network in network: convolutions followed by 1 × 1 ones, and no dense layer."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import CeilMaxPooling2D
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

MAPS = r"mlpconv\d_\d"
CIFAR_MIN_SIDE, IMAGENET_MIN_SIDE = 8, 67


@family(min_side=CIFAR_MIN_SIDE, convolutional=True, maps=MAPS)
def nin_cifar(
    *,
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "nin_cifar",
) -> keras.Model:
    """Network in network (arXiv 1312.4400) for images of 32 × 32 pixels.

    Three "mlpconv" layers: a convolution of 5 × 5, 5 × 5 and 3 × 3, and two of 1 × 1 behind it,
    192-160-96, 192-192-192 and 192-192-classes maps, a ReLU after each, also the last, whose means
    are the logits. Between them poolings of 3 × 3, stride 2, that round sizes up, and a dropout of
    a half. Both poolings take the maximum, as in the authors' own file; that for Caffe has an
    average as the second. Weights begin with He's deviation: with the paper's 0.05 a public rerun
    without whitened images failed to train.

    Example:
    >>> keras_recres.models.nin_cifar().count_params()
    966986

    Args:
        input_shape: (height, width, channels), sides of at least 8 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return what the last convolution reads, maps of 192 channels.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, CIFAR_MIN_SIDE)
    for i, (size, filters) in enumerate(((5, (192, 160, 96)), (5, (192, 192, 192))), 1):
        x = _mlpconv(x, i, size, filters)
        x = CeilMaxPooling2D(3, 2, name=f"pool{i}")(x)
        x = keras.layers.Dropout(0.5, name=f"drop{i}")(x)
    x = _mlpconv(x, 3, 3, (192, 192))
    return _ended(inputs, x, num_classes, features_only, classifier_activation, name)


@family(min_side=IMAGENET_MIN_SIDE, convolutional=True, weights=(), maps=MAPS)
def nin_imagenet(
    *,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "nin_imagenet",
) -> keras.Model:
    """Network in network (arXiv 1312.4400) for ImageNet, as its authors' file for Caffe has it.

    Four "mlpconv" layers: a convolution of 11 × 11 with stride 4 and no margin, of 5 × 5, 3 × 3 and
    3 × 3, and two of 1 × 1 behind each, with 96, 256, 384 and 1024 maps, the last as many as
    classes, a ReLU after each. Between them poolings of 3 × 3, stride 2, that round sizes up, and
    before the last layer a dropout of a half. The means of the last maps are the logits.

    Example:
    >>> keras_recres.models.nin_imagenet().count_params()
    7595176

    Args:
        input_shape: (height, width, channels), sides of at least 67 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return what the last convolution reads, maps of 1024 channels.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, IMAGENET_MIN_SIDE)
    for i, (size, filters) in enumerate(((11, 96), (5, 256), (3, 384)), 1):
        x = _mlpconv(x, i, size, (filters,) * 3)
        x = CeilMaxPooling2D(3, 2, name=f"pool{i}")(x)
    x = keras.layers.Dropout(0.5, name="drop")(x)
    x = _mlpconv(x, 4, 3, (1024, 1024))
    return _ended(inputs, x, num_classes, features_only, classifier_activation, name)


def _mlpconv(x, number, size, filters):
    """A convolution and those of 1 × 1 behind it; one of 11 × 11 has stride 4 and no margin."""
    for i, width in enumerate(filters, 1):
        first = {"strides": 4} if size == 11 else {"padding": "same"}
        x = _conv(width, size if i == 1 else 1, f"mlpconv{number}_{i}", first if i == 1 else {})(x)
    return x


def _conv(filters, size, name, how):
    return keras.layers.Conv2D(
        filters, size, activation="relu", kernel_initializer="he_normal", name=name, **how
    )


def _ended(inputs, x, num_classes, features_only, classifier_activation, name):
    check_count("num_classes", num_classes)
    if not features_only:
        head = [
            keras.Input(x.shape[1:]),
            _conv(num_classes, 1, "conv", {}),
            keras.layers.GlobalAveragePooling2D(name="mean"),
            keras.layers.Activation(classifier_activation or "linear"),
        ]
        x = keras.Sequential(head, name="logits")(x)
    return keras.Model(inputs, x, name=name)
