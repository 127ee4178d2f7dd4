"""Other formats by Keras' own export, each loaded again; and sentences where that cannot be."""

import importlib.util

import keras
import pytest

from keras_recres import serve
from keras_recres.serve import formats, saved_model
from tests.serve.conftest import tiny_vit
from tests.serve.requests_of import logits_of

BACKEND = keras.backend.backend()


def export(model, folder, kind, monkeypatch, **options):
    """`serve.export` without its SavedModel, which other tests are about."""
    monkeypatch.setattr(saved_model, "write", lambda model, folder, *a, **k: folder.mkdir())
    monkeypatch.setattr(saved_model, "check", lambda *args: None)
    return serve.export(model, folder, warmup=False, formats=kind, **options)


@pytest.mark.parametrize("kind", formats.SUFFIXES)
def test_the_logits_are_those_of_the_model(planar, tmp_path, monkeypatch, kind):
    try:
        formats.check(kind)
    except (ImportError, ValueError) as reason:
        pytest.skip(str(reason))
    path = export(planar, tmp_path, (kind,), monkeypatch)
    assert (path / "assets.extra" / f"planar_rec{formats.SUFFIXES[kind]}").stat().st_size > 100


@pytest.mark.neutral
def test_other_logits_fail_and_leave_nothing(planar, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "check", lambda names: names)
    monkeypatch.setitem(formats.RUN, "onnx", lambda path, x: logits_of(planar, x + 1e-3))
    monkeypatch.setattr(type(planar), "export", lambda self, path, **options: None)
    with pytest.raises(ValueError, match=r"logits of 'planar_rec' as 'onnx' differ .* by 0.00"):
        export(planar, tmp_path, ("onnx",), monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.neutral
def test_what_an_exporter_says_is_one_sentence(planar, tmp_path, monkeypatch):
    def fail(self, path, **options):
        raise RuntimeError("no such\n  operator " + "x" * 1000)

    monkeypatch.setattr(formats, "check", lambda names: names)
    monkeypatch.setattr(type(planar), "export", fail)
    with pytest.raises(ValueError, match="cannot be exported as 'onnx' on the backend") as caught:
        export(planar, tmp_path, ("onnx",), monkeypatch)
    assert "RuntimeError: no such operator xxx" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert list(tmp_path.iterdir()) == []


def test_onnx_with_a_fixed_batch_is_for_exporters_that_need_it(tmp_path, monkeypatch):
    if BACKEND != "torch":
        pytest.skip("PyTorch's newer exporter, which Keras uses for fixed shapes, knows this model")
    try:
        formats.check("onnx")
    except ImportError as reason:
        pytest.skip(str(reason))
    model = tiny_vit()
    with pytest.raises(ValueError, match="a fixed `format_batch` is easier"):
        export(model, tmp_path, "onnx", monkeypatch)
    export(model, tmp_path, "onnx", monkeypatch, format_batch=4)


@pytest.mark.neutral
def test_missing_packages_are_named(monkeypatch):
    find = importlib.util.find_spec
    hidden = {"tf2onnx", "onnx", "jax2onnx", "onnxruntime"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in hidden else find(n))
    with pytest.raises(ImportError, match=r"'onnx' on the backend .* needs: pip install .*onnx"):
        formats.check(("onnx",))


@pytest.mark.neutral
def test_unknown_and_impossible_formats(monkeypatch):
    with pytest.raises(ValueError, match="'onnx', 'litert', 'openvino', but it has 'onxn'"):
        formats.check(("onxn",))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow or torch"):
        formats.check("litert")
