"""Options of training.fit by their effects, and what a training says that goes wrong."""

import importlib.util
import io
import re
import shutil
import sys

import h5py
import keras
import numpy as np
import pytest
import rich.console

from keras_recres.zoo import drawing
from tests.marks import slow_on_tensorflow
from tests.training.fit.test_fit import metrics, run
from training.data import batches
from training.errors import UserError
from training.fit import callbacks, optimizers, options, run_folder
from training.settings import DEFAULTS

# A network whose steps XLA does not compile, which would take longer than they do.
PLAIN = {
    "name": "cifar_small",
    "model_arguments": [],
    "schedule": "constant",
    "warmup_epochs": 0,
    "weight_decay": 0,
    "limit": 64,
    "eval_limit": 32,
    "epochs": 1,
}
WEIGHTS = "cifar_small.corners.weights.h5"


@pytest.fixture
def train(fit_arguments, small_model, tmp_path, monkeypatch):
    """Trains the small model; returns its metrics and its weights."""
    monkeypatch.setattr(drawing, "draw", lambda *args: None)  # Which takes as long as the rest.

    def run_one(out, *flags, code=0, **changes):
        arguments = fit_arguments(out, **{**PLAIN, **changes})
        at = arguments.index("--model-arguments")
        assert run([*arguments[:at], *flags, *arguments[at:]]) == code
        return (metrics(tmp_path, out), weights_of(tmp_path / out / WEIGHTS)) if code == 0 else None

    return run_one


def weights_of(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def rows(tmp_path, out):
    return run_folder.read_log(tmp_path / out / "log.csv")


@pytest.mark.neutral
def test_nan_in_one_of_several_steps_at_once_says_which_they_were():
    watcher = callbacks.StopAtNaN(7)
    watcher.on_epoch_begin(1)
    # Keras tells where five steps would have ended.
    watcher.on_train_batch_begin(5)
    watcher.on_train_batch_end(9, {"loss": 1.0})
    found = (
        "became nan at one of the steps 13 to 14, which is one of the steps 6 to 7 of 7 in epoch 2"
    )
    with pytest.raises(callbacks.NotFiniteError, match=found):
        watcher.on_train_batch_end(9, {"loss": float("nan")})


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.neutral
def test_on_a_terminal_a_bar_says_how_fast_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = callbacks.Progress(epochs=2, steps=4, batch_size=16)
    bar.on_train_begin()
    bar.on_epoch_begin(1)
    for step in range(3):
        bar.on_train_batch_end(step, {"loss": 1.25, "accuracy": 0.5})
    drawn = bar._bar.get_renderable()
    shown = io.StringIO()
    rich.console.Console(file=shown, width=120).print(drawn)
    assert re.search(
        r"epoch 2/2 ━+.* 3/4 .* [\d,]+ examples/s  loss 1\.2500  accuracy 0\.5000", shown.getvalue()
    )
    logs = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    bar.on_epoch_end(1, {**logs, "seconds": 2.0, "images_per_second": 32.0})
    bar.on_train_end()
    bar.close()  # What ends a training does it again.
    assert "epoch 2/2: loss 1.0000  accuracy 0.5000" in sys.stderr.getvalue()
    assert sys.stderr.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # The bar is gone.


@pytest.mark.slow
def test_nan_keeps_the_last_good_weights(train, tmp_path, monkeypatch, capsys):
    original = batches.Batches.__getitem__

    def spoilt(self, number):
        images, labels = original(self, number)
        if self.training and (self.epoch, number) == (1, 2):
            images = np.full_like(images, np.nan)
        return images, labels

    _, good = train("good")
    with monkeypatch.context() as patch:
        patch.setattr(batches.Batches, "__getitem__", spoilt)
        capsys.readouterr()
        train("run", epochs=3, code=2)
    message = capsys.readouterr().err.splitlines()[-1]
    kept = tmp_path / "run" / "cifar_small.corners.last_good.weights.h5"
    assert message.startswith("error: the loss became nan at step 7, which is step 3 of 4 in epoch")
    assert f"the weights after epoch 1 are kept in {kept}" in message
    assert "lower the learning rate" in message
    found = weights_of(kept)
    assert found.keys() == good.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, good[name])
    # They can be started from: what was learnt is there.
    m, _ = train("again", weights=kept, learning_rate=1e-12)
    assert m["val_loss"] == pytest.approx(rows(tmp_path, "run")[0]["val_loss"], abs=1e-5)
    assert m["settings"]["weights"].startswith("sha256:")


def test_weights_spoilt_by_the_last_step_of_an_epoch_are_not_kept(train, monkeypatch, capsys):
    original = callbacks.Timing.on_test_begin

    def spoil(self, logs=None):
        for variable in self.model.trainable_variables:
            variable.assign(keras.ops.full(variable.shape, np.nan))
        original(self, logs)

    monkeypatch.setattr(callbacks.Timing, "on_test_begin", spoil)
    train("run", code=2)
    message = capsys.readouterr().err.splitlines()[-1]
    assert "the loss of the evaluation became nan after step 4, the last one of epoch 1" in message
    assert "no epoch was whole yet" in message


@pytest.mark.slow
def test_gradients_of_two_batches_are_those_of_one_of_twice_the_size(fit_arguments, train):
    sgd = {"optimizer": "sgd", "learning_rate": 0.1, "model_arguments": ["dropout=0"]}
    _, whole = train("whole", batch_size=32, **sgd)
    _, halves = train("halves", batch_size=16, accumulate=2, **sgd)
    _, small = train("small", batch_size=16, **sgd)
    for name, value in whole.items():
        np.testing.assert_allclose(halves[name], value, atol=1e-6)
    assert max(abs(small[name] - value).max() for name, value in whole.items()) > 1e-3


@slow_on_tensorflow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_averaged_weights_are_evaluated_and_kept(train, tmp_path, accumulate):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            seen.append([keras.ops.convert_to_numpy(v) for v in self.model.trainable_variables])

    watch, original = Watch(), callbacks.Progress.on_train_batch_end
    callbacks.Progress.on_train_batch_end = lambda self, batch, logs=None: (
        watch.set_model(self.model),
        watch.on_train_batch_end(batch, logs),
        original(self, batch, logs),
    )
    try:
        m, kept = train("ema", epochs=2, ema=0.5, accumulate=accumulate, learning_rate=1e-2)
    finally:
        callbacks.Progress.on_train_batch_end = original
    # From the first update on, batch by batch, so that an update of two of them forgets a half.
    average, forget = seen[accumulate - 1], 0.5 ** (1 / accumulate)
    for weights in seen[accumulate:]:
        average = [w + forget * (a - w) for a, w in zip(average, weights, strict=True)]
    kernel, bias = (kept[f"layers/dense/vars/{i}"] for i in (0, 1))
    np.testing.assert_allclose(kernel, average[0], atol=1e-6)
    np.testing.assert_allclose(bias, average[1], atol=1e-6)
    assert abs(kernel - seen[-1][0]).max() > 1e-3
    # The log's accuracy is theirs.
    again, _ = train("start", weights=tmp_path / "ema" / WEIGHTS, learning_rate=1e-12)
    assert again["val_loss"] == pytest.approx(m["val_loss"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.neutral
def test_decay_shrinks_kernels_alone(train):
    options = {"limit": 16, "learning_rate": 1e-2}
    _, without = train("without", **options)
    _, decayed = train("with", weight_decay=0.5, **options)
    kernel, bias = "layers/dense/vars/0", "layers/dense/vars/1"
    np.testing.assert_array_equal(decayed[bias], without[bias])
    # AdamW: w ← w − 0.01 · 0.5 · w before the same step of at most 0.01 a weight.
    shrunk = without[kernel] - decayed[kernel]
    np.testing.assert_allclose(shrunk, 0.005 * without[kernel], atol=0.006 * 0.01)
    assert abs(shrunk).max() > 1e-4


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch's trainer knows one step")
def test_steps_at_once_are_the_same_steps(train):
    one, _ = train("one")
    four, _ = train("four", steps_per_execution=4)
    assert four["train_loss"] == pytest.approx(one["train_loss"], abs=1e-6)
    assert four["val_loss"] == pytest.approx(one["val_loss"], abs=1e-6)


@pytest.mark.neutral
def test_bfloat16_rounds_what_is_computed_and_not_what_is_kept(train):
    exact, _ = train("exact")
    rounded, kept = train("rounded", precision="mixed_bfloat16")
    assert 0 < abs(rounded["train_loss"] - exact["train_loss"]) < 0.05
    assert {value.dtype for value in kept.values() if value.ndim} == {np.dtype("float32")}


@pytest.mark.neutral
def test_tensorboard_is_keras_own(train, tmp_path, monkeypatch, capsys):
    find, own = importlib.util.find_spec, dict.fromkeys(("tensorflow", "tensorboard"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: own[n] if n in own else find(n))
    train("run", "--tensorboard", epochs=1, code=2)
    said = "--tensorboard needs tensorflow and tensorboard, which is not installed"
    assert said in capsys.readouterr().err
    own |= dict.fromkeys(own, "there")
    made = []

    class Recorder(keras.callbacks.Callback):
        def __init__(self, folder, write_graph):
            super().__init__()
            made.append((folder, write_graph))

    monkeypatch.setattr(keras.callbacks, "TensorBoard", Recorder)
    train("run", "--tensorboard", epochs=1)
    assert made == [(tmp_path / "run" / "tensorboard", False)]


@pytest.mark.slow
@pytest.mark.neutral
def test_weights_that_do_not_fit_are_one_sentence(train, tmp_path, capsys):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    train("deeper", epochs=1)
    (weights,) = (tmp_path / "deeper").glob("*.weights.h5")
    with h5py.File(shutil.copy(weights, tmp_path / "deeper.weights.h5"), "a") as file:
        # Keras passes over what it has no layer for.
        file["layers"].create_dataset("one_more/vars/0", data=np.zeros((5, 7)))
    (tmp_path / "cut.weights.h5").write_bytes((tmp_path / "other.weights.h5").read_bytes()[:1000])
    for name, said in (
        ("other", "holds the weights of another model"),
        ("cut", "is not a whole weights file"),
        ("deeper", "and the model has "),
        ("none", "cannot be read (No such file"),
    ):
        capsys.readouterr()
        train("run", weights=tmp_path / f"{name}.weights.h5", code=2)
        err = capsys.readouterr().err
        assert said in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
    other.save(tmp_path / "other.keras")
    train("run", weights=tmp_path / "other.keras", code=2)
    assert "other.keras is not a .weights.h5 file" in capsys.readouterr().err


@pytest.mark.neutral
def test_a_backup_of_another_model_is_one_sentence(train, tmp_path, capsys):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    backup = tmp_path / "run" / "backup"
    backup.mkdir(parents=True)
    other.save_weights(backup / "epoch-1.weights.h5")
    (backup / "training_metadata.json").write_text('{"epoch": 1, "weights": "epoch-1.weights.h5"}')
    train("run", code=2)
    message = capsys.readouterr().err.splitlines()[-1]
    assert "holds the weights of another model" in message
    assert "--no-resume" in message


@pytest.mark.neutral
def test_what_is_not_asked_for_is_not_in_the_settings():
    a = options.arguments(["vit3", "--dataset=mnist"])
    assert not options.settings_of(a, "vit3", "mnist").keys() & DEFAULTS.keys()
    a = options.arguments(["vit3", "--dataset=mnist", "--ema=0.9", "--accumulate=4"])
    settings = options.settings_of(a, "vit3", "mnist")
    assert (settings["ema"], settings["accumulate"]) == (0.9, 4)
    a = options.arguments(["vit3", "--dataset=mnist", "--optimizer=sgd", "--momentum=0.9"])
    options.check(a)
    assert options.settings_of(a, "vit3", "mnist")["momentum"] == 0.9
    # A stream changes what is learnt with random crops alone, which it takes from larger images.
    for augment, changes in (("crop", False), ("crop,resized_crop", True)):
        a = options.arguments(["vit3", "--dataset=cifar10", "--stream", f"--augment={augment}"])
        assert ("stream" in options.settings_of(a, "vit3", "cifar10")) == changes
    for wrong in ("--ema=1", "--accumulate=0", "--momentum=1", "--momentum=0.9"):
        with pytest.raises(UserError, match=wrong.split("=")[0]):
            options.check(options.arguments(["vit3", "--dataset=mnist", wrong]))


def test_momentum_keeps_a_part_of_the_last_step():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.ones((1, 1), "float32")])
    optimizer = optimizers.make(model, "sgd", 0.1, 0, 1e-7, momentum=0.9)
    for _ in range(2):
        optimizer.apply([keras.ops.ones((1, 1))], model.trainable_variables)
    assert model.get_weights()[0] == pytest.approx(1 - 0.1 - (0.1 + 0.9 * 0.1))


def test_gradients_of_a_large_norm_are_brought_down_to_it():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    optimizer = optimizers.make(model, "sgd", 1.0, clip_norm=0.5)
    before = model.get_weights()
    gradients = [np.full((2, 2), 3.0, "float32"), np.full(2, 4.0, "float32")]
    for scale, norm in ((1.0, 0.5), (0.01, 0.01 * 68**0.5)):
        model.set_weights(before)
        scaled = [keras.ops.convert_to_tensor(scale * g) for g in gradients]
        optimizer.apply(scaled, model.trainable_variables)
        moved = [b - a for a, b in zip(model.get_weights(), before, strict=True)]
        assert sum((m**2).sum() for m in moved) ** 0.5 == pytest.approx(norm, rel=1e-4)
        np.testing.assert_allclose(moved[0] / moved[1][0], 0.75, rtol=1e-4)
