"""An LSTM over the constituents of a jet."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers.checks import check_count
from keras_recres.models.families import family


@family(inputs="sequence")
def jet_lstm(
    units: int = 128,
    hidden_units: int = 64,
    *,
    input_shape: ShapeLike = (120, 3),
    num_classes: int = 1,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "jet_lstm",
) -> keras.Model:
    """Tells jets of top quarks from others: an LSTM over a jet's constituents, and two dense maps.

    arXiv 1711.09059: pT, η and φ of each constituent, one after the other as a walk through the
    jet's clustering tree meets them. `keras_recres.zoo.jets` makes them of momenta.

    Example:
    >>> model = keras_recres.models.jet_lstm()
    >>> model.count_params()
    75905

    Args:
        units: Integer ≥ 1, units of the LSTM.
        hidden_units: Integer ≥ 1, units of the dense layer after it.
        input_shape: (constituents, features). Rows of zeros are padding, which is left out.
        num_classes: Integer ≥ 1, logits; one, of a top quark, has a sigmoid's cross-entropy.
        features_only: Whether to return what the last map reads, (batch, hidden_units).
        classifier_activation: None for logits, or an activation such as "sigmoid".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, *input_shape) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("units", units)
    check_count("hidden_units", hidden_units)
    check_count("num_classes", num_classes)
    if not isinstance(input_shape, list | tuple) or len(input_shape) != 2:
        raise ValueError(
            f"`input_shape` must be (constituents, features), but it is {input_shape!r}."
        )
    inputs = keras.Input(input_shape)
    x = keras.layers.Masking(name="constituents")(inputs)
    x = keras.layers.LSTM(units, name="lstm")(x)
    x = keras.layers.Dense(hidden_units, "relu", name="dense")(x)
    if not features_only:
        x = keras.layers.Dense(num_classes, classifier_activation, name="logits")(x)
    return keras.Model(inputs, x, name=name)
