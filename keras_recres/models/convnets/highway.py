"""Highway networks: learnt gates that let hundreds of layers pass a signal on."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import CeilMaxPooling2D, Highway
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

# Of the input and after each stage, from the authors' Caffe files.
DROPOUT = (0.2, 0.3, 0.4, 0.5)
POOLS = (3, 3, 2)
MIN_SIDE = 12


@family(min_side=MIN_SIDE, convolutional=True, size_bound=lambda arguments: True)
def highway(
    depth: int = 10,
    width: int = 16,
    *,
    dense: bool = False,
    gate_bias: float = -1.0,
    input_shape: ShapeLike = (28, 28, 1),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "highway",
) -> keras.Model:
    """Highway networks for MNIST, of convolutions or of dense layers, all of one width.

    y = H(x) · T(x) + x · (1 − T(x)) (arXiv 1505.00387, section 2; 1507.06228) with a ReLU in H. The
    first layer is plain, since it changes the width. The convolutional network has three stages of
    (depth − 1) / 3 layers of 3 x 3, the first of them a plain one of 5 x 5 without padding; after
    each stage a max pooling that rounds up, and dropout; the dense layer to the classes counts as
    the last of `depth`. The dense network has `depth` hidden layers and no dropout.

    Example:
    >>> keras_recres.models.highway().count_params()
    38986

    Args:
        depth: Integer ≥ 2; 3 n + 1 for the convolutional network.
        width: Integer ≥ 1, maps or units of every layer.
        dense: Whether the layers are dense ones.
        gate_bias: As in `keras_recres.layers.Highway`.
        input_shape: (height, width, channels), sides of at least 12 pixels for convolutions.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return what the layer to the classes would see.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("width", width)
    check_count("depth", depth)
    if depth < 2 or (not dense and depth % 3 != 1):
        allowed = "an integer of at least 2" if dense else "3 n + 1 with an integer n of at least 1"
        raise ValueError(f"`depth` must be {allowed}, but it is {depth!r}.")
    inputs = image_input(input_shape, 1 if dense else MIN_SIDE)
    if dense:
        x = keras.layers.Flatten(name="flat")(inputs)
        x = _dense(width, "dense1")(x)
        for i in range(2, depth + 1):
            x = Highway(_dense(width, "transform"), gate_bias=gate_bias, name=f"highway{i}")(x)
    else:
        x = _convolutions(inputs, depth, width, gate_bias)
    if not features_only:
        x = keras.layers.Dense(
            num_classes,
            classifier_activation,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.1),
            name="logits",
        )(x)
    return keras.Model(inputs, x, name=name)


def _convolutions(inputs, depth, width, gate_bias):
    x = keras.layers.Dropout(DROPOUT[0], name="input_dropout")(inputs)
    x = _conv(width, 5, "valid", "stage1_conv")(x)
    for stage, (pool, rate) in enumerate(zip(POOLS, DROPOUT[1:], strict=True), 1):
        for i in range(2 if stage == 1 else 1, depth // 3 + 1):
            transform = _conv(width, 3, "same", "transform")
            x = Highway(transform, gate_bias=gate_bias, name=f"stage{stage}_highway{i}")(x)
        x = CeilMaxPooling2D(pool, 2, name=f"stage{stage}_pool")(x)
        x = keras.layers.Dropout(rate, name=f"stage{stage}_dropout")(x)
    return keras.layers.Flatten(name="flat")(x)


# Caffe's "xavier" filler is uniform within ±√(3 / fan-in).
def _conv(width, size, padding, name):
    return keras.layers.Conv2D(
        width,
        size,
        padding=padding,
        activation="relu",
        kernel_initializer="lecun_uniform",
        name=name,
    )


def _dense(width, name):
    return keras.layers.Dense(
        width, activation="relu", kernel_initializer="lecun_uniform", name=name
    )
