"""The two-neuron residual networks of the planar experiment."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import check_count, check_positive
from keras_recres.models.families import family


@family(inputs="points", size_bound=lambda arguments: True)
def planar(
    depth: int = 4,
    steps: int = 1,
    *,
    residual_scale: float | str | None = 0.3,
    activation: Activation = "tanh",
    kernel_stddev: float = 0.7,
    input_shape: ShapeLike = (2,),
    num_classes: int = 2,
    loop: str = "auto",
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "planar",
) -> keras.Model:
    """A residual network of narrow dense layers, whose last neurons are the logits.

    x ← x + s · φ(W x + b) in each of `depth` layers, each run `steps` times (Jiang, Cui and Wang,
    "Residual network with recurrent structures", section 2.3). There is no head, so that the
    parameter counts are the paper's: 24 for depth 4 ("shallow"), 6 for depth 1 with 13 steps
    ("recurrent"), 78 for depth 13 ("deep").

    Example:
    >>> model = keras_recres.models.planar(depth=1, steps=13)
    >>> model.count_params()
    6

    Args:
        depth: Integer ≥ 1, number of layers with weights of their own.
        steps: Integer ≥ 1, how many times each is run.
        residual_scale: s; as in `RecurrentResidual`. depth · steps · s bounds how far the flow
            can carry a point, since |tanh| < 1.
        activation: φ.
        kernel_stddev: Standard deviation σ of the normal initial weights, W ~ N(0, σ²); the
            biases begin at zero.
        input_shape: (n,), the number of neurons.
        num_classes: Must be n.
        loop: As in `RecurrentResidual`.
        features_only: Must be False: the logits are the features.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, n) to (batch, n).

    Raises:
        ValueError: If `num_classes` is not n, a head is asked for, or a number is out of range.
    """
    check_count("depth", depth)
    check_positive("kernel_stddev", kernel_stddev)
    if not isinstance(input_shape, tuple | list) or len(input_shape) != 1:
        raise ValueError(f"`input_shape` must be (neurons,), but it is {input_shape!r}.")
    (width,) = input_shape
    if num_classes != width:
        raise ValueError(
            f"`num_classes` must equal the {width} neurons, since a planar network has no head, "
            f"but it is {num_classes!r}."
        )
    if features_only:
        raise ValueError(
            "`features_only` must be False, since the logits of a planar network are its features."
        )
    inputs = x = keras.Input(input_shape)
    for i in range(depth):
        branch = keras.layers.Dense(
            width,
            activation=activation,
            kernel_initializer=keras.initializers.RandomNormal(stddev=kernel_stddev),
            name="dense",
        )
        x = RecurrentResidual(
            branch, steps=steps, residual_scale=residual_scale, loop=loop, name=f"block{i}"
        )(x)
    if classifier_activation is not None:
        x = keras.layers.Activation(classifier_activation, name="probabilities")(x)
    return keras.Model(inputs, x, name=name)
