"""conv_lstm_forecaster against table 1 of arXiv 1506.04214, and what it computes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import PeepholeConvLSTM2D
from keras_recres.models import conv_lstm_forecaster
from tests.gradients import computed


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (((256,),), 13_524_496),
        (((128, 128),), 10_042_896),
        (((128, 64, 64),), 7_585_296),
        (((128, 128), 9, 1), 11_550_224),
        (((128, 64, 64), 9, 1), 8_830_480),
    ],
)
def test_counts_are_those_of_table_1(arguments, parameters):
    with keras_private.values_given_later():
        assert conv_lstm_forecaster(*arguments).count_params() == parameters


def lstm_count(units, pixels):
    """Parameters of the network of peephole LSTMs of table 1, of as many units in both layers."""

    def layer(inputs):
        return 4 * (units**2 + inputs * units + units) + 3 * units

    read = pixels * (units + 1)
    return layer(pixels) + layer(units) + layer(0) + layer(units) + read


@pytest.mark.neutral
def test_its_lstm_of_vectors_has_the_count_of_table_1():
    """One of its 2048 units takes half a gigabyte: the same is built smaller."""
    model = conv_lstm_forecaster(
        (20, 20), 1, patch_size=8, read_out="last", input_shape=(10, 8, 8, 1)
    )
    assert model.count_params() == lstm_count(20, 8 * 8)
    assert lstm_count(2048, 64 * 64) == 142_667_776


def test_the_forecaster_goes_on_from_the_encoders_states():
    model = conv_lstm_forecaster((3, 2), 3, patch_size=2, horizon=2, input_shape=(3, 4, 6, 1))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    x = rng.uniform(size=(2, 3, 4, 6, 1)).astype("float32")
    # Patch (r, c) of a frame: pixels 2r, 2r + 1 of columns 2c, 2c + 1, row by row.
    patches = np.stack([x[:, :, a::2, b::2, 0] for a in (0, 1) for b in (0, 1)], -1)
    below, states = patches, []
    for i in range(2):
        layer = model.get_layer(f"encoder{i}")
        below, *last = computed(layer, below)
        states.append(last)
    below, read = np.zeros((2, 2, 2, 3, 0), "float32"), []
    for i in range(2):
        below = computed(model.get_layer(f"forecaster{i}"), below, initial_state=states[i])
        read.append(below)
    dense = model.get_layer("logits").get_layer("pixels")
    kernel, bias = (ops.convert_to_numpy(w) for w in dense.weights)
    pixels = np.concatenate(read, -1) @ kernel + bias
    want = np.zeros((2, 2, 4, 6, 1))
    for i, (a, b) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        want[:, :, a::2, b::2, 0] = pixels[..., i]
    np.testing.assert_allclose(computed(model, x), want, atol=1e-5)
    features = conv_lstm_forecaster((3, 2), 3, features_only=True, read_out="last")
    assert features.output_shape == (None, 10, 16, 16, 2)
    assert isinstance(features.layers[-1], PeepholeConvLSTM2D)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": ()}, ["`filters`", "()"]),
        ({"filters": (4, 0)}, ["`filters`", "0"]),
        ({"read_out": "first"}, ["`read_out`", "'first'", "'last'"]),
        ({"patch_size": 5}, ["`patch_size`", "5", "(10, 64, 64, 1)"]),
        ({"input_shape": (64, 64, 1)}, ["`input_shape`", "(64, 64, 1)"]),
        ({"horizon": 0}, ["`horizon`", "0"]),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(arguments, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        conv_lstm_forecaster(**arguments)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.slow
def test_it_learns_to_continue_a_square_that_moves():
    rng = np.random.default_rng(0)
    films = np.zeros((64, 6, 8, 8, 1), "float32")
    for film in films:
        row, column, step = rng.integers(0, 7), rng.integers(0, 8), rng.choice([-1, 1])
        for t in range(6):
            film[t, row : row + 2, (column + step * t) % 8] = 1
    keras.utils.set_random_seed(0)
    model = conv_lstm_forecaster(
        (16,), 3, patch_size=2, horizon=3, input_shape=(3, 8, 8, 1), classifier_activation="sigmoid"
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    losses = model.fit(films[:, :3], films[:, 3:], epochs=25, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
