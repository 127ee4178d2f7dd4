"""Networks that solve larger problems with more steps."""

from collections.abc import Sequence

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import check_count
from keras_recres.models.families import family

CONVOLUTIONS = {2: keras.layers.Conv1D, 3: keras.layers.Conv2D}


@family(inputs="grid", convolutional=True)
def deep_thinking(
    width: int = 32,
    steps: int = 30,
    *,
    recall: bool = True,
    residual_scale: float | str | None = None,
    unshare: str | Sequence[str] = (),
    exit_threshold: float | None = None,
    input_shape: ShapeLike = (32, 1),
    num_classes: int = 2,
    loop: str = "auto",
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "deep_thinking",
) -> keras.Model:
    """A small convolutional block that runs until the problem is solved, one answer a cell.

    x_0 = relu(E u),  x_{t+1} = x_t + s (N(r_2(r_1(relu(R [x_t, x_0])))) − x_t),
    r_i(z) = relu(z + B_i relu(A_i z))

    with the problem u, 3-tap convolutions E, R, A_i and B_i without bias, and N, which divides each
    cell's state by the root of its mean square; three convolutions read the answer off the last
    state. R sees the problem again at each step ("recall") as in Bansal et al., "End-to-end
    algorithm synthesis with recurrent networks" (arXiv 2202.05826); N, which keeps the size of the
    state, and s are this project's. An s below 1 has the same states at rest, and damps what the
    block alone would repeat for ever. Trained on small problems with a drawn number of steps, it
    solves larger ones with more (`zoo.load("prefix_sum_rec")`).

    Example:
    >>> model = keras_recres.models.deep_thinking(32, steps=600, input_shape=(512, 1))
    >>> model(keras.ops.ones((1, 512, 1))).shape
    (1, 512, 2)

    Args:
        width: Integer ≥ 1, channels of the state.
        steps: Integer ≥ 1, how often the block runs.
        recall: Whether each step sees x_0 again.
        residual_scale: s, as in `RecurrentResidual`; None for 1.
        unshare: As in `RecurrentResidual`: which weights are per-step.
        exit_threshold: As in `RecurrentResidual`: at inference a problem whose state stands still
            is left alone. 1e-3 is below what one changing cell in 100,000 makes.
        input_shape: (cells, channels) of a sequence or (height, width, channels) of a plane, whose
            sizes may be None; values in [0, 1].
        num_classes: Integer ≥ 1, answers that a cell can have.
        loop: As in `RecurrentResidual`.
        features_only: Whether to return what the last convolution reads, (batch, …, width / 2).
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, *input_shape) to (batch, …, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("width", width)
    if not isinstance(input_shape, tuple | list) or len(input_shape) not in CONVOLUTIONS:
        raise ValueError(
            "`input_shape` must be (cells, channels) or (height, width, channels), but it is "
            f"{input_shape!r}."
        )
    kind = CONVOLUTIONS[len(input_shape)]

    def convolution(x, filters, name, activation="relu"):
        return kind(
            filters,
            3,
            padding="same",
            use_bias=False,
            activation=activation,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    state = (*input_shape[:-1], 2 * width if recall else width)
    inner = z = keras.Input(state)
    z = convolution(z, width, "recall")
    for i in range(2):
        y = convolution(z, width, f"block{i}_conv1")
        y = convolution(y, width, f"block{i}_conv2", None)
        z = keras.layers.ReLU(name=f"block{i}_relu")(keras.layers.Add(name=f"block{i}_add")([z, y]))
    z = keras.layers.UnitNormalization(name="norm")(z)
    # Values of about 1, as those of x_0 are.
    z = keras.layers.Rescaling(width**0.5, name="scale")(z)
    branch = keras.Model(inner, z, name="branch")
    inputs = keras.Input(input_shape)
    # The edge is 0, and a value −1 or 1.
    x = keras.layers.Rescaling(2.0, -1.0, name="centre")(inputs)
    x = convolution(x, width, "embed")
    x = RecurrentResidual(
        branch,
        steps=steps,
        shortcut="none",
        residual_scale=residual_scale,
        inject_input="concat" if recall else None,
        unshare=unshare,
        exit_threshold=exit_threshold,
        loop=loop,
        name="think",
    )(x)
    x = convolution(x, width, "head0")
    x = convolution(x, max(1, width // 2), "head1")
    if not features_only:
        x = convolution(x, num_classes, "logits", classifier_activation)
    return keras.Model(inputs, x, name=name)
