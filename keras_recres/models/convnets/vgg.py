"""VGG: the six configurations of its paper, 11 to 19 layers."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import LocalResponseNormalization
from keras_recres.layers.checks import check_choice, check_count
from keras_recres.models.convnets.applications import application
from keras_recres.models.convnets.parts import image_input, network
from keras_recres.models.families import family

# How many convolutions each block has.
CONFIGURATIONS = {
    "A": (1, 1, 2, 2, 2),
    "A-LRN": (1, 1, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "C": (2, 2, 3, 3, 3),
    "D": (2, 2, 3, 3, 3),
    "E": (2, 2, 4, 4, 4),
}
FILTERS = (64, 128, 256, 512, 512)
MIN_SIDE = 32


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    weights=("keras", "convert"),
    size_bound=lambda arguments: True,
    maps=r"block\d_(conv\d|norm)",
)
def vgg(
    configuration: str = "D",
    *,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    weights: str | None = None,
    name: str = "vgg",
) -> keras.Model:
    """VGG: blocks of 3 × 3 convolutions between poolings, then three dense layers.

    The columns of table 1 of arXiv 1409.1556: "A", 11 layers; "A-LRN" with local response
    normalization after the first; "B", 13; "C", 16, in which the third convolution of a block is
    1 × 1; "D", VGG-16; "E", VGG-19. A block's convolutions have 64, 128, 256, 512 and 512 filters.

    "D" and "E" are `keras.applications.VGG16` and `VGG19`. They differ from the paper's in that
    they have no dropout of a half after the first two dense layers, which the others here have.

    Three layers of 3 × 3 see 7 × 7 pixels with 27 C² weights instead of 49 C², two see 5 × 5 with
    28 % fewer.

    Example:
    >>> keras_recres.models.vgg("A", num_classes=10).count_params()
    128807306

    Args:
        configuration: The column of the paper's table, see above.
        input_shape: (height, width, channels), sides of at least 32 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the 4096 features before the logits.
        classifier_activation: None for logits, or an activation such as "softmax".
        weights: None, or for "D" and "E" "imagenet" for those that Keras downloads.
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_choice("configuration", configuration, tuple(CONFIGURATIONS))
    check_count("num_classes", num_classes)
    if configuration in ("D", "E"):
        return application(
            keras.applications.VGG16 if configuration == "D" else keras.applications.VGG19,
            input_shape=input_shape,
            num_classes=num_classes,
            features_only=features_only,
            classifier_activation=classifier_activation,
            weights=weights,
            name=name,
            min_side=MIN_SIDE,
        )
    if weights is not None:
        raise ValueError(
            f"`weights` of the configuration {configuration!r} must be None, but they are "
            f"{weights!r}: Keras has those of 'D' and 'E'."
        )
    x = inputs = image_input(input_shape, MIN_SIDE)
    for block, convolutions in enumerate(CONFIGURATIONS[configuration], 1):
        for i in range(1, convolutions + 1):
            x = keras.layers.Conv2D(
                FILTERS[block - 1],
                1 if configuration == "C" and i == 3 else 3,
                padding="same",
                activation="relu",
                name=f"block{block}_conv{i}",
            )(x)
        if configuration == "A-LRN" and block == 1:
            x = LocalResponseNormalization(name="block1_norm")(x)
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for i in (1, 2):
        x = keras.layers.Dense(4096, "relu", name=f"fc{i}")(x)
        x = keras.layers.Dropout(0.5, name=f"drop{i}")(x)
    return network(inputs, x, num_classes, features_only, classifier_activation, name)
