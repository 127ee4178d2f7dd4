"""The two recurrent networks that came first: Elman's and Jordan's."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import JordanCell, Recurrent
from keras_recres.layers.checks import check_count
from keras_recres.models.families import family


@family(inputs="sequence")
def elman(
    units: int = 16,
    *,
    input_shape: ShapeLike = (None, 8),
    num_classes: int = 2,
    return_sequences: bool = True,
    truncate: int | None = None,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "elman",
) -> keras.Model:
    """Elman's network: a state that the next step sees, and a readout of every step.

    h = tanh(U x + W h₋ + b),  y = V h + c

    Elman, "Finding structure in time" (Cognitive Science 14, 1990; no arXiv number).

    Example:
    >>> keras_recres.models.elman(5, input_shape=(None, 3)).count_params()  # n² + mn + n + nk + k
    57

    Args:
        units: Integer n ≥ 1, size of the state.
        input_shape: (steps, m); the steps may be None.
        num_classes: Integer k ≥ 1, size of y.
        return_sequences: Whether to return y of every step, or of the last one.
        truncate: As in `Recurrent`: 1 for gradients that see one step alone.
        features_only: Whether to return h.
        classifier_activation: None for logits, or σ of y = σ(V h + c).
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, steps, m) to (batch, steps, k), or (batch, k).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("units", units)
    inputs = _sequence(input_shape)
    cell = keras.layers.SimpleRNNCell(units)
    x = Recurrent(cell, return_sequences=return_sequences, truncate=truncate, name="elman")(inputs)
    if not features_only:
        check_count("num_classes", num_classes)
        x = keras.layers.Dense(num_classes, activation=classifier_activation, name="logits")(x)
    return keras.Model(inputs, x, name=name)


@family(inputs="sequence")
def jordan(
    units: int = 16,
    *,
    input_shape: ShapeLike = (None, 8),
    num_classes: int = 2,
    return_sequences: bool = True,
    truncate: int | None = None,
    decay: float = 0.0,
    output_activation: Activation = "sigmoid",
    name: str = "jordan",
) -> keras.Model:
    """Jordan's network: what the next step sees is the output.

    h = tanh(U x + W s + b),  y = σ(V h + c),  s = α s₋ + y₋

    as `layers.JordanCell` has it. It returns y in place of logits, since y is its state.

    Example:
    >>> keras_recres.models.jordan(5, input_shape=(None, 3)).count_params()  # mn + kn + n + nk + k
    42

    Args:
        units: Integer n ≥ 1, size of h.
        input_shape: (steps, m); the steps may be None.
        num_classes: Integer k ≥ 1, size of y.
        return_sequences: Whether to return y of every step, or of the last one.
        truncate: As in `Recurrent`.
        decay: α in [0, 1).
        output_activation: σ.
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, steps, m) to (batch, steps, k), or (batch, k).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("num_classes", num_classes)
    inputs = _sequence(input_shape)
    cell = JordanCell(units, num_classes, output_activation, decay)
    x = Recurrent(cell, return_sequences=return_sequences, truncate=truncate, name="jordan")(inputs)
    return keras.Model(inputs, x, name=name)


def _sequence(input_shape):
    if not isinstance(input_shape, list | tuple) or len(input_shape) != 2:
        raise ValueError(f"`input_shape` must be (steps, features), but it is {input_shape!r}.")
    return keras.Input(input_shape)
