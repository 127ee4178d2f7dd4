"""Two models that are exported once for all tests, and a server in front of them."""

import contextlib
import importlib.util
import os
import pathlib
import queue
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from keras_recres import models, serve, zoo
from keras_recres.serve import saved_model, verify

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHAPE = (32, 32, 3)
LABELS = ["ant", "bee", "cat", "dog", "élan"]


def run_python(arguments, **env):
    """Runs Python in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def give_preprocessing(model, crop=0.9):
    """`model` with the attribute that those of the zoo have."""
    model.preprocess = zoo.Preprocessing(
        size=SHAPE[:2],
        crop=crop,
        interpolation="bicubic",
        scale=1 / 255,
        mean=(0.5, 0.4, 0.3),
        std=(0.25, 0.2, 0.3),
    )
    return model


def tiny_vit(**arguments):
    """A T2T-ViT with two recurrent blocks, whose logits are far apart."""
    keras.utils.set_random_seed(7)
    model = models.t2t_vit(
        depth=2,
        steps=(2, 1),
        input_shape=SHAPE,
        num_classes=len(LABELS),
        embed_dim=16,
        num_heads=2,
        token_dim=8,
        first_kernel_size=3,
        first_strides=2,
        name="tiny_vit",
        **arguments,
    )
    model.layers[-1].kernel.assign(keras.random.normal((16, len(LABELS)), seed=3))
    return give_preprocessing(model)


@pytest.fixture(scope="session")
def needs_tensorflow():
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("SavedModels are written by TensorFlow, which is not installed")


@pytest.fixture(scope="session")
def needs_serving_api(needs_tensorflow):
    if importlib.util.find_spec("tensorflow_serving") is None:
        pytest.skip("tensorflow-serving-api is not installed: pip install 'keras-recres[serve]'")


@pytest.fixture(scope="session")
def vit():
    return tiny_vit()


@pytest.fixture(scope="session")
def planar():
    return zoo.load("planar_rec")


@contextlib.contextmanager
def checked_here():
    """Exports are compared in this process: another one takes seconds to import TensorFlow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            saved_model,
            "check",
            lambda folder, reference, tolerance, _: verify.check(folder, reference, tolerance),
        )
        yield


@pytest.fixture(scope="session")
def exported(needs_tensorflow, vit, planar, tmp_path_factory):
    """The folder with `tiny_vit/1` and `planar_rec/1`."""
    folder = tmp_path_factory.mktemp("exported")
    with checked_here():
        serve.export(vit, folder, labels=LABELS)
        serve.export(planar, folder)
    return folder


@pytest.fixture(scope="session")
def pixels():
    return np.random.default_rng(5).integers(0, 256, (64, *SHAPE), dtype="uint8")


class Server:
    """A server in a process of its own, in front of a folder."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serve.server", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        lines = queue.Queue()
        # A read with a time limit: a server that cannot start fails the test, and does not hang it.
        threading.Thread(
            target=lambda: lines.put(self.process.stdout.readline()), daemon=True
        ).start()
        try:
            self.grpc, self.rest = lines.get(timeout=60).split()
        except (queue.Empty, ValueError):
            self.process.kill()
            raise

    def memory(self):
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def server(needs_serving_api, exported):
    running = Server(exported)
    yield running
    alive = running.process.poll() is None
    running.close()
    assert alive, "the server ended before the tests did"
