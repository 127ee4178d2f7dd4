"""The small data set, packed, and a command line that learns it."""

import argparse
import shutil

import keras
import numpy as np
import pytest

from keras_recres.zoo import drawing, sources
from tests.training import small
from tests.training.pictures import VIT, corners
from training import data
from training.data import packed
from training.fit import loop as fit
from training.fit import models


@pytest.fixture(scope="session")
def corners_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "corners.npz"
    packed.write(path, [corners(512, 0, "train"), corners(128, 1, "test")])
    return path


@pytest.fixture
def digits(monkeypatch):
    """Bright upper or lower halves in place of MNIST."""

    def load(name, split, data_dir=None, limit=None):
        count = limit or 100
        images, labels = np.zeros((count, 28, 28, 1), "uint8"), np.arange(count) % 2
        for k, rows in enumerate((slice(0, 14), slice(14, 28))):
            images[labels == k, rows] = 255
        return argparse.Namespace(images=images, labels=labels)

    monkeypatch.setattr(data, "load", load)


@pytest.fixture
def fit_arguments(corners_file, tmp_path):
    """A command line of training.fit that learns corners in seconds."""

    def make(out="run", model_arguments=VIT, **options):
        options = {
            "dataset": "corners",
            "data-dir": corners_file,
            "out": tmp_path / out,
            "epochs": 4,
            "batch-size": 16,
            "learning-rate": 1e-3,
            **{key.replace("_", "-"): value for key, value in options.items()},
        }
        name = options.pop("name", "vit3")
        options = [f"--{key}={value}" for key, value in options.items()]
        return [name, *options, "--model-arguments", *model_arguments]

    return make


@pytest.fixture
def small_model(monkeypatch, without_xla):
    """Trains a small classifier with dropout in place of a T2T-ViT, and draws no curve."""
    monkeypatch.setattr(fit, "build", small.build)
    monkeypatch.setattr(drawing, "draw", lambda *args: None)  # Which takes as long as the rest.


@pytest.fixture
def without_xla(monkeypatch):
    """TensorFlow runs graphs as they are: XLA takes longer to compile a step than all take."""
    if keras.backend.backend() == "tensorflow":
        monkeypatch.setattr(models, "jit_compile", lambda convolutions=False: False)


@pytest.fixture
def empty_zoo(tmp_path, monkeypatch):
    """A zoo of the checkout's configs, without weights and results."""
    target = tmp_path / "zoo"
    shutil.copytree(sources.data_folder() / "configs", target / "configs")
    monkeypatch.setattr(sources, "data_folder", lambda: target)
    return target


@pytest.fixture(scope="session")
def toy_cifar(tmp_path_factory):
    """A folder with a packed data set that passes for CIFAR-10."""
    from tests.training.studies.test_cifar_tables import coloured

    folder = tmp_path_factory.mktemp("cifar")
    packed.write(folder / "cifar10.npz", [coloured(512, 0, "train"), coloured(128, 1, "test")])
    return folder
