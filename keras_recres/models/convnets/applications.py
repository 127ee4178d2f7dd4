"""Networks of keras.applications as builders of this library."""

import math

import keras

from keras_recres.backend import keras_private
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input


def application(
    build,
    *,
    input_shape,
    num_classes,
    features_only,
    classifier_activation,
    weights,
    name,
    min_side,
):
    """A network of keras.applications, whose layers are called the same every time.

    Args:
        build: A function such as `keras.applications.ResNet50`.
        input_shape: (height, width, channels).
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to leave out the last layer.
        classifier_activation: None for logits, or an activation such as "softmax".
        weights: None, or "imagenet" for those that Keras downloads, for 1,000 classes and images of
            the size that they were trained with.
        name: Name of the model.
        min_side: Smallest side of an image in pixels.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the image is too small, or the weights are for another head.
    """
    image_input(input_shape, min_side)
    check_count("num_classes", num_classes)
    with keras_private.names_from_start():
        model = build(
            weights=weights,
            input_shape=tuple(input_shape),
            classes=num_classes,
            classifier_activation=classifier_activation,
            name=name,
        )
    if not features_only:
        return model
    return keras.Model(model.inputs, model.layers[-1].input, name=name)


def with_layers(model, of_norms, pad_both_sides=False):
    """A network anew, without its weights, and with other batch norms.

    Args:
        model: A functional model.
        of_norms: Arguments of its batch norms that replace theirs.
        pad_both_sides: Whether max poolings of 3 × 3 with stride 2 that pad do so on both sides.

    Returns:
        A functional `keras.Model` whose layers have the same names.
    """

    def padded(layer):
        kind, config = keras.layers.MaxPooling2D, layer.get_config()
        return isinstance(layer, kind) and pad_both_sides and config["padding"] == "same"

    def clone(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config |= of_norms
        return type(layer).from_config(config)

    def call(layer, x, *args, **kwargs):
        if padded(layer):
            # What is outside never is the largest; now Keras adds nothing on the other sides.
            x = keras.ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-math.inf)
            layer.padding = "valid"
        return layer(x, *args, **kwargs)

    return keras.models.clone_model(model, clone_function=clone, call_function=call)
