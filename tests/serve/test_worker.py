"""What runs under TensorFlow for models on other backends."""

import keras
import numpy as np
import pytest

from keras_recres import serve
from keras_recres.serve import reference, saved_model, verify, worker
from keras_recres.serve.network import Network


@pytest.fixture
def job(planar, tmp_path):
    planar.save(tmp_path / "model.keras")
    found = reference.make(Network(planar), None, ["in", "out"], 64)
    np.savez(tmp_path / "reference.npz", **found)
    return {
        "modules": saved_model.modules_of(planar),
        "model": str(tmp_path / "model.keras"),
        "folder": str(tmp_path / "out"),
        "reference": str(tmp_path / "reference.npz"),
        "preprocessing": None,
        "name": "planar",
        "labels": ["in", "out"],
        "max_pixels": 1,
        "max_steps": 64,
        "warmup": False,
    }


def test_a_model_from_configuration_and_weights(needs_tensorflow, job):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("it runs with the TensorFlow backend, in exports from this one")
    worker.run(job)
    with np.load(job["reference"], allow_pickle=False) as expected:
        assert verify.check(job["folder"], dict(expected), 1e-6)


@pytest.fixture(scope="module")
def exported_from_here(needs_tensorflow, planar, tmp_path_factory):
    """The two processes that write and check a SavedModel, which import TensorFlow each."""
    if keras.backend.backend() == "tensorflow":
        pytest.skip("tests/serve/test_export.py exports from this one")
    return serve.export(planar, tmp_path_factory.mktemp("exported"), warmup=False)


def test_an_export_from_another_backend_answers_as_the_model_does(exported_from_here):
    # Answers that differ from this backend's would have ended it.
    assert (exported_from_here / "saved_model.pb").is_file()


@pytest.mark.neutral
def test_layers_that_cannot_be_imported(job):
    job["modules"] = ["no_such_module"]
    with pytest.raises(ValueError, match=r"cannot be loaded again \(No module named 'no_such_mod"):
        worker.run(job)


@pytest.mark.neutral
def test_modules_of_layers(planar, vit):
    assert saved_model.modules_of(planar) == [
        "keras_recres.layers.recurrent_residual",
        "keras_recres.zoo.zoo_model",
    ]
    found = saved_model.modules_of(vit)
    assert "keras_recres.layers.token_performer" in found
    assert not [name for name in found if name.startswith("keras.")]
