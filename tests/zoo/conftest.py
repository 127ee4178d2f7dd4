"""A small zoo of its own, so that loading is tested without trained weights of the real one."""

import json
import shutil

import keras
import numpy as np
import pytest

import keras_recres.models
from keras_recres.models.families import family
from keras_recres.zoo import manifest, registry, sources

ENVIRONMENT = (
    "KERAS_RECRES_ZOO",
    "KERAS_RECRES_CACHE",
    "KERAS_RECRES_ZOO_URL",
    "KERAS_RECRES_OFFLINE",
    "KERAS_HOME",
)

CONFIG = {
    "name": "toy_rec",
    "family": "toy",
    "builder": "toy",
    "arguments": {"steps": 2, "input_shape": [8, 8, 3], "num_classes": 7},
    "parameters": {"trainable": 71, "total": 327},
    "paper": {
        "title": "Toys",
        "arxiv": "1234.56789",
        "where": "table 1",
        "dataset": "imagenet",
        "metric": "top1_percent",
        "printed": 61.5,
    },
    "preprocessing": {
        "size": [8, 8],
        "crop": 0.8,
        "interpolation": "bilinear",
        "scale": 0.00392156862745098,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.25, 0.3],
    },
    "default_tag": "small",
    "tags": {
        "small": {
            "dataset": "cifar10",
            "arguments": {"input_shape": [4, 4, 3], "num_classes": 5},
            "preprocessing": {"size": [4, 4], "crop": 1.0},
        },
        "grey": {"dataset": "mnist"},
    },
}


@keras.saving.register_keras_serializable(package="keras_recres_tests")
class Table(keras.layers.Layer):
    """Adds a fixed table as large as its input, as a sinusoid position is."""

    def build(self, input_shape):
        shape = tuple(input_shape[1:])
        self.table = self.add_weight(name="table", shape=shape, initializer="ones", trainable=False)

    def call(self, x):
        return x + self.table

    def compute_output_shape(self, input_shape):  # Or TensorFlow traces the call.
        return input_shape


@keras.saving.register_keras_serializable(package="keras_recres_tests")
class StepScale(keras.layers.Layer):
    """One learned scale for each step."""

    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale", shape=(self.steps, input_shape[-1]), initializer="ones"
        )

    def call(self, x):
        return x * keras.ops.mean(self.scale, axis=0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


@family()
def toy(
    steps=1, input_shape=(8, 8, 3), num_classes=7, features_only=False, per_step=False, name="toy"
):
    """A shared layer run `steps` times, between a fixed table and a head."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(4, name="stem")(inputs)
    x = Table(name="position")(x)
    block = keras.layers.Dense(4, activation="tanh", name="block")
    for step in range(steps):
        x = keras.layers.Add(name=f"add_{step}")([x, block(x)])
    if per_step:
        x = StepScale(steps, name="step_scale")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if not features_only:
        x = keras.layers.Dense(num_classes, name="head")(x)
    return keras.Model(inputs, x, name=name)


@pytest.fixture(autouse=True)
def no_outside(monkeypatch, tmp_path):
    """No test reads the user's cache or folder, or reaches the network."""
    for variable in ENVIRONMENT:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("KERAS_RECRES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_base_url", (tmp_path / "nowhere").as_uri())


def use(folder, monkeypatch):
    """Makes a folder the zoo's."""
    monkeypatch.setattr(sources, "data_folder", lambda: folder)
    monkeypatch.setattr(keras_recres.models, "toy", toy, raising=False)
    monkeypatch.setattr(keras_recres.models, "__all__", ["toy"], raising=False)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory):
    """A zoo folder with `toy_rec`, trained for its tag `small`, which no test changes."""
    folder = tmp_path_factory.mktemp("toy") / "zoo"
    for sub in manifest.FOLDERS:
        (folder / sub).mkdir(parents=True)
    (folder / "configs" / "toy_rec.json").write_text(json.dumps(CONFIG))
    with pytest.MonkeyPatch.context() as monkeypatch:
        use(folder, monkeypatch)
        keras.utils.set_random_seed(3)
        record, tag = registry.resolve("toy_rec.small")
        model = toy(**record.arguments_of(tag))
        model.get_layer("head").bias.assign(np.arange(5.0))
        model.save_weights(folder / "weights" / "toy_rec.small.weights.h5")
        manifest.write(folder)
    return folder


@pytest.fixture
def toy_zoo(toy_folder, monkeypatch, tmp_path):
    """A copy of it as the zoo; returns the folder."""
    folder = shutil.copytree(toy_folder, tmp_path / "zoo")
    use(folder, monkeypatch)
    return folder


@pytest.fixture
def trained(toy_zoo):
    """The trained model itself, to compare with."""
    model = toy(steps=2, input_shape=(4, 4, 3), num_classes=5)
    model.load_weights(toy_zoo / "weights" / "toy_rec.small.weights.h5")
    return model
