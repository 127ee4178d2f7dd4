"""A model as a folder: the same when it is loaded again, and refused when it is not the same."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_recres import models, zoo
from keras_recres.models import rules
from keras_recres.zoo import folder as folders
from keras_recres.zoo import keras_file, manifest

CLASSES = ("inside", "Außenseite")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A network with classes of its own, and the folder that it is saved in."""
    model = zoo.load("planar_rec", classes=list(CLASSES))
    return model, zoo.save(model, tmp_path_factory.mktemp("saved") / "spirals")


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of it."""
    return shutil.copytree(saved[1], tmp_path / "spirals")


def listed_anew(folder):
    """Lists the files as they are now, as whoever means harm would."""
    listed = {name: manifest.entry_of(folder / name) for name in folders.CHECKED}
    (folder / "manifest.json").write_text(json.dumps({"files": listed}))


def assert_same(again, model):
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype("float32")
    found, wanted = (keras.ops.convert_to_numpy(m(x, training=False)) for m in (again, model))
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_folder_gives_the_model_and_what_it_knows(saved):
    model, folder = saved
    for name in (folder, f"{folder}/"):
        again = zoo.load(name)
        assert again.class_names == CLASSES
        assert again.preprocess == model.preprocess
        assert again.zoo_record == zoo.info("planar_rec")
        assert again.zoo_tag == "spiral"
        assert_same(again, model)
    record, names = keras_file.facts(folder)
    assert (record.name, names) == ("planar_rec", CLASSES)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["spirals"]


def made(way):
    if way == "sequential":
        layers = [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)]
        model = keras.Sequential(layers, name="mine")
        model.compile("adam", "mse")
        return model
    if way == "substitute":
        model = zoo.build("cifar_small", tag="cifar10")
        return models.substitute(model, rules.factorize(width=4), verbose=False)[0]
    if way == "recurrent":
        x = inputs = keras.Input((6,))
        for i in range(2):
            x = keras.layers.Add()([x, keras.layers.Dense(6, "tanh", name=f"dense_{i}")(x)])
        model = keras.Model(inputs, keras.layers.Dense(2)(x))
        return models.recurrent(model, rules.repeat(3), verbose=False)[0]
    # An activation that is a function of ours.
    return zoo.load("lenet5_original")


@pytest.mark.parametrize("way", ["sequential", "substitute", "recurrent", "lenet5_original"])
def test_other_models_of_known_layers(tmp_path, way):
    model = made(way)
    folder = zoo.save(model, tmp_path / "model")
    again = zoo.load(folder)
    assert_same(again, model)
    assert not again.compiled
    assert getattr(again, "zoo_record", None) == getattr(model, "zoo_record", None)
    card = (folder / "README.md").read_text(encoding="utf-8")
    own = way == "lenet5_original"
    assert ("98.87 ± 0.07 top1_percent on mnist test" in card) == own
    assert ('license: "apache-2.0"' in card) == own


def test_a_model_trained_further_has_no_row_of_the_zoos(tmp_path):
    model = zoo.load("planar_rec")
    assert "Apache-2.0.\n" in (zoo.save(model, tmp_path / "a") / "README.md").read_text()
    model.set_weights([w + 0.5 for w in model.get_weights()])
    card = (zoo.save(model, tmp_path / "a") / "README.md").read_text()
    assert "It began as `planar_rec.spiral`" in card
    assert "Nothing yet." in card
    assert "license:" not in card


@pytest.mark.parametrize("file", [*folders.CHECKED, "manifest.json"])
def test_a_missing_file(folder, file):
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=f"has no {file}: give a folder that zoo.save"):
        zoo.load(folder)


@pytest.mark.parametrize("file", folders.CHECKED)
def test_a_file_that_is_not_the_listed_one(folder, file):
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=f"{file} is corrupt: expected .*; get the folder again"):
        zoo.load(folder)


def test_other_weights_give_other_logits(folder):
    model = zoo.load("planar_rec")
    model.set_weights([w + 0.5 for w in model.get_weights()])
    model.save_weights(folder / "model.weights.h5")
    listed_anew(folder)
    with pytest.raises(ValueError, match="the weights are not those that were saved"):
        zoo.load(folder)


def test_a_pickle_among_the_logits_is_not_read(folder):
    np.savez(folder / "golden.npz", input_0=np.array([print], dtype=object))
    listed_anew(folder)
    with pytest.raises(ValueError, match=r"has no inputs and logits of 'planar_rec'.*allow_pickle"):
        zoo.load(folder)


class Mine(keras.layers.Layer):
    """Somebody's own layer."""

    def call(self, x):
        return x


STRANGERS = {
    "Lambda": {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "a"}},
    "StringLookup": {
        "module": "keras.layers",
        "class_name": "StringLookup",
        "config": {"vocabulary": "/etc/passwd"},
    },
    "Popen": {"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}},
    "get_file": {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    "__lambda__": {"class_name": "__lambda__", "config": {"value": "x"}},
    "Dense": {"class_name": "Dense", "config": {"units": 2}},  # As Keras 2 wrote it.
    "layers.Lambda": {"module": "keras", "class_name": "layers.Lambda", "config": {}},
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_config_that_asks_for_code_is_refused_before_keras_reads_it(folder, name, monkeypatch):
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model"]["config"]["layers"][-1]["config"]["kernel_initializer"] = STRANGERS[name]
    path.write_text(json.dumps(config), encoding="utf-8")
    listed_anew(folder)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", None)
    with pytest.raises(ValueError, match=f"asks for .*{name}.*nothing of it was run"):
        zoo.load(folder)


@pytest.mark.parametrize("content", ["", "[]", '{"model": {"config": {}}}'])
def test_a_damaged_config_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    listed_anew(folder)
    with pytest.raises(ValueError, match="is not the config of a saved model"):
        zoo.load(folder)


def test_what_cannot_be_saved_safely(tmp_path):
    x = keras.Input((2,))
    for layer in (keras.layers.Lambda(lambda x: x), Mine()):
        with pytest.raises(ValueError, match=f"{type(layer).__name__}, which is neither Keras'"):
            zoo.save(keras.Model(x, layer(x)), tmp_path / "model")
    with pytest.raises(ValueError, match="takes a functional model or a Sequential one"):
        zoo.save(keras.Sequential([keras.layers.Dense(2)]), tmp_path / "model")
    model = zoo.build("planar_rec")
    model.preprocess = lambda x: x
    with pytest.raises(ValueError, match=r"that is not a zoo\.Preprocessing"):
        zoo.save(model, tmp_path / "model")
    assert [*tmp_path.iterdir()] == []


def test_nothing_of_others_is_overwritten(saved, tmp_path, monkeypatch):
    model, _ = saved
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"has other files \('notes.txt'\)"):
        zoo.save(model, tmp_path)
    with pytest.raises(ValueError, match="is a file: give the path of a folder"):
        zoo.save(model, tmp_path / "notes.txt")
    folder = zoo.save(model, tmp_path / "model")
    before = (folder / "manifest.json").read_bytes()
    monkeypatch.setattr(folders.np, "savez", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        zoo.save(model, folder)
    assert (folder / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "notes.txt"]


@pytest.mark.neutral
def test_a_folder_is_named_with_a_slash_and_loaded_as_it_is(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(ValueError, match="The zoo has no 'spirals'"):
        zoo.load("spirals")
    with pytest.raises(ValueError, match="is loaded as it was saved: leave out steps"):
        zoo.load("./spirals", steps=3)
    with pytest.raises(FileNotFoundError, match=r"nowhere has no config\.json"):
        zoo.load("./nowhere")
    with pytest.raises(ValueError, match=r"keras\.saving\.load_model reads a \.keras file"):
        zoo.load("spirals/README.md")
