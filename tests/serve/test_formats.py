"""Other formats by Keras' own export, each loaded again; and sentences where that cannot be."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_recres import layers, serve, zoo
from keras_recres.serve import formats, saved_model
from tests.serve.requests_of import logits_of

BACKEND = keras.backend.backend()


def export(model, folder, kind, monkeypatch, **options):
    """`serve.export` without its SavedModel, which other tests are about."""
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "write", lambda model, folder, *a, **k: folder.mkdir())
        patch.setattr(saved_model, "check", lambda *args: None)
        return serve.export(model, folder, warmup=False, formats=kind, **options)


@pytest.mark.parametrize("kind", formats.SUFFIXES)
def test_the_logits_are_those_of_the_model(planar, tmp_path, monkeypatch, kind):
    check_or_skip(kind)
    path = export(planar, tmp_path, (kind,), monkeypatch)
    assert (path / "assets.extra" / f"planar_rec{formats.SUFFIXES[kind]}").stat().st_size > 100


@pytest.mark.neutral
def test_other_logits_fail_and_leave_nothing(planar, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "check", lambda names, *how: names)
    monkeypatch.setattr(formats, "_tell_size", lambda *args: None)
    monkeypatch.setitem(
        formats.LOADERS, "openvino", lambda path: lambda x: logits_of(planar, x + 1e-3)
    )
    monkeypatch.setattr(type(planar), "export", lambda self, path, **options: None)
    with pytest.raises(ValueError, match=r"logits of 'planar_rec' as 'openvino' differ .* by 0.00"):
        export(planar, tmp_path, ("openvino",), monkeypatch)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.neutral
def test_what_an_exporter_says_is_one_sentence(planar, tmp_path, monkeypatch):
    def fail(self, path, **options):
        raise RuntimeError("no such\n  operator " + "x" * 1000)

    monkeypatch.setattr(formats, "check", lambda names, *how: names)
    monkeypatch.setattr(type(planar), "export", fail)
    with pytest.raises(ValueError, match="cannot be exported as 'openvino' on the back") as caught:
        export(planar, tmp_path, ("openvino",), monkeypatch)
    assert "RuntimeError: no such operator xxx" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert list(tmp_path.iterdir()) == []


def network(steps=3):
    """What converters stumbled over: groups, volumes, GELU, own norms and vectors of every step."""
    keras.utils.set_random_seed(5)
    inputs = x = keras.Input((8, 8, 4))
    x = layers.MetaConv2D(8, 3, groups=2, meta_groups=3, meta_activation="relu")(x)
    x = layers.Conv3dSubstitute(2, (3, 3, 3), activation="relu")(x)
    x = keras.layers.Dense(64, activation="gelu")(keras.layers.Flatten()(x))
    branch = [layers.LayerNormalization(name="norm"), keras.layers.Dense(96, "gelu")]
    branch = keras.Sequential([*branch, keras.layers.Dropout(0.1), keras.layers.Dense(64)])
    x = layers.RecurrentResidual(branch, steps, unshare="norm", step_embedding=True)(x)
    return keras.Model(inputs, keras.layers.Dense(5)(x), name="awkward")


def check_or_skip(kind, int8=False):
    try:
        formats.check(kind, int8)
    except (ImportError, ValueError) as reason:
        pytest.skip(str(reason))


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("kind", formats.SUFFIXES)
def test_one_file_for_any_batch(kind, int8, tmp_path):
    check_or_skip(kind, int8)
    model, path = network(), tmp_path / f"m{formats.SUFFIXES[kind]}"
    formats.write(model, path, kind, None, 1e-5, int8)
    if int8 and kind != "litert":
        # That of float32, rewritten, is the same file but for names and the order of nodes.
        again = tmp_path / "again" / path.name
        formats.write(model, again, kind, None, 1e-5)
        formats.with_int8_weights(model, again, kind)
        assert again.stat().st_size == pytest.approx(path.stat().st_size, rel=0.01)
    run = formats.LOADERS[kind](str(path))
    for batch in (1, 3, 5):
        x = np.random.default_rng(batch).normal(size=(batch, 8, 8, 4)).astype("float32")
        want = logits_of(model, x)
        difference = np.abs(run(x) - want).max() / np.abs(want).max()
        assert difference < (0.1 if int8 else 1e-5)
        assert not int8 or difference > 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("kind", formats.SUFFIXES)
def test_weights_are_in_a_file_once(kind, int8, tmp_path):
    check_or_skip(kind, int8)
    sizes = {}
    for steps in (1, 8, 32):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((96,))
        dense = [keras.layers.Dense(192, "tanh"), keras.layers.Dense(96)]
        loop = layers.RecurrentResidual(keras.Sequential(dense), steps, residual_scale=0.1)
        model = keras.Model(inputs, keras.layers.Dense(10)(loop(inputs)), name="loop")
        path = tmp_path / f"m{steps}{formats.SUFFIXES[kind]}"
        formats.write(model, path, kind, None, 1e-5, int8)
        sizes[steps], numbers = formats.constants_of(path, kind)
        assert numbers < 1.05 * model.count_params()
    bits = 8 if int8 else 32
    assert max(sizes.values()) < 1.05 * min(sizes.values())
    assert max(sizes.values()) < 1.1 * model.count_params() * bits / 8


@pytest.mark.neutral
def test_copies_are_told(caplog, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'keras-recres[onnx]'")
    import onnx
    from onnx import helper, numpy_helper

    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64)], name="one")
    weights = [numpy_helper.from_array(np.full((64, 64), i, "float32"), f"w{i}") for i in (0, 1)]
    graph = helper.make_graph([], "g", [], [], initializer=weights)
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    formats._tell_size(model, tmp_path / "m.onnx", "onnx", 0.0)
    assert "copies: 8,192 numbers for 4,160 parameters" in caplog.text


@pytest.mark.slow
def test_a_convolution_of_volumes_without_a_bias(tmp_path):
    check_or_skip("onnx")
    volume = keras.layers.Conv3D(2, 3, use_bias=False)
    head = [keras.layers.Flatten(), keras.layers.Dense(2)]
    inputs = [keras.Input((5, 4, 3)), keras.layers.Reshape((5, 4, 3, 1))]
    model = keras.Sequential([*inputs, volume, *head])
    formats.write(model, tmp_path / "m.onnx", "onnx", None, 1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="ONNX from JAX needs jax2onnx, not tried")
def test_small_denominators_remain(tmp_path):
    """Which PyTorch's exporter takes for zero, and TensorFlow's has no operator for."""
    check_or_skip("onnx")
    formats.write(zoo.load("vit3_rec"), tmp_path / "m.onnx", "onnx", None, 1e-5)


@pytest.mark.slow
@pytest.mark.neutral
def test_litert_with_8_bits_throughout(tmp_path, monkeypatch):
    if BACKEND != "tensorflow":
        pytest.skip("TensorFlow's converter")
    pytest.importorskip("ai_edge_litert", reason="TensorFlow's own interpreter answers otherwise")
    model = zoo.load("cifar_small_metahead")
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype="uint8")
    labels = logits_of(model, model.preprocess(images)).argmax(1)
    sizes = []
    for representative in (None, images):
        path = export(
            model, tmp_path, "litert", monkeypatch, quantize="int8", representative=representative
        )
        file = path / "assets.extra" / "cifar_small_metahead.tflite"
        sizes.append(file.stat().st_size)
        assert serve.accuracy_lost(model, file, images, labels).after > 0.8
    assert sizes[1] < sizes[0] < 46_000


@pytest.mark.neutral
def test_missing_packages_are_named(monkeypatch):
    find = importlib.util.find_spec
    hidden = {"tf2onnx", "onnx", "jax2onnx", "onnxruntime"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n in hidden else find(n))
    with pytest.raises(ImportError, match=r"'onnx' on the backend .* needs: pip install .*onnx"):
        formats.check(("onnx",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if "ai_edge" in n else True)
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    formats.check("litert", int8=True)
    with pytest.raises(ImportError, match="TensorFlow's rounds otherwise: pip install ai-edge-l"):
        formats.check("litert", int8=True, activations=True)


@pytest.mark.neutral
def test_unknown_and_impossible_formats(monkeypatch):
    with pytest.raises(ValueError, match="'onnx', 'litert', 'openvino', but it has 'onxn'"):
        formats.check(("onxn",))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    # JAX hands TensorFlow its own program whole, which OpenVINO has no rule for.
    for kind in ("litert", "openvino"):
        with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow or torch"):
            formats.check(kind)
