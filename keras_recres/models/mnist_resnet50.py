"""The ResNet-50 of the slides on initialisation: 28 × 28 images, any activation and initialiser."""

import keras

from keras_recres.backend.types import Activation, Initializer, ShapeLike
from keras_recres.layers import AlphaReLU
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

ACTIVATIONS = ("tanh", "relu", "alpha_relu")
INITIALIZERS = ("he_normal", "he_uniform", "glorot_uniform", "glorot_normal")
MIN_SIDE = 9


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    size_bound=lambda arguments: True,
    maps=r"conv1_relu|conv\d_block\d_out",
)
def mnist_resnet50(
    activation: Activation = "relu",
    initializer: Initializer = "he_normal",
    *,
    alpha: float = 0.1,
    max_slope: float = 3.0,
    input_shape: ShapeLike = (28, 28, 1),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "mnist_resnet50",
) -> keras.Model:
    """A ResNet-50 (v1, arXiv 1512.03385) for small images, with one activation everywhere.

    The network of G. Borin Macedo's slides on FRN and RRN (Unicamp, 2020), in which He's and
    Xavier's initialisations were compared: 3 pixels of zeros around, a 7×7 convolution of stride 2
    to 64 maps, max pooling 3×3 of stride 2 without a margin, stages of 3, 4, 6 and 3 bottleneck
    blocks with 256, 512, 1024 and 2048 maps, average pooling 2×2, and the logits. All convolutions
    have a bias. 23,601,930 parameters for MNIST, of which 23,548,810 are trained.

    The body is `keras.applications.ResNet50`, whose order of layers this is, with another
    activation and initialiser in its layers and without its margin of the max pooling. The slides
    don't tell ε and momentum of the batch norms: they are Keras', 1.001e-5 and 0.99.

    With α = 0.1, the slides' own, the initial network forgets its input, whatever the slope at
    zero: a linear classifier of its features learns 1,000 images no better than guessing does after
    the third stage, where ReLU has 55 % and α = 0.75 has 30 %. The activation after each sum
    flattens the shortcut, too.

    Example:
    >>> model = keras_recres.models.mnist_resnet50("tanh", "glorot_uniform")
    >>> model.count_params()
    23601930

    Args:
        activation: "tanh", "relu" or "alpha_relu".
        initializer: "he_normal", "he_uniform", "glorot_uniform" (the Xavier of the slides'
            authors' notebook) or "glorot_normal", of all kernels.
        alpha: α of "alpha_relu", 0.1 in the slides; without a meaning for other activations.
        max_slope: M of `AlphaReLU`. Its own default of 100 is for theory; with α = 0.1 the mean
            square of the slope is 24 then, and the gradient's grows by that with each of the 49
            activations, where it is 1.05 for M = 3.
        input_shape: (height, width, channels) of the images, each side at least 9 pixels. The head
            has weights for each pixel of the last maps; for MNIST that is one.
        num_classes: Integer ≥ 1.
        features_only: Whether to return the features before the logits.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A functional keras.Model from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: For arguments out of their range.
    """
    for argument, value, allowed in (
        ("activation", activation, ACTIVATIONS),
        ("initializer", initializer, INITIALIZERS),
    ):
        if value not in allowed:
            raise ValueError(
                f"`{argument}` must be one of {', '.join(map(repr, allowed))}, but it is {value!r}."
            )
    check_count("num_classes", num_classes)
    if activation == "alpha_relu":
        AlphaReLU(alpha, max_slope=max_slope)  # Refuses wrong numbers before seconds of work.
    images = image_input(input_shape, MIN_SIDE)
    body = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=images)

    def changed(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Activation):
            if activation == "alpha_relu":
                return AlphaReLU(alpha, max_slope=max_slope, name=layer.name)
            config["activation"] = activation
        elif isinstance(layer, keras.layers.Conv2D):
            config["kernel_initializer"] = initializer
        elif layer.name == "pool1_pad":
            config["padding"] = 0
        return type(layer).from_config(config)

    x = keras.models.clone_model(body, input_tensors=[images], clone_function=changed).output
    # 2 × 2; but a window that reaches out of a map of one pixel, which changes nothing, gives a
    # multiple of it on a CPU in XLA (jaxlib 0.10.2) where batch or channels are many.
    pool_size = tuple(min(2, side) for side in x.shape[1:3])
    x = keras.layers.AveragePooling2D(pool_size, padding="same", name="avg_pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    if not features_only:
        x = keras.layers.Dense(
            num_classes,
            activation=classifier_activation,
            kernel_initializer=initializer,
            name="head",
        )(x)
    return keras.Model(images, x, name=name)
