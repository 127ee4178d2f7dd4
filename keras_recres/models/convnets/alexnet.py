"""AlexNet: the paper's in two towers, and the one that torchvision has weights for."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import LocalResponseNormalization
from keras_recres.models.convnets.parts import image_input, network
from keras_recres.models.families import family

# Filters, kernel size, groups of the two towers, and whether a norm and a pool follow.
TWO_TOWERS = ((96, 11, 1), (256, 5, 2), (384, 3, 1), (384, 3, 2), (256, 3, 2))
ONE_TOWER = ((64, 11, 1), (192, 5, 1), (384, 3, 1), (256, 3, 1), (256, 3, 1))
POOLED = (1, 2, 5)
MIN_SIDE = 67


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    weights=("convert",),
    size_bound=lambda arguments: True,
    maps=r"conv\d|pool5",
)
def alexnet(
    *,
    two_tower: bool = False,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "alexnet",
) -> keras.Model:
    """AlexNet: five convolutions and three dense layers.

    With `two_tower` the network of the paper (Krizhevsky, Sutskever and Hinton, "ImageNet
    classification with deep convolutional neural networks", NIPS 2012; no arXiv number), whose
    halves were on two processors: conv2, conv4 and conv5 have two groups, conv3 and the dense
    layers see both; after conv1 and conv2 a ReLU, then local response normalization, then pooling.
    The paper says 224 pixels; its sizes of maps come out with 227 and no margin. Without it, one
    tower of "One weird trick for parallelizing convolutional neural networks" (arXiv 1404.5997)
    with 64, 192, 384, 256 and 256 filters, as its author's file and torchvision have them (the
    paper has 384 in conv4): no normalization, and a margin of 2 for images of 224.

    torchvision averages the last maps into 6 × 6 ones, which 224 pixels give by themselves; here
    images of other sizes give dense layers of other sizes.

    Example:
    >>> keras_recres.models.alexnet(two_tower=True, input_shape=(227, 227, 3)).count_params()
    60965224

    Args:
        two_tower: Whether it is the network of 2012.
        input_shape: (height, width, channels), sides of at least 67 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the 4096 features before the logits.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, MIN_SIDE)
    if not two_tower:
        x = keras.layers.ZeroPadding2D(2, name="pad")(x)
    for i, (filters, size, groups) in enumerate(TWO_TOWERS if two_tower else ONE_TOWER, 1):
        x = keras.layers.Conv2D(
            filters,
            size,
            strides=4 if i == 1 else 1,
            padding="valid" if i == 1 else "same",
            groups=groups,
            activation="relu",
            name=f"conv{i}",
            **_initializers(0.01, i in (2, 4, 5)),
        )(x)
        if two_tower and i in (1, 2):
            x = LocalResponseNormalization(name=f"norm{i}")(x)
        if i in POOLED:
            x = keras.layers.MaxPooling2D(3, 2, name=f"pool{i}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for i in (6, 7):
        # torchvision drops what goes into a dense layer, the paper what comes out.
        dense = keras.layers.Dense(4096, "relu", name=f"fc{i}", **_initializers(0.005, True))
        drop = keras.layers.Dropout(0.5, name=f"drop{i}")
        for layer in (dense, drop) if two_tower else (drop, dense):
            x = layer(x)
    return network(
        inputs,
        x,
        num_classes,
        features_only,
        classifier_activation,
        name,
        **_initializers(0.01, False),
    )


def _initializers(stddev, ones):
    """The paper's; of the dense layers the deviations are Caffe's."""
    return {
        "kernel_initializer": keras.initializers.RandomNormal(stddev=stddev),
        "bias_initializer": "ones" if ones else "zeros",
    }
