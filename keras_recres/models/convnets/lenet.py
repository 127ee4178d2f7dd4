"""LeNet-5: that of 1998, and what is called so today."""

import hashlib

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import PartialConv2D, RBFOutput, TrainableSubsampling2D
from keras_recres.models.convnets.parts import image_input, network
from keras_recres.models.families import family

MIN_SIDE = 28
# What the original's images have where nothing is written.
WHITE = -0.1
# The maps of S2 that each map of C3 sees, the paper's table I.
C3 = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


@keras.saving.register_keras_serializable(package="keras_recres")
def scaled_tanh(x):
    """1.7159 tanh(2 x / 3), which takes ±1 to ±1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * ops.tanh(x * (2 / 3))


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    size_bound=lambda arguments: True,
    maps=r"c\d",
)
def lenet5(
    *,
    original: bool = False,
    input_shape: ShapeLike = (28, 28, 1),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "lenet5",
) -> keras.Model:
    """LeNet-5: three convolutions, two poolings, and two dense layers, for digits.

    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
    1998; no arXiv number. Images get a margin of 2 pixels, so that those of MNIST have 32;
    convolutions of 5 × 5 to 6, 16 and 120 maps with averages of 2 × 2 between them; dense layers of
    84 neurons and the logits.

    The original has 60,000 trained parameters: its averages have a coefficient and a bias a map
    and are squashed, the 16 maps see some of the 6 each, the nonlinearity is 1.7159 tanh(2 x / 3),
    and a class's output is the squared distance of the 84 features to a fixed code of ±1. Here it
    is minus that, so that the largest is the class, and that softmax cross-entropy is the paper's
    loss but for its constant e^−j. The paper's codes are pictures of the digits in 7 × 12 pixels;
    these are other fixed ones, bits of SHA-256. It takes images with −0.1 for white and 1.175 for
    black. The other network has plain averages and convolutions, tanh, and dense logits.

    Example:
    >>> keras_recres.models.lenet5(original=True).count_params()  # 840 are the codes.
    60840

    Args:
        original: Whether it is the network of 1998.
        input_shape: (height, width, channels), sides of at least 28 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the 84 features before the logits.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, MIN_SIDE)
    squash = scaled_tanh if original else "tanh"

    def initial(fan_in):
        limit = 2.4 / fan_in
        return keras.initializers.RandomUniform(-limit, limit) if original else "glorot_uniform"

    def conv(x, filters, name):
        init = initial(25 * x.shape[-1])
        layer = keras.layers.Conv2D(
            filters, 5, activation=squash, kernel_initializer=init, name=name
        )
        return layer(x)

    def pool(x, name):
        if original:
            return TrainableSubsampling2D(2, squash, name=name)(x)
        return keras.layers.AveragePooling2D(2, name=name)(x)

    margin = [[0, 0], [2, 2], [2, 2], [0, 0]]
    x = ops.pad(x, margin, constant_values=WHITE if original else 0.0)
    x = pool(conv(x, 6, "c1"), "s2")
    if original:
        init = initial(25 * sum(map(len, C3)) / len(C3))
        x = PartialConv2D(C3, 5, activation=squash, kernel_initializer=init, name="c3")(x)
    else:
        x = conv(x, 16, "c3")
    x = conv(pool(x, "s4"), 120, "c5")
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(84, squash, kernel_initializer=initial(x.shape[-1]), name="f6")(x)
    if not original or features_only:
        return network(inputs, x, num_classes, features_only, classifier_activation, name)
    head = [keras.Input((84,)), RBFOutput(codes(num_classes)), keras.layers.Rescaling(-1.0)]
    head.append(keras.layers.Activation(classifier_activation or "linear"))
    return keras.Model(inputs, keras.Sequential(head, name="logits")(x), name=name)


def codes(num_classes):
    """A code of ±1 for each class, (num_classes, 84), always the same ones."""
    digests = [[*hashlib.sha256(str(i).encode()).digest()] for i in range(num_classes)]
    bits = np.unpackbits(np.array(digests, "uint8"), axis=-1)
    return 2.0 * bits[:, :84] - 1
