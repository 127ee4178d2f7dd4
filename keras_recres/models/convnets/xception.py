"""Xception."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers.checks import check_choice
from keras_recres.models.convnets.applications import application, with_layers
from keras_recres.models.families import family

MIN_SIDE = 71


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    weights=("keras", "convert"),
    maps=r"block1_conv2_act|add(_\d+)?|block14_sepconv2_act",
)
def xception(
    layout: str = "keras",
    *,
    input_shape: ShapeLike = (299, 299, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    weights: str | None = None,
    name: str = "xception",
) -> keras.Model:
    """Xception, as keras.applications has it: separable convolutions with shortcuts.

    arXiv 1610.02357, without its dropout before the logits.

    Example:
    >>> keras_recres.models.xception().count_params()
    22910480

    Args:
        layout: "keras"; or "timm", whose batch norms have an ε of 1e-5 in the place of 1e-3, and
            whose poolings pad on both sides where Keras' pad maps of even sides on one. Weights
            have the same shapes.
        input_shape: (height, width, channels), sides of at least 71 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the mean of the last maps, (batch, 2048).
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
        keras.applications.Xception,
        input_shape=input_shape,
        num_classes=num_classes,
        features_only=features_only,
        classifier_activation=classifier_activation,
        weights=weights,
        name=name,
        min_side=MIN_SIDE,
    )
    return model if layout == "keras" else with_layers(model, {"epsilon": 1e-5}, True)
