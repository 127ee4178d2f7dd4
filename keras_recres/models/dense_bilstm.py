"""Bidirectional LSTMs in which each layer reads all before it."""

from collections.abc import Sequence

import keras

from keras_recres.backend.types import Activation
from keras_recres.layers.checks import check_count
from keras_recres.models import text_parts
from keras_recres.models.families import family


@family(inputs="text")
def dense_bilstm(
    units: Sequence[int] = (13,) * 14 + (100,),
    *,
    pooling: str = "average",
    vocabulary_size: int = 20_000,
    embedding_dim: int = 300,
    length: int = 80,
    dropout: float = 0.0,
    head_dropout: float = 0.0,
    num_classes: int = 2,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "dense_bilstm",
) -> keras.Model:
    """Densely connected bidirectional LSTMs over the words of a text.

    h^l = BiLSTM_l([x; h^1; …; h^{l−1}])

    and a dense layer reads the mean of the last one's steps (arXiv 1802.00889). With m numbers a
    word layer l has 8 (u_l² + m_l u_l + u_l) parameters, m_1 = m and m_{l+1} = m_l + 2 u_l. Two
    classes have one output unit, as in `text_classifier`.

    Example:
    >>> model = keras_recres.models.dense_bilstm((4, 4, 8), vocabulary_size=50, embedding_dim=6)
    >>> model.count_params() - 50 * 6 - 17
    2944

    Args:
        units: Integers ≥ 1, the size of each layer's states, u_l in either direction.
        pooling: "average" or "max" over the steps.
        vocabulary_size: Integer ≥ 1, how many numbers of words there are.
        embedding_dim: Integer ≥ 1, size of a word's vector.
        length: Integer ≥ 1, words of a text.
        dropout: Share of each layer's input that is set to zero, the same in all steps.
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
    if not isinstance(units, list | tuple) or not units:
        raise ValueError(f"`units` must be a list of integers, one a layer, but it is {units!r}.")
    for size in units:
        check_count("units", size)
    text_parts.check_pooling(pooling, "last")
    inputs, x = text_parts.words(vocabulary_size, embedding_dim, length)
    read = [x]
    for i, size in enumerate(units):
        x = keras.layers.Concatenate(name=f"read{i}")(read) if i else x
        lstm = keras.layers.LSTM(size, return_sequences=True, dropout=dropout)
        x = keras.layers.Bidirectional(lstm, name=f"bilstm{i}")(x)
        read.append(x)
    return text_parts.classes(
        inputs, x, pooling, head_dropout, num_classes, features_only, classifier_activation, name
    )
