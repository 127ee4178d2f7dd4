"""`benchmark serve`: a row for every way, reasons for what cannot be, no speed of wrong answers."""

import importlib.util
import json

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.serve import formats, saved_model
from training.benchmarks import serve as benchmark
from training.benchmarks import serve_files
from training.errors import UserError

pytestmark = [
    pytest.mark.neutral,
    pytest.mark.tensorflow,
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="what is served is TensorFlow's"
    ),
]
KERAS = ("Keras predict", "Keras tf.function")


@pytest.fixture(scope="module")
def row():
    """One measurement of the smallest network of the zoo, without packages that may be there."""
    find = importlib.util.find_spec
    hidden = {"tf2onnx", "openvino", "torch"}
    with pytest.MonkeyPatch.context() as patch:
        # The export's own check in a fresh process is what tests/serve is about.
        patch.setattr(saved_model, "check", lambda *args: None)
        patch.setattr(importlib.util, "find_spec", lambda n, *a: None if n in hidden else find(n))
        patch.setattr(benchmark, "QUICK", {**benchmark.QUICK, "requests": 4})
        patch.setattr(benchmark, "thread_counts", lambda: [1])
        patch.setitem(formats.SUFFIXES, "litert", ".none")
        (case,) = benchmark.cases("tensorflow", quick=True)
        return {"backend": "tensorflow", **case, **benchmark.measure(**case)}


@pytest.mark.slow
def test_every_way_is_measured_and_agrees(row):
    assert row["model"] == "cifar_small"
    found = [(cell["threads"], cell["batch"], cell["way"]) for cell in row["speed"]]
    assert found == [(1, batch, way) for batch in benchmark.BATCHES for way in ("C API", *KERAS)]
    for cell in row["speed"]:
        assert cell["difference"] <= 1e-5
        assert 0 < cell["p50"] <= cell["p99"]
        # The mean of the requests lies between the fastest, which is above 0, and the slowest.
        assert cell["batch"] / cell["images_per_second"] <= cell["p99"]
        assert 1 <= cell["requests"] <= 4
    assert row["cold_seconds"].keys() == {"c_api", "keras"}
    assert row["cold_seconds"]["c_api"] < row["cold_seconds"]["keras"]
    weights = 4 * row["parameters"]
    assert row["bytes"].keys() == {"keras", "saved_model"}
    assert all(weights < size < weights + 2e6 for size in row["bytes"].values())
    json.dumps(row)


@pytest.mark.slow
def test_the_report_has_them_all(row, capsys):
    benchmark.report([row])
    out = " ".join(capsys.readouterr().out.split())
    assert "cifar_small, 32 × 32 × 3, 88,278 parameters" in out
    assert all(way in out for way in ("C API", *KERAS))
    assert "needs: pip install tf2onnx" in out
    assert "needs: pip install openvino" in out
    table = benchmark.markdown([row])
    assert table.count("| `cifar_small` | ") == 3
    assert "| `cifar_small` | C API | " in table
    assert table.endswith(".")


@pytest.mark.slow
def test_other_answers_are_not_timed(row, capsys):
    class Wrong:
        def ask(self, way, batch, repeats=1):
            return {"seconds": [0.1] * repeats, "logits": np.full((batch, 10), 2e-5).tolist()}

    worker = Wrong()
    workers = {"c_api": (worker, {"ways": ["C API"]})}
    cells = benchmark._speed(workers, 1, np.zeros((32, 10)), benchmark.QUICK)
    assert all("not timed" in cell["error"] and "p50" not in cell for cell in cells)
    benchmark.report([{**row, "speed": cells}])
    assert "2e-05, not timed" in capsys.readouterr().out
    # As a share of the largest logit, where that is above 1.
    cells = benchmark._speed(workers, 1, np.full((32, 10), 2.00001), benchmark.QUICK)
    assert len(cells) == 2
    assert "p50" not in cells[0]


def test_an_engine_that_fails_says_why(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((1, 2), "float32"))
    files = {"saved_model": {"": str(tmp_path / "none")}}
    with (
        benchmark.Worker("c_api", 1, files, tmp_path) as worker,
        pytest.raises(UserError, match=r"c_api ended: .*none"),
    ):
        worker.ask(None, 1)


def test_other_backends_have_no_cases():
    assert benchmark.cases("jax", quick=False) == []
    with pytest.raises(UserError, match="--backends must have tensorflow"):
        benchmark.report([])
    names = [case["model"] for case in benchmark.cases("tensorflow", quick=False)]
    assert names == ["vit7", "vit7_rec", "cifar_medium"]
    assert all(zoo.info(name) for name in names)


def test_onnx_is_pytorchs_where_tensorflow_cannot(tmp_path, monkeypatch):
    asked = []

    def by_torch(model, folder, batches):
        asked.append(batches)
        (tmp_path / "m.onnx").write_bytes(b"12345")
        return {"1": str(tmp_path / "m.onnx")}, "exported by PyTorch"

    def refuse(names):
        raise ImportError(f"{names} is missing.")

    monkeypatch.setattr(formats, "check", refuse)
    monkeypatch.setattr(serve_files, "_onnx_by_torch", by_torch)
    monkeypatch.setattr(serve_files.serve, "export", lambda model, folder, **options: tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: name == "torch")
    _, found = serve_files.write("cifar_small", tmp_path, (1,))
    assert asked == [(1,)]
    assert found["files"]["onnx"] == {"1": str(tmp_path / "m.onnx")}
    assert found["notes"]["onnx"] == "exported by PyTorch"
    assert "litert is missing" in found["notes"]["litert"]
