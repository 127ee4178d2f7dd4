"""A recurrent network that reads a text word by word and tells its class."""

import keras

from keras_recres.backend.types import Activation
from keras_recres.layers import ArrayLSTMCell, AttentionWindow, PeepholeLSTMCell, Recurrent
from keras_recres.layers.checks import check_choice, check_count
from keras_recres.models import text_parts
from keras_recres.models.families import family

# Keras' own layers where they do; its GRU as in arXiv 1406.1078, with the reset gate first.
CELLS = {
    "elman": (keras.layers.SimpleRNN, {}),
    "lstm": (keras.layers.LSTM, {}),
    "gru": (keras.layers.GRU, {"reset_after": False}),
    "peephole_lstm": (PeepholeLSTMCell, {}),
    "array_lstm": (ArrayLSTMCell, {"select": "attention"}),
}


@family(inputs="text")
def text_classifier(
    cell: str = "lstm",
    *,
    units: int = 128,
    vocabulary_size: int = 20_000,
    embedding_dim: int = 128,
    length: int = 80,
    bidirectional: bool = False,
    attention: str | None = None,
    pooling: str = "last",
    dropout: float = 0.2,
    recurrent_dropout: float = 0.2,
    head_dropout: float = 0.0,
    num_classes: int = 2,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "text_classifier",
) -> keras.Model:
    """Embedding, one recurrent layer over the words, and a dense layer.

    Its defaults are those of the LSTM in Keras' examples on IMDB reviews, 2,691,713 parameters. Two
    classes have one output unit z, as there, and the logits (0, z), whose softmax is (1 − σ(z),
    σ(z)).

    Example:
    >>> keras_recres.models.text_classifier().count_params()
    2691713

    Args:
        cell: "elman", "lstm", "gru", "peephole_lstm", or "array_lstm" with two lanes and attention.
        units: Integer ≥ 1, size of the state.
        vocabulary_size: Integer ≥ 1, how many numbers of words there are.
        embedding_dim: Integer ≥ 1, size of a word's vector.
        length: Integer ≥ 1, words of a text.
        bidirectional: Whether a second layer reads the text from its end, side by side.
        attention: None, or the radius of an `AttentionWindow` over the states, with additive
            scores.
        pooling: What the dense layer reads: the "last" state, or the "max" or "average" of all.
        dropout: Share of a word's vector that is set to zero, the same entries in all words.
        recurrent_dropout: Share of the state that is, which makes training slower.
        head_dropout: Share of what the dense layer reads.
        num_classes: Integer ≥ 1.
        features_only: Whether to return what the dense layer reads.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from numbers of words, int32 (batch, length), to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("units", units)
    check_choice("cell", cell, CELLS)
    text_parts.check_pooling(pooling, *(["last"] if attention else []))
    inputs, x = text_parts.words(vocabulary_size, embedding_dim, length)
    kind, more = CELLS[cell]
    more = {**more, "dropout": dropout, "recurrent_dropout": recurrent_dropout}
    options = {"return_sequences": pooling != "last", "name": cell}
    if issubclass(kind, keras.layers.RNN):
        layer = kind(units, **more, **options)
    else:
        layer = Recurrent(kind(units, **more), **options)
    if bidirectional:
        layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{cell}")
    x = layer(x)
    if attention:
        x = AttentionWindow(attention, score="additive", edges="renormalise", name="attention")(x)
    return text_parts.classes(
        inputs, x, pooling, head_dropout, num_classes, features_only, classifier_activation, name
    )
