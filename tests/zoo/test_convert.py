"""Converted official checkpoints give the official logits, and whatever does not fit is named."""

import argparse
import sys

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.backend import keras_private
from keras_recres.zoo import convert
from keras_recres.zoo.convert import t2t
from keras_recres.zoo.convert.state_dict import read_state_dict
from tests.marks import slow_on_tensorflow
from tests.zoo import t2t_numpy

SMALL = {"side": 32, "embed": 32, "mlp": 64, "token": 16, "classes": 5, "depth": 2}
SMALL_MODEL = {
    "depth": 2,
    "input_shape": (32, 32, 3),
    "embed_dim": 32,
    "token_dim": 16,
    "num_classes": 5,
    "verbose": False,
}


def images(side, batch=1, seed=1):
    return np.random.default_rng(seed).normal(size=(batch, side, side, 3)).astype("float32")


def logits(model, x):
    # Not model(x): JAX would compile every operation by itself.
    return model.predict_on_batch(x)


def assert_official(model, state, x, **kwargs):
    wanted = t2t_numpy.forward(state, x, **kwargs)
    # Logits that hardly vary would agree whatever the network is.
    assert np.std(wanted) > 0.1
    np.testing.assert_allclose(logits(model, x), wanted, rtol=0, atol=1e-4)


@slow_on_tensorflow
@pytest.mark.parametrize(
    ("token_type", "steps"), [("performer", [1, 1, 1]), ("transformer", [2, 4, 2])]
)
@pytest.mark.neutral
def test_logits_at_full_size(token_type, steps):
    state = t2t_numpy.random_state(3, token_type=token_type)
    model = convert.t2t_vit(state, depth=3, steps=steps, token_type=token_type, verbose=False)
    assert_official(model, state, images(224), steps=steps, token_type=token_type)


@slow_on_tensorflow
@pytest.mark.parametrize(
    ("token_type", "first", "steps"),
    [
        pytest.param("performer", (7, 4, 2), 2, marks=pytest.mark.neutral),
        ("performer", (3, 2, 1), 1),
        pytest.param("transformer", (5, 3, 1), 1, marks=pytest.mark.neutral),
    ],
)
def test_logits_of_small_images_and_other_first_splits(token_type, first, steps):
    state = t2t_numpy.random_state(2, side=64, first=first, token_type=token_type, classes=7)
    with keras_private.values_given_later():
        model = convert.t2t_vit(
            state,
            depth=2,
            steps=steps,
            num_classes=7,
            input_shape=(64, 64, 3),
            token_type=token_type,
            first_kernel_size=first[0],
            first_strides=first[1],
            verbose=False,
        )
    kwargs = {"steps": [steps] * 2, "first": first, "token_type": token_type}
    assert_official(model, state, images(64, batch=2), **kwargs)


@pytest.mark.neutral
def test_preprocessing_is_the_authors_where_the_classes_are_imagenets(tmp_path):
    small = {**SMALL, "side": 64, "classes": 1000}
    options = {**SMALL_MODEL, "input_shape": (64, 64, 3), "num_classes": 1000}
    model = convert.t2t_vit(t2t_numpy.random_state(**small), **options)
    published = zoo.info("vit7").preprocessing
    assert model.preprocess == published.for_input_shape((64, 64, 3))
    assert model.preprocess != published
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").preprocess == model.preprocess
    # Of five classes nobody knows which pictures they are of.
    other = convert.t2t_vit(t2t_numpy.random_state(**SMALL), **SMALL_MODEL)
    assert not hasattr(other, "preprocess")


@pytest.mark.neutral
def test_each_permutation_matters():
    # The model in which one of the patch-ordered weights keeps PyTorch's order must be wrong.
    state, x = t2t_numpy.random_state(**SMALL), images(32)
    model = convert.t2t_vit(state, **SMALL_MODEL)
    wanted = t2t_numpy.forward(state, x, steps=[1, 1])
    np.testing.assert_allclose(logits(model, x), wanted, rtol=0, atol=1e-4)
    permuted = [rule for rule in t2t._rules(model) if rule.patch]
    assert len(permuted) == 2 * 3 + 1
    for rule in permuted:
        official = state[rule.key]
        rule.variable.assign(official.T if rule.transpose else official)
        assert np.abs(logits(model, x) - wanted).max() > 1e-3, rule.key
        rule.variable.assign(rule.convert(official))
    np.testing.assert_allclose(logits(model, x), wanted, rtol=0, atol=1e-4)


@pytest.mark.neutral
def test_unshared_weights_are_the_checkpoints_in_every_step():
    state, x = t2t_numpy.random_state(**SMALL), images(32)
    own = {"unshare": ("norm",), "step_embedding": True, "residual_scale": "learned"}
    model = convert.t2t_vit(state, **SMALL_MODEL, steps=3, **own)
    assert_official(model, state, x, steps=[3, 3])


@pytest.mark.neutral
def test_features_only_leaves_the_head_out():
    state, x = t2t_numpy.random_state(**SMALL), images(32)
    features = logits(convert.t2t_vit(state, **SMALL_MODEL, features_only=True), x)
    got = features @ state["head.weight"].T + state["head.bias"]
    np.testing.assert_allclose(got, t2t_numpy.forward(state, x, steps=[1, 1]), atol=1e-4)


@slow_on_tensorflow
@pytest.mark.neutral
@pytest.mark.parametrize("entry", ["state_dict_ema", "state_dict", None])
def test_reads_a_saved_checkpoint(tmp_path, entry):
    torch = pytest.importorskip("torch")
    state = t2t_numpy.random_state(**SMALL)
    saved = {f"module.{k}": torch.tensor(v, dtype=torch.float32) for k, v in state.items()}
    if entry:
        # As training scripts save it: beside other weights, numbers and the options.
        saved = {entry: saved, "epoch": 309, "args": argparse.Namespace(lr=1e-3)}
    if entry == "state_dict_ema":
        saved["state_dict"] = {k: torch.zeros_like(v) for k, v in saved[entry].items()}
    path = tmp_path / "71.7_T2T_ViT_7.pth.tar"
    torch.save(saved, path)
    assert_official(convert.t2t_vit(path, **SMALL_MODEL), state, images(32), steps=[1, 1])


@pytest.mark.neutral
def test_takes_tensors_and_keeps_half_precision_values():
    torch = pytest.importorskip("torch")
    state = {k: torch.tensor(v).bfloat16() for k, v in t2t_numpy.random_state(**SMALL).items()}
    model = convert.t2t_vit(state, **SMALL_MODEL)
    wanted = state["head.bias"].double().numpy()
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(model.get_layer("head").bias), wanted.astype("float32")
    )


@pytest.mark.neutral
def test_report_counts_every_weight(capsys):
    state = t2t_numpy.random_state(2, side=64)
    model = convert.t2t_vit(state, depth=2, input_shape=(64, 64, 3))
    report = model.conversion_report
    assert report.parameters == sum(array.size for array in state.values()) == model.count_params()
    # Reading patches: norm1 (weight and bias) and kqv of two token layers, and project. Other
    # kernels: three in each token layer, four in each block, and the head.
    kernels = 2 * 3 + 2 * 4 + 1
    assert report.counts == {
        "copied": len(state) - 4 - 3 - kernels,
        "transposed": kernels,
        "permuted": 4,
        "permuted and transposed": 3,
    }
    assert report.sinusoid_error < 1e-12
    assert capsys.readouterr().out == f"{report}\n"
    assert str(report).startswith(f"a dict → t2t_vit_2: {len(state)} weights (")


def fault(state, **kwargs):
    with pytest.raises(ValueError, match=r"\S") as caught:
        convert.t2t_vit(state, **{**SMALL_MODEL, **kwargs})
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.neutral
def test_faults_are_named():
    state = t2t_numpy.random_state(**SMALL)
    assert "`depth` is 3, but a dict has 2 blocks: pass depth=2." in fault(state, depth=3)
    assert "is not a T2T-ViT checkpoint" in fault({"a": np.ones(3)})

    lacking = {k: v for k, v in state.items() if k != "blocks.1.norm2.bias"}
    assert "1 weights are missing (blocks.1.norm2.bias)" in fault(lacking)

    extra = {**state, "blocks.0.attn.qkv.bias": np.zeros(96)}
    assert "1 are unexpected (blocks.0.attn.qkv.bias)" in fault(extra)

    wrong = fault(state, num_classes=6)
    assert "head.weight is (5, 32) and must be (6, 32); head.bias is (5,) and must be (6,)" in wrong

    other = fault(state, token_type="transformer")
    assert "weights are missing (tokens_to_token.attention1.attn.qkv.weight; " in other
    assert "are unexpected (tokens_to_token.attention1.w; " in other

    assert "'head.bias' is a str" in fault({**state, "head.bias": "zeros"})
    assert "with and without the prefix" in fault({**state, "module.head.bias": np.zeros(5)})


@pytest.mark.neutral
def test_another_patch_size_is_told_by_its_shapes():
    state = t2t_numpy.random_state(**SMALL)
    assert "attention1.norm1.weight is (147,) and must be (75,)" in fault(
        state, first_kernel_size=5
    )


@pytest.mark.neutral
def test_file_faults_are_named(tmp_path):
    torch = pytest.importorskip("torch")
    missing = tmp_path / "no.pth.tar"
    assert f"no checkpoint file {str(missing)!r}" in fault(missing)
    broken = tmp_path / "broken.pth.tar"
    broken.write_bytes(b"<html>not found</html>")
    assert "is not a PyTorch checkpoint" in fault(str(broken))
    listed = tmp_path / "list.pth"
    torch.save([1, 2], listed)
    assert "list.pth holds a list" in fault(listed)


class Unsafe:
    """Stands for code inside a checkpoint."""


@pytest.mark.neutral
def test_code_in_a_checkpoint_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "unsafe.pth"
    torch.save({"state_dict": {"a": torch.ones(1)}, "more": Unsafe()}, path)
    refused = fault(path)
    assert "is not a PyTorch checkpoint of plain weights" in refused
    # Not that it is damaged, which it is not.
    assert f"holds {Unsafe.__module__}.Unsafe" in refused


@pytest.mark.neutral
@pytest.mark.parametrize("entry", ["model_ema", "model", "net"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_checkpoints_of_other_training_scripts(tmp_path, entry, prefix):
    torch = pytest.importorskip("torch")
    weights = {f"{prefix}norm.weight": torch.arange(3.0)}
    beside = {"best": np.float64(71.7), "epoch": np.int64(3), "lr": np.float32(0.1), "on": True}
    torch.save({entry: weights, **beside}, tmp_path / "a.pth")
    state, origin = read_state_dict(tmp_path / "a.pth")
    assert list(state) == ["norm.weight"]
    np.testing.assert_array_equal(state["norm.weight"], [0, 1, 2])
    assert origin == f"a.pth, {entry!r}"


@pytest.mark.neutral
def test_without_torch_the_remedy_is_said(tmp_path, monkeypatch):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch is the backend here, so it cannot be absent.")
    path = tmp_path / "some.pth"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        convert.t2t_vit(path)


@pytest.mark.parametrize("token_type", ["performer", "transformer"])
def test_to_torch_is_the_inverse_to_the_bit(token_type, tmp_path):
    torch = pytest.importorskip("torch")
    kind = {**SMALL_MODEL, "token_type": token_type, "steps": 2}
    state = t2t_numpy.random_state(**{**SMALL, "token_type": token_type})
    model = convert.t2t_vit(state, **kind)
    back = convert.to_torch(model)
    assert back.keys() == state.keys()
    for key, value in back.items():
        assert isinstance(value, torch.Tensor)
        np.testing.assert_array_equal(value.numpy(), state[key].astype("float32"), err_msg=key)
    torch.save({"state_dict_ema": back}, tmp_path / "own.pth.tar")
    again = convert.t2t_vit(str(tmp_path / "own.pth.tar"), **kind)
    for one, other in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)))
    # Nothing of the model's memory is shared.
    back["head.bias"].zero_()
    assert np.abs(keras.ops.convert_to_numpy(model.get_layer("head").bias)).max() > 0
    without = convert.t2t_vit(state, **kind, features_only=True)
    assert state.keys() - convert.to_torch(without).keys() == {"head.weight", "head.bias"}


def test_to_torch_refuses_what_has_no_place_there():
    pytest.importorskip("torch")
    state = t2t_numpy.random_state(**SMALL)
    unshared = convert.t2t_vit(state, **SMALL_MODEL, steps=2, unshare=["norm"])
    assert convert.to_torch(unshared).keys() == state.keys()  # The steps' norms are alike yet.
    first, other = unshared.get_layer("block0").own_per_step[0]
    other.assign(first + 1)
    with pytest.raises(ValueError, match=r"no place for \(block0/step1_norm1_gamma\)"):
        convert.to_torch(unshared)
    with pytest.raises(ValueError, match=r"only models of `models\.t2t_vit` are conv"):
        convert.to_torch(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
