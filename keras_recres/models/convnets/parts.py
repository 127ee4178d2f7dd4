"""What the builders of networks of images share."""

import math

import keras

from keras_recres.layers.checks import check_count

# ImageNet's mean and standard deviation of the channels, of pixels in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_input(input_shape, min_side, max_side=math.inf):
    """A `keras.Input` of images, if they are ones that the network takes.

    Raises:
        ValueError: If the shape has another rank, a side that is too short or too long, or
            no channels.
    """
    if not isinstance(input_shape, list | tuple) or len(input_shape) != 3:
        raise ValueError(
            f"`input_shape` must be (height, width, channels), but it is {input_shape!r}."
        )
    check_count("input_shape[2]", input_shape[2])
    sides = input_shape[:2]
    if any(not isinstance(side, int) or not min_side <= side <= max_side for side in sides):
        of = f"of at least {min_side}" if max_side == math.inf else f"from {min_side} to {max_side}"
        raise ValueError(
            f"`input_shape` must have sides {of} pixels, but it is {tuple(input_shape)}."
        )
    return keras.Input(tuple(input_shape), name="images")


def network(inputs, features, num_classes, features_only, classifier_activation, name, **dense):
    """The model that ends in features, or in the logits of them.

    Args:
        inputs: The input.
        features: (batch, features).
        num_classes: Integer ≥ 1.
        features_only: Whether to leave out the logits.
        classifier_activation: That of the logits.
        name: Name of the model.
        **dense: Further arguments of the last `keras.layers.Dense`.
    """
    check_count("num_classes", num_classes)
    if not features_only:
        head = keras.layers.Dense(num_classes, classifier_activation, name="logits", **dense)
        features = head(features)
    return keras.Model(inputs, features, name=name)


def as_inception_takes_it(images):
    """Images normalised with ImageNet's statistics as x / 127.5 − 1 of pixels x in [0, 255].

    torchvision's `transform_input`, for weights that came from TensorFlow.
    """
    scale = [std / 0.5 for std in STD]
    offset = [(mean - 0.5) / 0.5 for mean in MEAN]
    return keras.layers.Rescaling(scale, offset, name="transform_input")(images)
