"""Recurrent networks that are dynamical systems: a vector field, followed step by step."""

import keras
import numpy as np

from keras_recres.backend.keras_private import function_of
from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import Recurrent
from keras_recres.layers.cells.residual_cell import ResidualCell
from keras_recres.layers.checks import check_count
from keras_recres.layers.runge_kutta import RungeKutta
from keras_recres.models.families import family


@family(inputs="points", answers="numbers", size_bound=lambda arguments: True)
def field_rnn(
    hidden: int = 100,
    steps: int = 10,
    *,
    dt: float = 0.01,
    input_scale: float = 1.0,
    input_shape: ShapeLike = (2,),
    num_classes: int = 2,
    trajectory: bool = False,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "field_rnn",
) -> keras.Model:
    """A network for a vector field, run as a recurrent one along its trajectories.

    ds/dt = g(s) = A tanh(B s + θ) + a,  s_{t+1} = s_t + f(s_t)

    with one step f of the Runge-Kutta method of order 4. Finite pieces of trajectories of any
    system, from a compact set of starts, can be followed so, as closely as wanted, with enough
    hidden units (Funahashi and Nakamura, Neural Networks 6, 1993). The weights do not depend on the
    number of steps: what learnt short pieces follows long ones. `field_to_rnn` writes the same
    network with its hidden units as the state.

    Example:
    >>> model = keras_recres.models.field_rnn(100, steps=2000, trajectory=True)
    >>> model(keras.ops.ones((1, 2))).shape  # (batch, steps, numbers)
    (1, 2000, 2)

    Args:
        hidden: Integer ≥ 1, hidden units.
        steps: Integer ≥ 1, how many steps to go.
        dt: Their length in time, above 0.
        input_scale: Numbers by which s is divided before the hidden units, one or one each, such
            as how large it becomes.
        input_shape: (n,), the numbers of a state.
        num_classes: Must be n.
        trajectory: Whether to return the state after every step, (batch, steps, n), or the last.
        features_only: Must be False: there are no features beside the state.
        classifier_activation: Must be None: states are not probabilities.
        name: Name of the model.

    Returns:
        A `keras.Model` from starts (batch, n) to states.

    Raises:
        ValueError: If `num_classes` is not n, or an argument is out of its range.
    """
    check_count("hidden", hidden)
    check_count("steps", steps)
    if not isinstance(input_shape, tuple | list) or len(input_shape) != 1:
        raise ValueError(f"`input_shape` must be (numbers,), but it is {input_shape!r}.")
    (size,) = input_shape
    if num_classes != size or features_only or classifier_activation is not None:
        raise ValueError(
            f"a state has the {size} numbers of its start: `num_classes` must be {size}, "
            "`features_only` False and `classifier_activation` None."
        )
    scale = np.broadcast_to(np.asarray(input_scale, "float64"), (size,))
    field = keras.Sequential(
        [
            keras.Input((size,)),
            keras.layers.Rescaling((1 / scale).tolist(), name="scaled"),
            keras.layers.Dense(
                hidden,
                activation="tanh",
                # Ridges of all slopes and places.
                kernel_initializer=keras.initializers.RandomNormal(stddev=2.0),
                bias_initializer=keras.initializers.RandomUniform(-2.0, 2.0),
                name="hidden",
            ),
            keras.layers.Dense(size, name="velocity"),
        ],
        name="field",
    )
    return _run(field, RungeKutta(field, dt, name="step"), (size,), steps, trajectory, name)


def field_to_rnn(
    model: keras.Model,
    *,
    dt: float = 0.01,
    steps: int = 1,
    trajectory: bool = False,
    name: str = "field_to_rnn",
) -> keras.Model:
    """The recurrent network that follows a fitted vector field, with hidden units as its state.

    Of g(s) = A tanh(B s + θ) + a, a layer with tanh and a linear one, y = B s + θ obeys

    dy/dt = B A tanh(y) + B a

    which is a recurrent network of y's units (Trischler and D'Eleuterio, arXiv 1512.05702, without
    the decay of its units); its recurrent matrix has the rank of the state, and s = B⁺ (y − θ)
    reads it. A step is one of the Runge-Kutta method of order 4, which of y gives what it gives of
    s: the two networks are one.

    Example:
    >>> field = keras.Sequential([keras.Input((2,)), keras.layers.Dense(50, "tanh"),
    ...                           keras.layers.Dense(2)])
    >>> rnn = field_to_rnn(field, dt=0.01, steps=2000, trajectory=True)
    >>> rnn(keras.ops.ones((1, 2))).shape
    (1, 2000, 2)

    Args:
        model: A built Sequential of Dense(tanh) and Dense, from states to their derivatives, with
            at least as many hidden units as numbers; or a model of `field_rnn`.
        dt: Length of a step in time, above 0; of `field_rnn` its own.
        steps: Integer ≥ 1, how many steps to go.
        trajectory: Whether to return the state after every step, or the last.
        name: Name of the model.

    Returns:
        A `keras.Model` from starts (batch, n) to states (batch, n) or (batch, steps, n).

    Raises:
        ValueError: If the model is another than these.
    """
    check_count("steps", steps)
    kernel, bias, velocity, drift, dt = _field_of(model, dt)
    size, hidden = kernel.shape
    if hidden < size or np.linalg.matrix_rank(kernel) < size:
        raise ValueError(
            f"`model` must have hidden units that tell its {size} numbers apart, but its kernel "
            f"has the shape {kernel.shape} and the rank {np.linalg.matrix_rank(kernel)}."
        )
    lift = keras.layers.Dense(hidden, name="lift")
    inner = keras.Sequential(
        [
            keras.Input((hidden,)),
            keras.layers.Activation("tanh"),
            keras.layers.Dense(hidden, name="recurrent"),
        ],
        name="field",
    )
    read = keras.layers.Dense(size, name="read")
    step = RungeKutta(inner, dt, name="step")
    rnn = _run(inner, step, (size,), steps, trajectory, name, lift, read)
    lift.set_weights([kernel, bias])
    inner.layers[-1].set_weights([velocity @ kernel, drift @ kernel])
    inverse = np.linalg.pinv(kernel)
    read.set_weights([inverse, -bias @ inverse])
    return rnn


def _run(field, step, shape, steps, trajectory, name, lift=None, read=None):
    """A model of starts, whose state the step changes."""
    start = keras.Input(shape)
    state = start if lift is None else lift(start)
    cell = ResidualCell(step, state.shape[1:], name="cell")
    run = Recurrent(cell, return_sequences=trajectory, name="run")
    # The cell takes no notice of the sequence but for its length.
    x = run(keras.layers.RepeatVector(steps, name="clock")(start), initial_state=state)
    return keras.Model(start, x if read is None else read(x), name=name)


def _field_of(model, dt):
    """Kernel, bias, the second layer's kernel and bias, float64, and the step's length."""
    for layer in model.layers if function_of(model) is not None else ():
        if isinstance(layer, Recurrent) and isinstance(layer.cell.branch, RungeKutta):
            model, dt = layer.cell.branch.field, layer.cell.branch.dt
    layers = list(getattr(model, "layers", ()))
    scale = 1.0
    if layers and isinstance(layers[0], keras.layers.Rescaling):
        scale = np.asarray(layers.pop(0).scale, "float64")
    dense = [layer for layer in layers if type(layer) is keras.layers.Dense and layer.built]
    activations = [getattr(layer, "activation", None) for layer in layers]
    if len(dense) != len(layers) or activations != [
        keras.activations.tanh,
        keras.activations.linear,
    ]:
        raise ValueError(
            "`model` must be a built Sequential of a Dense layer with tanh and a linear one, but "
            f"it has the layers {[type(layer).__name__ for layer in layers]}."
        )

    def weights(layer):
        kernel, *bias = (w.astype("float64") for w in layer.get_weights())
        return kernel, bias[0] if bias else np.zeros(kernel.shape[1])

    (kernel, bias), (velocity, drift) = map(weights, layers)
    return np.reshape(scale, (-1, 1)) * kernel, bias, velocity, drift, dt
