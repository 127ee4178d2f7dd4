"""Inception, fourth version."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.models.convnets.inception_parts import AVERAGE, MAX, conv, modules
from keras_recres.models.convnets.parts import image_input, network
from keras_recres.models.families import family

MIN_SIDE = 75
WIDE, HIGH = (1, 7), (7, 1)
# Where the stem splits in two and joins again.
STEM = {
    "features_3": [[MAX], [("conv", 96, 3, 2)]],
    "features_4": [
        [("branch0_0", 64, 1), ("branch0_1", 96, 3, 1, "valid")],
        [
            ("branch1_0", 64, 1),
            ("branch1_1", 64, WIDE),
            ("branch1_2", 64, HIGH),
            ("branch1_3", 96, 3, 1, "valid"),
        ],
    ],
    "features_5": [[("conv", 192, 3, 2)], [MAX]],
}
MODULE_A = [
    [("branch0", 96, 1)],
    [("branch1_0", 64, 1), ("branch1_1", 96, 3)],
    [("branch2_0", 64, 1), ("branch2_1", 96, 3), ("branch2_2", 96, 3)],
    [AVERAGE, ("branch3_1", 96, 1)],
]
REDUCTION_A = [
    [("branch0", 384, 3, 2)],
    [("branch1_0", 192, 1), ("branch1_1", 224, 3), ("branch1_2", 256, 3, 2)],
    [MAX],
]
MODULE_B = [
    [("branch0", 384, 1)],
    [("branch1_0", 192, 1), ("branch1_1", 224, WIDE), ("branch1_2", 256, HIGH)],
    [
        ("branch2_0", 192, 1),
        ("branch2_1", 192, HIGH),
        ("branch2_2", 224, WIDE),
        ("branch2_3", 224, HIGH),
        ("branch2_4", 256, WIDE),
    ],
    [AVERAGE, ("branch3_1", 128, 1)],
]
REDUCTION_B = [
    [("branch0_0", 192, 1), ("branch0_1", 192, 3, 2)],
    [
        ("branch1_0", 256, 1),
        ("branch1_1", 256, WIDE),
        ("branch1_2", 320, HIGH),
        ("branch1_3", 320, 3, 2),
    ],
    [MAX],
]
MODULE_C = [
    [("branch0", 256, 1)],
    [("branch1_0", 384, 1), [("branch1_1a", 256, (1, 3)), ("branch1_1b", 256, (3, 1))]],
    [
        ("branch2_0", 384, 1),
        ("branch2_1", 448, (3, 1)),
        ("branch2_2", 512, (1, 3)),
        [("branch2_3a", 256, (1, 3)), ("branch2_3b", 256, (3, 1))],
    ],
    [AVERAGE, ("branch3_1", 256, 1)],
]
MODULES = [*[MODULE_A] * 4, REDUCTION_A, *[MODULE_B] * 7, REDUCTION_B, *[MODULE_C] * 3]


@family(min_side=MIN_SIDE, convolutional=True, weights=("convert",), maps=r"features_\d+(_relu)?")
def inception_v4(
    *,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "inception_v4",
) -> keras.Model:
    """Inception, fourth version: modules of three kinds behind a stem that splits three times.

    arXiv 1602.07261, figures 3 to 9, with 4, 7 and 3 modules; batch norms have a scale, as in
    timm's files. Where a branch has 1 x 7 and 7 x 1 convolutions, their order is that of the
    authors' code.

    Example:
    >>> keras_recres.models.inception_v4().count_params()
    42742984

    Args:
        input_shape: (height, width, channels), sides of at least 75 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 1536).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, MIN_SIDE)
    x = conv(x, 32, 3, "features_0", 2)
    x = conv(x, 32, 3, "features_1", padding="valid")
    x = conv(x, 64, 3, "features_2")
    x = modules(x, STEM | {f"features_{i}": part for i, part in enumerate(MODULES, 6)})
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return network(inputs, x, num_classes, features_only, classifier_activation, name)
