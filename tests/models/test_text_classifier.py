"""`models.text_classifier`: Keras' own example, to the unit."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import models


def example(words, length, units):
    """The network of Keras' LSTM example on IMDB reviews."""
    return keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            keras.layers.Embedding(words, units),
            keras.layers.LSTM(units, dropout=0.2, recurrent_dropout=0.2),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def test_its_defaults_are_those_of_keras_example():
    own = models.text_classifier()
    assert own.count_params() == example(20_000, 80, 128).count_params() == 2_691_713
    assert (own.input_shape, own.output_shape) == ((None, 80), (None, 2))
    lstm = own.get_layer("lstm")
    assert (lstm.dropout, lstm.recurrent_dropout, lstm.units) == (0.2, 0.2, 128)


def test_two_logits_are_the_sigmoid_of_one_unit():
    small = {"vocabulary_size": 30, "length": 5, "units": 4, "embedding_dim": 4}
    own, other = models.text_classifier(**small), example(30, 5, 4)
    other.set_weights([w + 0.3 for w in own.get_weights()])
    own.set_weights(other.get_weights())
    x = np.random.default_rng(0).integers(0, 30, (3, 5)).astype("int32")
    found = ops.convert_to_numpy(ops.softmax(own(x)))
    wanted = ops.convert_to_numpy(other(x))
    np.testing.assert_allclose(found, np.hstack([1 - wanted, wanted]), atol=1e-6)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": "lsmt"}, "`cell` must be one of .*'lstm'.*, but it is 'lsmt'"),
        ({"pooling": "sum"}, "`pooling` must be one of .*'max'.*, but it is 'sum'"),
        ({"length": 0}, "`length` must be"),
    ],
)
def test_arguments_out_of_range_are_one_sentence(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        models.text_classifier(**changes)
