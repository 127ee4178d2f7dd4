"""Inception-ResNets: modules of Inception that add to their input."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers.checks import check_choice
from keras_recres.models.convnets.applications import application, with_layers
from keras_recres.models.convnets.inception_parts import MAX, conv, modules, stem
from keras_recres.models.convnets.parts import image_input, network
from keras_recres.models.families import family

MIN_SIDE = 75
# Branches of a unit, what they are scaled by, and how many such units there are (arXiv 1602.07261,
# figures 10 to 15).
STAGES = {
    "a": (
        [
            [("branch0", 32, 1)],
            [("branch1_0", 32, 1), ("branch1_1", 32, 3)],
            [("branch2_0", 32, 1), ("branch2_1", 32, 3), ("branch2_2", 32, 3)],
        ],
        0.17,
        5,
    ),
    "b": (
        [
            [("branch0", 128, 1)],
            [("branch1_0", 128, 1), ("branch1_1", 128, (1, 7)), ("branch1_2", 128, (7, 1))],
        ],
        0.1,
        10,
    ),
    "c": (
        [
            [("branch0", 192, 1)],
            [("branch1_0", 192, 1), ("branch1_1", 192, (1, 3)), ("branch1_2", 192, (3, 1))],
        ],
        0.2,
        5,
    ),
}
REDUCTIONS = {
    "a": [
        [("branch0", 384, 3, 2)],
        [("branch1_0", 192, 1), ("branch1_1", 192, 3), ("branch1_2", 256, 3, 2)],
        [MAX],
    ],
    "b": [
        [("branch0_0", 256, 1), ("branch0_1", 384, 3, 2)],
        [("branch1_0", 256, 1), ("branch1_1", 256, 3, 2)],
        [("branch2_0", 256, 1), ("branch2_1", 256, 3), ("branch2_2", 256, 3, 2)],
        [MAX],
    ],
}


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    weights=(),
    maps=r"stem3_relu|stem5_relu|unit_[abc]\d+_relu",
)
def inception_resnet_v1(
    *,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "inception_resnet_v1",
) -> keras.Model:
    """Inception-ResNet, first version, as its paper draws it: 5, 10 and 5 units.

    x ← relu(x + s · F(x)) with F a module of Inception and a 1 x 1 convolution without batch norm,
    and s of 0.17, 0.1 and 0.2 in the three stages (arXiv 1602.07261). Public code for faces has one
    unit more, and another head.

    Example:
    >>> keras_recres.models.inception_resnet_v1().count_params()
    22783368

    Args:
        input_shape: (height, width, channels), sides of at least 75 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 1792).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    inputs = image_input(input_shape, MIN_SIDE)
    x = conv(stem(inputs), 80, 1, "stem4")
    x = conv(x, 192, 3, "stem5", padding="valid")
    x = conv(x, 256, 3, "stem6", 2)
    for stage, (branches, scale, units) in STAGES.items():
        for i in range(1, units + 1):
            x = _unit(x, branches, scale, f"unit_{stage}{i}")
        if stage in REDUCTIONS:
            x = modules(x, {f"reduction_{stage}": REDUCTIONS[stage]})
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return network(inputs, x, num_classes, features_only, classifier_activation, name)


def _unit(x, branches, scale, name):
    y = modules(x, {name: branches})
    y = keras.layers.Conv2D(x.shape[-1], 1, name=f"{name}_up")(y)
    y = keras.layers.Rescaling(scale, name=f"{name}_scale")(y)
    y = keras.layers.Add(name=f"{name}_add")([x, y])
    return keras.layers.ReLU(name=f"{name}_relu")(y)


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    weights=("keras", "convert"),
    maps=r"block\d+_\d+_ac|conv_7b_ac",
)
def inception_resnet_v2(
    layout: str = "keras",
    *,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    weights: str | None = None,
    name: str = "inception_resnet_v2",
) -> keras.Model:
    """Inception-ResNet, second version, as keras.applications has it.

    10, 20 and 10 units (arXiv 1602.07261). The paper's stem is that of `inception_v4`; the released
    network, this one, has that of `inception_v3` and a module more.

    Example:
    >>> keras_recres.models.inception_resnet_v2().count_params()
    55873736

    Args:
        layout: "keras" for batch norms without scale; "timm" for those of timm's files, with scale.
        input_shape: (height, width, channels), sides of at least 75 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 1536).
        classifier_activation: None for logits, or an activation such as "softmax".
        weights: None, or "imagenet" for those that Keras downloads, with the layout "keras".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_choice("layout", layout, ("keras", "timm"))
    model = application(
        keras.applications.InceptionResNetV2,
        input_shape=input_shape,
        num_classes=num_classes,
        features_only=features_only,
        classifier_activation=classifier_activation,
        weights=weights,
        name=name,
        min_side=MIN_SIDE,
    )
    return model if layout == "keras" else with_layers(model, {"scale": True})
