"""What a network of the zoo knows of itself goes wherever the network goes."""

import json
import pickle
import tempfile
import zipfile

import keras
import numpy as np
import pytest

from keras_recres import models, serve, zoo
from keras_recres.zoo import evaluation
from keras_recres.zoo.zoo_model import ZooModel
from tests.marks import slow_on_tensorflow

CLASSES = ("lemon", "lime", "Zitronat – kandiert")


@pytest.fixture
def saved(toy_zoo, tmp_path):
    """A network with classes of its own, and the file that it is saved in."""
    file = tmp_path / "mine.keras"
    model = zoo.load("toy_rec", classes=list(CLASSES))
    model.save(file)
    return model, file


def assert_knows(copy, model):
    assert copy.preprocess == model.preprocess
    assert copy.zoo_record == model.zoo_record
    assert copy.zoo_tag == model.zoo_tag
    assert copy.class_names == model.class_names
    assert evaluation.class_names_of(copy) == evaluation.class_names_of(model)


def logits(model):
    x = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype("float32")
    return keras.ops.convert_to_numpy(model(x, training=False))


def test_a_file_keeps_what_the_model_knows(saved):
    model, file = saved
    again = keras.saving.load_model(file)
    assert_knows(again, model)
    assert again.class_names == CLASSES
    assert again.zoo_record.trained_tags == ("small",)  # As the zoo says today.
    assert_knows(pickle.loads(pickle.dumps(model)), model)
    np.testing.assert_allclose(logits(again), logits(model), atol=1e-6)


def test_a_record_that_the_zoo_no_longer_has_is_kept(saved, tmp_path):
    model, file = saved
    old = tmp_path / "old.keras"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(old, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            if entry == "config.json":
                config = json.loads(content)
                config["config"]["zoo"]["record"]["name"] = "toy_of_old"
                content = json.dumps(config)
            target.writestr(entry, content)
    again = keras.saving.load_model(old)
    assert again.zoo_record.name == "toy_of_old"
    assert again.zoo_record.paper == model.zoo_record.paper


def keep(layer, input_shape):
    return "keep"


def loaded_again(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        return keras.saving.load_model(f"{folder}/model.keras")


COPIES = {
    "substitute": lambda model: models.substitute(model, keep, verbose=False)[0],
    "untie": models.untie,
    "quantized": serve.quantized,
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_know_it_and_their_files_too(tmp_path, way):
    model = zoo.load("planar_rec", classes=["inside", "outside"])
    model.preprocess = zoo.Preprocessing(scale=2.0)
    copy = COPIES[way](model)
    assert_knows(copy, model)
    copy.save(tmp_path / "copy.keras")
    if way == "quantized":
        with zipfile.ZipFile(tmp_path / "copy.keras") as file:
            assert json.loads(file.read("config.json"))["config"]["zoo"]["tag"] == model.zoo_tag
        return
    assert_knows(keras.saving.load_model(tmp_path / "copy.keras"), model)


@pytest.mark.parametrize(
    "way",
    [
        "substitute",
        "file",
        *(pytest.param(w, marks=slow_on_tensorflow) for w in ("untie", "quantized")),
    ],
)
def test_a_network_in_another_model_knows_it_and_the_other_does_not(way):
    inner = zoo.load("planar_rec", classes=["inside", "outside"])
    inner.preprocess = zoo.Preprocessing(scale=2.0)
    x = inputs = keras.Input((2,))
    x = keras.Sequential([inner, keras.layers.Dense(4)], name="middle")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    copy = {**COPIES, "file": loaded_again}[way](model)
    assert_knows(copy.get_layer("middle").get_layer("planar_rec"), inner)
    assert not hasattr(copy, "preprocess")
    assert evaluation.class_names_of(copy) == ("0", "1")


@pytest.mark.neutral
def test_a_clone_of_keras_knows_nothing_and_can_be_saved(saved, tmp_path):
    clone = keras.models.clone_model(saved[0])
    clone.save(tmp_path / "clone.keras")
    again = keras.saving.load_model(tmp_path / "clone.keras")
    assert isinstance(again, ZooModel)
    assert not hasattr(again, "zoo_record")
    assert evaluation.class_names_of(again) == ("0", "1", "2")


@pytest.mark.neutral
def test_a_function_in_the_place_of_preprocessing_is_said_to_be_lost(tmp_path, caplog):
    model = zoo.build("planar_rec")
    model.preprocess = lambda x: x
    model.save(tmp_path / "model.keras")
    assert "planar_rec: model.preprocess is not a zoo.Preprocessing" in caplog.text
    assert not hasattr(keras.saving.load_model(tmp_path / "model.keras"), "preprocess")
