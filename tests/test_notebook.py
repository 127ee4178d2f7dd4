"""The notebook for Colab runs from its first cell to its last, at a tiny budget."""

import os
import pathlib

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.neutral]

NOTEBOOK = pathlib.Path(__file__).resolve().parents[1] / "docs" / "colab.ipynb"
# In place of the cells with these tags: fewer images, and those that are prepared.
INSTEAD = {
    "budget": "EPOCHS, IMAGES = 1, 256",
    "data": """import os, keras, tensorflow_datasets as tfds
folder = os.path.join(os.environ["KERAS_RECRES_DATA"], "tfds_cifar10_jpeg")
parts = [f"{part}[:256]" for part in ("train", "test")]
sets = tfds.load("cifar10", split=parts, data_dir=folder, download=False, batch_size=-1)
pairs = ((part["image"], part["label"]) for part in tfds.as_numpy(sets))
(x_train, y_train), (x_test, y_test) = pairs""",
}


def test_the_notebook_runs(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("tensorflow_datasets")
    if "KERAS_RECRES_DATA" not in os.environ:
        pytest.skip("KERAS_RECRES_DATA names no folder of prepared data")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    replaced = set()
    for cell in notebook.cells:
        for tag in INSTEAD.keys() & set(cell.metadata.get("tags", ())):
            cell.source = INSTEAD[tag]
            replaced.add(tag)
    assert replaced == INSTEAD.keys()
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    printed = "".join(out.text for out in outputs if out.output_type == "stream")
    assert "cifar_small_metahead" in printed
    assert "Curvature over 64 θ" in printed
    assert any("image/png" in out.get("data", {}) for out in outputs)
