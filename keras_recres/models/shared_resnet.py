"""Residual networks of convolutions with one block a stage, run several times."""

from collections.abc import Sequence

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family
from keras_recres.models.shared_parts import convolution, norm
from keras_recres.models.shared_states import states


@family(min_side=4, convolutional=True, maps=r"stage\d+")
def shared_resnet(
    steps: int = 3,
    *,
    filters: Sequence[int] = (16, 32, 64),
    unshare: str | Sequence[str] = ("norm",),
    transitions: str | None = None,
    shortcut: str = "add",
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    loop: str = "auto",
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "shared_resnet",
) -> keras.Model:
    """A ResNet whose blocks within a stage are one: as deep, and a fraction of its parameters.

    In each stage x ← x + f(x), `steps` times, with f two pre-activation convolutions of 3 x 3,
    after a convolution that (from the second stage on) halves the sides: the recurrent form of a
    ResNet of Liao and Poggio, arXiv 1604.03640. Everything but `unshare` is shared over the steps;
    with its default every step has norms of its own, and with `unshare=("norm", "conv1", "conv2")`
    the network is a plain one of `steps` blocks a stage.

    With `transitions` the stages are states S_1 … S_m of one recurrent network, the i-th with sides
    of 1 / 2^i, that all step at once, after the same paper's form of several states:

    S_i ← S_i + Σ_j `transitions[i][j]` K_ij(S_j)

    from S_1, a convolution of the image, with no other state there before something reaches it. An
    operator K_ii is f; between different states it is a norm, a ReLU and a convolution that halves
    the sides as often as it takes, or doubles them. The logits are of the last state after `steps`.
    Operators are shared over the steps but for what `unshare` names, "norm" or nothing. How the
    paper's own networks were connected could not be read.

    Example:
    >>> model = keras_recres.models.shared_resnet(3, filters=(8, 16, 32))
    >>> model.count_params()
    32066
    >>> three = ((1, 0, 0), (1, 1, 0), (0, 1, 1))
    >>> keras_recres.models.shared_resnet(5, filters=(8, 16, 32), transitions=three).output_shape
    (None, 10)

    Args:
        steps: Integer ≥ 1, how often each stage's block runs, or all states step.
        filters: Channels of each stage, integers ≥ 1.
        unshare: As in `RecurrentResidual`, out of "norm", "norm1", "conv1", "norm2" and "conv2".
        transitions: None for one stage after the other, or a square table of 0 and 1: for each
            state, which states it is reached from in one step.
        shortcut: "add", or "none" for the plain network x ← f(x), of stages in a row alone.
        input_shape: (height, width, channels), sides of at least 4 pixels; with `transitions`
            multiples of 2^(m − 1).
        num_classes: Integer ≥ 1, number of logits.
        loop: As in `RecurrentResidual`; with `transitions` the steps are unrolled.
        features_only: Whether to return the mean of the last stage, (batch, channels).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not isinstance(filters, tuple | list) or not filters:
        raise ValueError(f"`filters` must be the channels of each stage, but it is {filters!r}.")
    for channels in filters:
        check_count("filters", channels)
    inputs = x = image_input(input_shape, 2 ** (len(filters) - 1))
    if transitions is not None:
        if shortcut != "add":
            raise ValueError(f"`shortcut` must be 'add' with `transitions`, found {shortcut!r}.")
        x = states(x, steps, filters, unshare, transitions)
        filters = ()
    for i, channels in enumerate(filters):
        x = convolution(channels, 2 if i else 1, f"stage{i}_conv")(x)
        x = norm(f"stage{i}_norm")(x)
        x = keras.layers.ReLU(name=f"stage{i}_relu")(x)
        branch = keras.Sequential(
            [
                keras.Input(x.shape[1:]),
                norm("norm1"),
                keras.layers.ReLU(name="relu1"),
                convolution(channels, 1, "conv1"),
                norm("norm2"),
                keras.layers.ReLU(name="relu2"),
                convolution(channels, 1, "conv2"),
            ],
            name=f"stage{i}_branch",
        )
        x = RecurrentResidual(
            branch, steps, shortcut, unshare=unshare, loop=loop, name=f"stage{i}"
        )(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    if not features_only:
        x = keras.layers.Dense(num_classes, activation=classifier_activation, name="logits")(x)
    return keras.Model(inputs, x, name=name)
