"""Models with integer weights."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers, serve
from tests.marks import slow_on_tensorflow
from tests.serve.conftest import checked_here
from tests.serve.requests_of import logits_of


def points(examples):
    return np.random.default_rng(4).uniform(-3, 3, (examples, 2)).astype("float32")


def test_a_recurrent_model_is_nearly_itself(planar):
    before = planar.get_weights()
    copy = serve.quantized(planar)
    assert "int8" in {ops.dtype(weight.value) for weight in copy.weights}
    difference = np.abs(logits_of(copy, points(50)) - logits_of(planar, points(50)))
    # The largest of 127 levels, 13 times: not exact, and near.
    assert 1e-4 < difference.max() < 0.1
    assert copy.zoo_record is planar.zoo_record
    for a, b in zip(before, planar.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["int8", pytest.param("save", marks=slow_on_tensorflow)])
def test_steps_of_their_own_remain_as_they_are(name, tmp_path):
    inputs = keras.Input((4,))
    branch = keras.Sequential([keras.layers.Dense(4, "tanh", name="own"), keras.layers.Dense(4)])
    layer = layers.RecurrentResidual(branch, 3, unshare="own")
    model = keras.Model(inputs, keras.layers.Dense(3)(layer(inputs)))
    for per_step in layer.own_per_step:
        for t, variable in enumerate(per_step):
            variable.assign(np.random.default_rng(t).normal(size=variable.shape))
    copy = serve.quantized(model)
    x = np.random.default_rng(9).normal(size=(20, 4)).astype("float32")
    want = logits_of(model, x)
    if name == "save":
        copy.save(tmp_path / "int8.keras")
        copy = keras.models.load_model(tmp_path / "int8.keras")
    difference = np.abs(logits_of(copy, x) - want).max() / np.abs(want).max()
    assert 1e-4 < difference < 0.05


@slow_on_tensorflow
@pytest.mark.neutral
def test_the_accuracy_lost_is_counted(planar):
    x = points(300)
    labels = logits_of(planar, x).argmax(1)
    labels[:30] = 1 - labels[:30]
    copy = serve.quantized(planar)
    wrong = int(np.sum(logits_of(copy, x).argmax(1) != labels))
    found = serve.accuracy_lost(planar, copy, x, labels, batch_size=64)
    assert found == (0.9, pytest.approx(1 - wrong / 300), 300)
    assert found.lost == pytest.approx(wrong / 300 - 0.1)
    assert serve.accuracy_lost(planar, planar, x, labels).lost == 0


@pytest.mark.slow
@pytest.mark.neutral
def test_it_can_be_exported(needs_tensorflow, planar, tmp_path):
    with checked_here():
        path = serve.export(planar, tmp_path, warmup=False, quantize="int8")
    assert path == tmp_path / "planar_rec" / "1"


@pytest.mark.neutral
def test_wrong_arguments(planar, tmp_path):
    inputs = keras.Input((2, 2, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 1)(inputs))
    with pytest.raises(ValueError, match="has no layer that Keras can quantise"):
        serve.quantized(keras.Model(inputs, x))
    with pytest.raises(ValueError, match=r"one for each of the 4 examples.*shape is \(3,\)"):
        serve.accuracy_lost(planar, planar, points(4), np.zeros(3, int))
    with pytest.raises(ValueError, match="`quantize` must be None or 'int8'"):
        serve.export(planar, tmp_path, quantize="int4")


@pytest.mark.neutral
def test_what_keeps_a_dense_layer_from_being_quantised_is_told():
    block = layers.RecurrentResidual(keras.layers.Dense(4, name="d"), 2, unshare=["d"])
    model = keras.Sequential([keras.Input((4,)), block])
    with pytest.raises(ValueError, match="to int8: 'd' is in a wrapper, or differs from step"):
        serve.quantized(model)
