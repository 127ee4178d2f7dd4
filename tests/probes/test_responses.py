"""layer_responses against responses that are computed layer by layer."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import models
from keras_recres.layers import RecurrentResidual
from keras_recres.probes import layer_responses

X = np.random.default_rng(0).normal(size=(7, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def network():
    """Scales, shifts and statistics other than ones and zeros."""
    model = models.cifar_resnet(8, input_shape=(8, 8, 3))
    for weight in model.weights:
        if "moving" in weight.name or "beta" in weight.name:
            weight.assign(0.5 + np.random.default_rng(1).random(weight.shape))
    return model, layer_responses(model, X, batch_size=4)


def std(model, tensor):
    return ops.convert_to_numpy(keras.Model(model.input, tensor)(X, training=False)).std()


def test_after_the_norm_before_the_nonlinearity_and_the_sum(network):
    model, record = network
    found = dict(zip(record.names, record.std, strict=True))
    assert len(found) == 7
    for conv, norm in (("stem_conv", "stem_norm"), ("stage1_unit0_conv1", "stage1_unit0_norm1")):
        assert found[conv] == pytest.approx(std(model, model.get_layer(norm).output), rel=1e-4)
    # That of the branch inside a recurrent layer: its output less its input.
    unit = model.get_layer("stage0_unit0")
    name = next(name for name in found if name.startswith("stage0_unit0") and "conv2" in name)
    assert found[name] == pytest.approx(std(model, unit.output - unit.input), rel=1e-4)
    assert record.examples == 7
    assert list(record.sorted) == sorted(found.values(), reverse=True)
    ranks = [row["rank"] for row in record.table()]
    assert sorted(ranks) == list(range(1, 8))
    assert record.table()[ranks.index(1)]["std"] == record.sorted[0]


def test_without_a_norm_steps_and_nonlinearities_inside():
    x = inputs = keras.Input((8, 8, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu", name="first")
    step = layers.Conv2D(4, 3, padding="same", name="step")
    x = first(x)
    block = RecurrentResidual(step, steps=2, name="block")
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="small")(block(x)))
    first.bias.assign([1, 2, 3, 4])
    record = layer_responses(model, X)
    assert record.names == ("first", "block/step[0]", "block/step[1]")
    linear = layers.Conv2D(4, 3, padding="same")
    linear.build((None, 8, 8, 3))
    linear.set_weights(first.get_weights())
    assert record.std[0] == pytest.approx(ops.convert_to_numpy(linear(X)).std(), rel=1e-4)
    state = first(X)
    for i in (1, 2):
        branch = step(state)
        assert record.std[i] == pytest.approx(ops.convert_to_numpy(branch).std(), rel=1e-4)
        state = state + branch
    with pytest.raises(ValueError, match="has no 5 x 5 Conv2D"):
        layer_responses(model, X, kernel_size=5)
    with pytest.raises(ValueError, match="one example at least"):
        layer_responses(model, X[:0])


def test_the_picture_has_several_networks(network, tmp_path):
    pytest.importorskip("matplotlib")
    _, record = network
    larger = dataclasses.replace(record, std=3 * record.std)
    axes = record.plot(label="ResNet-8")
    axes = larger.plot(tmp_path / "responses.png", axes, label="larger")
    assert [len(axis.lines) for axis in axes] == [2, 2]
    assert axes[0].get_ylim()[1] > larger.std.max()
    assert (tmp_path / "responses.png").stat().st_size > 10_000
    record.to_csv(tmp_path / "responses.csv")
    assert len((tmp_path / "responses.csv").read_text().splitlines()) == 8
