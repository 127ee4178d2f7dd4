"""Dense networks of any depth, without normalisation, whose initialisation is theory's."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import FRN, RRN, AlphaReLU
from keras_recres.layers.checks import check_choice, check_count, check_variance
from keras_recres.layers.residual_dense import bias_initializer, weight_initializer
from keras_recres.models.families import BIAS, COLUMNS, ROWS, family

KINDS = ("frn", "rrn", "plain")

# The kernel of a branch by columns; an FRN's second matrix by rows.
LAYOUT = {r"block\d+/kernel": COLUMNS, r"block\d+/bias": BIAS}
PROJECTION = {r"block\d+/projection": ROWS}


@family(
    size_bound=lambda arguments: True,
    maps=r"block\d+",
    layout=lambda arguments: LAYOUT | (PROJECTION if arguments["kind"] == "frn" else {}),
)
def mean_field_net(
    kind: str = "frn",
    activation: Activation = "tanh",
    *,
    depth: int = 50,
    width: int = 64,
    alpha: float = 0.75,
    sigma_w_sq: float = 1.0,
    sigma_v_sq: float = 1.0,
    sigma_b_sq: float = 0.0,
    sigma_a_sq: float = 0.0,
    input_shape: ShapeLike = (28, 28, 1),
    num_classes: int = 10,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "mean_field_net",
) -> keras.Model:
    """A deep and narrow dense network: an embedding, `FRN`, `RRN` or plain layers, a head.

    x⁰ = E · flatten(image), x^l = FRN(x^(l−1)), RRN(x^(l−1)) or φ(W x^(l−1) + b) for
    l = 1 … depth, logits = H x + c

    after arXiv 1712.08969, "Mean field residual networks: on the edge of chaos": no normalisation
    and no convolution, so that the initial variances alone decide whether a depth can be trained.
    `kind` and `activation` give its four networks, tanh RRN, tanh FRN, ReLU FRN and α-ReLU FRN, and
    "plain" those without shortcuts that they are set against (arXiv 1611.01232).

    Embedding and head are plain dense layers that take their variances from no argument: entries of
    E are drawn from N(0, 1/pixels), and those of H from N(0, 1/width), with biases of 0. The theory
    begins at p⁰, the mean square of x⁰; it is the mean square of an image's pixels then, which is 1
    on average for images that were standardised to the mean 0 and the variance 1.

    Example:
    >>> model = keras_recres.models.mean_field_net("rrn", "tanh", depth=100, sigma_w_sq=0.05)
    >>> model(keras.ops.ones((2, 28, 28, 1))).shape
    (2, 10)

    Args:
        kind: "frn", "rrn" or "plain".
        activation: φ: "alpha_relu", the name of a Keras activation such as "tanh" or "relu", a
            function, or a layer, of which each of the layers gets a copy.
        depth: Integer L ≥ 1, number of these layers, each with weights of its own.
        width: Integer ≥ 1, features of each of them.
        alpha: α of "alpha_relu", in (0, 1]; without a meaning for other activations.
        sigma_w_sq: σ_w² ≥ 0, see `FRN` and `RRN`.
        sigma_v_sq: σ_v² ≥ 0; 1 but for an FRN: the others have no V.
        sigma_b_sq: σ_b² ≥ 0.
        sigma_a_sq: σ_a² ≥ 0; 0 but for an FRN: the others have no a.
        input_shape: Shape of an image, or (features,).
        num_classes: Integer ≥ 1.
        features_only: Whether to return x^L, the features before the logits.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A functional keras.Model from (batch, *input_shape) to (batch, num_classes).

    Raises:
        ValueError: For arguments out of their range, or that only an FRN has a use for.
    """
    check_choice("kind", kind, KINDS)
    for argument, value in (("depth", depth), ("width", width), ("num_classes", num_classes)):
        check_count(argument, value)
    variances = {"sigma_w_sq": sigma_w_sq, "sigma_b_sq": sigma_b_sq}
    if kind == "frn":
        variances |= {"sigma_v_sq": sigma_v_sq, "sigma_a_sq": sigma_a_sq}
    elif (sigma_v_sq, sigma_a_sq) != (1, 0):
        raise ValueError(
            f"`sigma_v_sq` and `sigma_a_sq` must be 1 and 0 for {kind!r}, which has no V and no a, "
            f"but they are {sigma_v_sq!r} and {sigma_a_sq!r}."
        )
    input_shape = _check_input_shape(input_shape)
    layer = {"frn": FRN, "rrn": RRN, "plain": _plain}[kind]

    images = keras.Input(input_shape, name="images")
    x = keras.layers.Flatten(name="flatten")(images)
    x = keras.layers.Dense(width, kernel_initializer=weight_initializer(1.0), name="embedding")(x)
    for i in range(depth):
        x = layer(width, _activation(activation, alpha), **variances, name=f"block{i}")(x)
    if not features_only:
        x = keras.layers.Dense(
            num_classes,
            activation=classifier_activation,
            kernel_initializer=weight_initializer(1.0),
            name="head",
        )(x)
    return keras.Model(images, x, name=name)


def _plain(units, activation, sigma_w_sq, sigma_b_sq, name):
    """A layer x ← φ(W x + b) with the initial variances of `FRN` and `RRN`."""
    check_variance("sigma_w_sq", sigma_w_sq)
    check_variance("sigma_b_sq", sigma_b_sq)
    return keras.layers.Dense(
        units,
        activation,
        kernel_initializer=weight_initializer(sigma_w_sq),
        bias_initializer=bias_initializer(sigma_b_sq),
        name=name,
    )


def _activation(activation, alpha):
    """What one layer is given: a layer of its own, where the activation is one."""
    if activation == "alpha_relu":
        return AlphaReLU(alpha)
    if isinstance(activation, keras.layers.Layer):
        return type(activation).from_config(activation.get_config())
    return activation


def _check_input_shape(shape):
    """`shape` as a tuple, if all of its sides are known."""
    if (
        not isinstance(shape, list | tuple)
        or not shape
        or any(not isinstance(side, int) or side < 1 for side in shape)
    ):
        raise ValueError(
            f"`input_shape` must be integers of at least 1, such as (28, 28, 1), but it is "
            f"{shape!r}."
        )
    return tuple(shape)
