"""A recurrent network that reads a text word by word and tells its class."""

import keras
from keras import ops

from keras_recres.layers.checks import check_choice, check_count
from keras_recres.models.families import family

# The GRU is that of arXiv 1406.1078, whose reset gate comes before the product.
CELLS = {
    "elman": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": lambda units, **kwargs: keras.layers.GRU(units, reset_after=False, **kwargs),
}
POOLINGS = {
    "last": None,
    "max": keras.layers.GlobalMaxPooling1D,
    "average": keras.layers.GlobalAveragePooling1D,
}


@family(inputs="text")
def text_classifier(
    cell="lstm",
    *,
    units=128,
    vocabulary_size=20_000,
    embedding_dim=128,
    length=80,
    bidirectional=False,
    pooling="last",
    dropout=0.2,
    recurrent_dropout=0.2,
    head_dropout=0.0,
    num_classes=2,
    features_only=False,
    classifier_activation=None,
    name="text_classifier",
):
    """Embedding, one recurrent layer over the words, and a dense layer.

    Its defaults are those of the LSTM in Keras' examples on IMDB reviews, 2,691,713 parameters. Two
    classes have one output unit z, as there, and the logits (0, z), whose softmax is (1 − σ(z),
    σ(z)).

    Example:
    >>> keras_recres.models.text_classifier().count_params()
    2691713

    Args:
        cell: "elman", "lstm" or "gru".
        units: Integer ≥ 1, size of the state.
        vocabulary_size: Integer ≥ 1, how many numbers of words there are.
        embedding_dim: Integer ≥ 1, size of a word's vector.
        length: Integer ≥ 1, words of a text.
        bidirectional: Whether a second layer reads the text from its end, side by side.
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
    sizes = dict(units=units, vocabulary_size=vocabulary_size, embedding_dim=embedding_dim)
    for key, value in {**sizes, "length": length, "num_classes": num_classes}.items():
        check_count(key, value)
    check_choice("cell", cell, CELLS)
    check_choice("pooling", pooling, POOLINGS)
    inputs = keras.Input((length,), dtype="int32")
    x = keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(inputs)
    layer = CELLS[cell](
        units,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        return_sequences=pooling != "last",
        name=cell,
    )
    if bidirectional:
        layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{cell}")
    x = layer(x)
    if pooling != "last":
        x = POOLINGS[pooling](name="pool")(x)
    if head_dropout:
        x = keras.layers.Dropout(head_dropout, name="head_dropout")(x)
    if not features_only:
        x = keras.layers.Dense(1 if num_classes == 2 else num_classes, name="logits")(x)
        if num_classes == 2:
            x = ops.pad(x, ((0, 0), (1, 0)))
        if classifier_activation is not None:
            x = keras.layers.Activation(classifier_activation, name="probabilities")(x)
    return keras.Model(inputs, x, name=name)
