"""`benchmark formats`: sizes, or why there is no file, as a table of the page on serving."""

import pytest

from keras_recres.serve import formats
from training import benchmark, errors
from training.benchmarks import formats as measured

pytestmark = pytest.mark.neutral


@pytest.fixture
def written(monkeypatch):
    """No converter: 2,000 bytes of float32, 1,000 of int8, no OpenVINO, and LiteRT differs."""

    def check(kind, int8):
        if kind == "openvino":
            raise ImportError("The format 'openvino' needs: pip install openvino.")

    def write(model, path, kind, batch, tolerance, int8):
        if kind == "litert" and not int8:
            raise ValueError(f"The logits of {model.name!r} differ.")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000 if int8 else 2000))

    def rewrite(model, path, kind):
        assert kind == "onnx"
        path.write_bytes(path.read_bytes()[-800:])

    monkeypatch.setattr(formats, "with_int8_weights", rewrite)
    monkeypatch.setattr(formats, "check", check)
    monkeypatch.setattr(formats, "write", write)
    monkeypatch.setattr(
        benchmark, "in_process", lambda name, backend, case: measured.measure(**case)
    )


TABLE = """\
On tensorflow, kilobytes:

| network | weights | ONNX | int8 | LiteRT | int8 | OpenVINO | int8 |
|---|--:|--:|--:|--:|--:|--:|--:|
| `planar_rec` | 0 | 2 | 1 | no (1) | 1 | no (2) | no (2) |
| `planar_deep` | 0 | 2 | 1 | no (1) | 1 | no (2) | no (2) |

1. The logits of the network differ.

2. The format 'openvino' needs: pip install openvino."""


def test_the_table_says_what_there_is_and_why_not(written, tmp_path, monkeypatch, capsys):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- formats:begin -->\nold\n<!-- formats:end -->\nafter\n")
    names = [{"network": name} for name in ("planar_rec", "planar_deep")]
    monkeypatch.setattr(measured, "cases", lambda backend, quick: names)
    asked = ["formats", "--backends", "tensorflow", "--table", str(page)]
    monkeypatch.setattr(benchmark.importlib.util, "find_spec", lambda name: True)
    assert errors.run(benchmark.main, asked) == 0, capsys.readouterr().err
    marks = "<!-- formats:begin -->\n", "\n<!-- formats:end -->"
    assert page.read_text() == f"before\n{marks[0]}{TABLE}{marks[1]}\nafter\n"
    page.write_text("no marks")
    assert errors.run(benchmark.main, asked) == 2
    assert "needs the lines <!-- formats:begin --> and" in capsys.readouterr().err


def test_every_network_with_weights_is_a_case():
    names = [case["network"] for case in measured.cases("torch", quick=False)]
    assert {"cifar_small", "vit3_rec", "prefix_sum_rec"} <= {*names}


def test_a_benchmark_without_a_table_says_so(tmp_path, capsys):
    page = tmp_path / "README.md"
    assert errors.run(benchmark.main, ["norms", "--table", str(page)]) == 2
    assert "norms has no table for --table" in capsys.readouterr().err
