"""Training from the command line: what is learnt, resuming, repeating, mistakes."""

import dataclasses
import errno
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.layers import RecurrentResidual
from tests.marks import slow_on, slow_on_tensorflow
from tests.training.pictures import VIT, corners
from training import data, errors, provenance
from training.data import packed
from training.errors import UserError
from training.files import write_aside
from training.fit import callbacks, models, optimizers, run_folder
from training.fit import loop as fit
from training.ledger import recording


def run(arguments):
    return errors.run(fit.main, arguments)


def metrics(tmp_path, out="run"):
    return json.loads((tmp_path / out / "metrics.json").read_text())


@pytest.mark.slow  # It trains a T2T-ViT.
def test_fit_learns_and_leaves_everything_behind(fit_arguments, corners_file, tmp_path, capsys):
    assert run(fit_arguments(epochs=6, label_smoothing=0.0)) == 0
    m = metrics(tmp_path)
    # Four classes: chance is a quarter.
    assert m["val_accuracy"] > 0.9
    assert m["train_loss"] < 0.3
    out, err = capsys.readouterr()
    assert out.startswith("vit3.corners: ")
    assert out.count("\n") == 1
    assert err.count("val_accuracy") == 6
    assert "examples/s" in err
    names = {p.name for p in (tmp_path / "run").iterdir()} - {".lock"}
    assert names == {
        "settings.json",
        "log.csv",
        "metrics.json",
        "curve.png",
        "vit3.corners.weights.h5",
    }
    rows = run_folder.read_log(tmp_path / "run" / "log.csv")
    assert [row["epoch"] for row in rows] == list(range(6))
    assert rows[-1]["val_accuracy"] == m["val_accuracy"]
    assert max(row["val_accuracy"] for row in rows) == m["best_val_accuracy"]
    assert rows[-1]["learning_rate"] < 1e-4 < rows[0]["learning_rate"]
    assert m["epochs"] == 6
    assert (m["train_images"], m["eval_images"], m["split"]) == (512, 128, "test")
    assert m["backend"] == keras.backend.backend()
    assert m["hardware"]
    assert m["seconds"] > 0 < m["images_per_second"]
    assert (tmp_path / "run" / "curve.png").read_bytes().startswith(b"\x89PNG")

    # The weights are those that were measured, and nothing but the model's.
    test = data.load("corners", "test", corners_file)
    overrides = models.overrides_of(None, VIT)
    model, _ = models.build("vit3", test, overrides)
    model.load_weights(tmp_path / "run" / "vit3.corners.weights.h5")
    logits = model.predict(model.preprocess(test.images), verbose=0)
    assert (logits.argmax(1) == test.labels).mean() == pytest.approx(m["val_accuracy"])
    kept = (tmp_path / "run" / "vit3.corners.weights.h5").stat().st_size
    assert kept < 4 * model.count_params() + 150_000

    # The same command again has nothing to do.
    assert run(fit_arguments(epochs=6, label_smoothing=0.0)) == 0
    assert capsys.readouterr().out == out


def interrupt_in(monkeypatch, epoch):
    original = callbacks.Progress.on_train_batch_end

    def stop(self, batch, logs=None):
        if self._name.startswith(f"epoch {epoch}/") and batch >= 2:
            raise KeyboardInterrupt
        original(self, batch, logs)

    monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", stop)


# Sixteen steps an epoch: the last gradients of one are collected for the first update of the next.
COLLECTED = {"accumulate": 3, "ema": 0.9, "name": "cifar_small"}
if keras.backend.backend() != "torch":  # Whose trainer knows one step.
    COLLECTED |= {"steps_per_execution": 3, "groups": 2}


@slow_on_tensorflow
@pytest.mark.parametrize("more", [{}, COLLECTED], ids=["plain", "collected"])
def test_a_continued_training_is_the_uninterrupted_one(
    fit_arguments, small_model, tmp_path, capsys, monkeypatch, more
):
    # Everything random is in it: order, augmentation, mixup and dropout.
    options = {"augment": "crop,erase", "mixup": 0.2, "limit": 256, "epochs": 4, **more}
    options |= {"curvature": 3}
    assert run(fit_arguments("whole", **options)) == 0
    with monkeypatch.context() as patch:
        interrupt_in(patch, epoch=3)
        capsys.readouterr()
        assert run(fit_arguments("parts", **options)) == 130
    message = capsys.readouterr().err
    assert f"2 of 4 epochs are kept in {tmp_path / 'parts'}" in message
    assert "Traceback" not in message
    assert not (tmp_path / "parts" / "metrics.json").exists()
    assert run(fit_arguments("parts", **options)) == 0
    assert "2 done before" in capsys.readouterr().err
    whole, parts = metrics(tmp_path, "whole"), metrics(tmp_path, "parts")
    for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "best_val_accuracy"):
        assert parts[key] == whole[key], key
    assert parts["epochs"] == 4
    assert not (tmp_path / "parts" / "backup").exists()
    found = []
    for name in ("whole", "parts"):
        lines = (tmp_path / name / "curvature.csv").read_text().splitlines()[1:]
        # But for the layers' names, which Keras numbers on in one process.
        found.append(
            [[field for i, field in enumerate(line.split(",")) if i != 1] for line in lines]
        )
    assert {line[0] for line in found[0]} == {"0", "1", "2", "3", "4"}
    assert found[0] == found[1]


@pytest.mark.neutral
def test_a_smaller_input_shape_trains_and_measures_on_means(toy_cifar, tmp_path, capsys):
    out = tmp_path / "run"
    asked = f"cifar_resnet20 --dataset cifar10 --data-dir {toy_cifar / 'cifar10.npz'} --out {out}"
    asked += " --limit 64 --batch-size 32 --epochs 1 --augment flip,crop --label-smoothing 0"
    asked += " --model-arguments depth=8 input_shape=[16,16,3]"
    assert run(asked.split()) == 0
    assert "128 test examples, each pixel the mean of 2 x 2, 1 epoch" in capsys.readouterr().err
    m = metrics(tmp_path)
    assert m["settings"]["averaged"] == 2
    model = zoo.build("cifar_resnet20", tag="cifar10", depth=8, input_shape=(16, 16, 3))
    model.load_weights(out / "cifar_resnet20.cifar10.weights.h5")
    test = data.load("cifar10", "test", toy_cifar / "cifar10.npz")
    # Grey values, halves rounded up.
    means = np.floor(test.images.reshape(128, 16, 2, 16, 2, 3).mean(axis=(2, 4)) + 0.5)
    logits = model.predict(model.preprocess(means), verbose=0)
    loss = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(128), test.labels]
    assert loss.mean() == pytest.approx(m["val_loss"], rel=1e-5)
    with pytest.raises(UserError, match="trained on means over 2 x 2 pixels, which no network"):
        recording.record([out], metric="subset_top1_percent")


def test_the_commit_is_that_of_the_start(fit_arguments, small_model, tmp_path, monkeypatch):
    """Of the code that was loaded, whatever is committed meanwhile."""
    now = ["begun"]
    begin = callbacks.Timing.on_test_begin
    monkeypatch.setattr(provenance, "commit", lambda: now[-1])
    monkeypatch.setattr(
        callbacks.Timing, "on_test_begin", lambda *a, **k: now.append("later") or begin(*a, **k)
    )
    assert run(fit_arguments(epochs=1, warmup_epochs=0, limit=64, eval_limit=32)) == 0
    assert now[-1] == "later"
    assert metrics(tmp_path)["commit"] == "begun"


@slow_on_tensorflow
def test_a_seed_fixes_the_result(fit_arguments, small_model, tmp_path):
    options = {"epochs": 1, "warmup_epochs": 0, "limit": 128, "augment": "crop"}
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run(fit_arguments(out, seed=seed, **options)) == 0
    a, b, c = (metrics(tmp_path, out)["train_loss"] for out in "abc")
    assert a == pytest.approx(b, abs=1e-5)
    assert abs(a - c) > 1e-3


@pytest.mark.slow
@pytest.mark.neutral
def test_other_settings_in_the_same_folder_are_refused(
    fit_arguments, small_model, tmp_path, capsys
):
    options = {"epochs": 1, "warmup_epochs": 0, "limit": 64, "eval_limit": 32}
    assert run(fit_arguments(**options)) == 0
    assert metrics(tmp_path)["split"] == "test[:32]"
    (tmp_path / "run" / "notes.txt").write_text("mine")
    capsys.readouterr()
    assert run(fit_arguments(**{**options, "epochs": 2})) == 2
    message = capsys.readouterr().err
    assert "epochs 1, not 2" in message
    assert "--no-resume" in message
    assert message.count("\n") == 1
    assert run([*fit_arguments(**{**options, "epochs": 2}), "--no-resume"]) == 0
    assert metrics(tmp_path)["epochs"] == 2
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.neutral
def test_a_mistake_before_the_first_step_does_not_block_the_folder(fit_arguments, small_model):
    assert run(fit_arguments(batch_size=4096)) == 2
    assert run(fit_arguments(epochs=1, limit=64, eval_limit=32)) == 0


def test_a_nan_loss_stops_in_a_sentence(fit_arguments, small_model, tmp_path, capsys):
    options = {"learning_rate": 1e30, "warmup_epochs": 0, "limit": 256}
    assert run(fit_arguments(**options)) == 2
    assert "the loss became" in capsys.readouterr().err
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not list((tmp_path / "run").rglob("*.weights.h5"))


def test_mixed_precision_trains(fit_arguments, small_model, tmp_path):
    options = {"precision": "mixed_bfloat16", "epochs": 1, "limit": 128, "warmup_epochs": 0}
    assert run(fit_arguments(**options)) == 0
    assert np.isfinite(metrics(tmp_path)["train_loss"])


def test_the_loss_of_lenet_has_a_class_of_images_of_nothing():
    logits = np.array([[-1.0, -3.0], [-20.0, -30.0]], "float32")
    answers = np.array([[0.0, 1.0], [1.0, 0.0]], "float32")
    found = float(models.Rubbish(2.0)(answers, logits))
    # mean(y_label + log(e^-j + Σ e^-y)) of the penalties y = -logits.
    wanted = 3 + np.log(np.exp([-2, -1, -3.0]).sum()) + 20 + np.log(np.exp([-2, -20, -30.0]).sum())
    assert found == pytest.approx(wanted / 2, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "vit33"}, "did you mean 'vit3'"),
        ({"name": "planar_rec"}, "'planar_rec' takes points, but corners has images"),
        ({"dataset": "cifar10"}, "holds the data set 'corners', not 'cifar10'"),
        ({"data_dir": "/nowhere/at.npz"}, "there is no packed file"),
        ({"data_dir": "/nowhere"}, "is not in /nowhere"),
        ({"out": "/proc/run"}, "cannot be written"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"label_smoothing": 1}, "--label-smoothing must be"),
        ({"rubbish": -1, "label_smoothing": 0}, "--rubbish must be at least 0, found -1"),
        ({"rubbish": 1, "label_smoothing": 0.2}, "give --label-smoothing 0, found 0.2"),
        ({"learning_rate": "nan"}, "--learning-rate must be above 0"),
        ({"epsilon": 0}, "--epsilon must be above 0"),
        ({"steps_per_execution": 0}, "--steps-per-execution must be at least 1"),
        ({"warmup_epochs": 9}, "--warmup-epochs must be"),
        ({"augment": "flop"}, "Did you mean 'flip'"),
        ({"limit": 0}, "at least 1"),
        ({"steps": "2,x"}, "--steps takes numbers"),
        ({"steps": "2,4,2"}, "steps"),
        ({"model_arguments": ["depth"]}, "KEY=VALUE"),
        ({"model_arguments": ["depht=1"]}, "did you mean 'depth'"),
        ({"model_arguments": ["num_classes=7"]}, "gives 7 classes"),
    ],
)
@pytest.mark.neutral
def test_mistakes_end_in_one_sentence_and_code_2(fit_arguments, capsys, changes, sentence):
    assert run(fit_arguments(**changes)) == 2
    out, err = capsys.readouterr()
    assert sentence in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.neutral
def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        fit.main(["--help"])
    assert stop.value.code == 0
    assert "examples:" in capsys.readouterr().out


@pytest.mark.neutral
def test_overrides_are_json_or_text():
    overrides = models.overrides_of("2,4,2", ["drop_path=0.2", "loop=scan", 'unshare=["norm"]'])
    assert overrides == {
        "drop_path": 0.2,
        "loop": "scan",
        "unshare": ("norm",),
        "steps": (2, 4, 2),
    }
    assert models.overrides_of("4", []) == {"steps": 4}


def peek(tag, shape, classes):
    names = tuple(map(str, range(classes)))
    return data.Images(np.zeros((1, *shape), np.uint8), np.zeros(1, int), names, tag, "train", tag)


@pytest.mark.neutral
def test_a_tag_of_the_config_decides_the_model():
    model, overrides = models.build("vit3_rec", peek("mnist", (28, 28, 1), 10), {})
    assert (model.input_shape, model.output_shape) == ((None, 32, 32, 1), (None, 10))
    assert (model.zoo_tag, overrides) == ("mnist", {})
    assert model.preprocess == zoo.info("vit3_rec").preprocessing_of("mnist")


@pytest.mark.parametrize(("side", "taken"), [(20, 32), (48, 48), (500, 384)])
@pytest.mark.neutral
def test_without_a_tag_the_data_decide(side, taken):
    model, overrides = models.build("vit3", peek("toy", (side, side, 1), 5), {"depth": 1})
    assert model.input_shape == (None, taken, taken, 1)
    assert model.output_shape == (None, 5)
    assert overrides["num_classes"] == 5
    assert model.preprocess.size == (taken, taken)


@slow_on("jax")
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("name", ["vit3", "vit7_rec_plus"])
def test_decay_shrinks_kernels_and_nothing_else(name, optimizer):
    model, _ = models.build(name, peek("mnist", (28, 28, 1), 10), {"depth": 1})
    made = optimizers.make(model, optimizer, rate=0.1, weight_decay=0.5)
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    assert any("tokens_to_token" in v.path for v in kernels)
    for v in model.trainable_variables:
        v.assign(keras.ops.ones(v.shape))
    # Gradients of zero, so that nothing but the decay moves them: w ← w − 0.1 · 0.5 · w.
    made.apply(
        [keras.ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables
    )
    for v in model.trainable_variables:
        wanted = 0.95 if v.name == "kernel" else 1
        np.testing.assert_allclose(keras.ops.convert_to_numpy(v), wanted, 1e-6, err_msg=v.path)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_decay_spares_vectors_whatever_they_are_called(optimizer):
    branch = keras.Sequential([keras.layers.Dense(4), keras.layers.PReLU()])
    block = RecurrentResidual(branch, steps=2, residual_scale="learned")
    model = keras.Sequential([keras.Input((4,)), block, keras.layers.RMSNormalization()])
    names = {v.name for v in model.trainable_variables}
    assert names >= {"kernel", "bias", "alpha", "scale"}
    made = optimizers.make(model, optimizer, rate=0.1, weight_decay=0.5)
    for v in model.trainable_variables:
        v.assign(np.ones(v.shape))
    made.apply(
        [keras.ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables
    )
    for v in model.trainable_variables:
        wanted = 0.95 if v.name == "kernel" else 1
        np.testing.assert_allclose(keras.ops.convert_to_numpy(v), wanted, 1e-6, err_msg=v.path)


def test_the_rate_follows_its_schedule():
    rate = optimizers.schedule(100, warmup=10, peak=1e-2, end=optimizers.SCHEDULES["cosine"])
    rates = [float(rate(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0, 5e-3, 1e-2, (1e-2 + 1e-4) / 2, 1e-4], rel=1e-3, abs=1e-8)


def test_without_decay_it_is_adam_and_the_rate_may_stay():
    model, _ = models.build("vit3", peek("mnist", (28, 28, 1), 10), {"depth": 1})
    end = optimizers.SCHEDULES["constant"]
    rate = optimizers.schedule(100, 0, 1e-2, end)
    made = optimizers.make(model, "adamw", rate, epsilon=1e-8)
    models.compile_model(model, made, steps_per_execution=5)
    assert type(model.optimizer).__name__ == "Adam"  # And not AdamW, which is one.
    assert model.optimizer.epsilon == 1e-8
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-2)
    # PyTorch's trainer only knows one.
    assert model.steps_per_execution == (1 if keras.backend.backend() == "torch" else 5)
    rate = optimizers.schedule(100, 10, 1e-2, end)
    rates = [float(rate(step)) for step in (0, 5, 10, 55, 100)]
    assert rates == pytest.approx([0, 5e-3, 1e-2, 1e-2, 1e-2], rel=1e-3, abs=1e-8)


@pytest.mark.neutral
def test_an_epoch_written_twice_counts_once(tmp_path):
    (tmp_path / "log.csv").write_text("epoch,loss\n0,3\n1,2.5\n1,2\n")
    assert run_folder.read_log(tmp_path / "log.csv") == [
        {"epoch": 0, "loss": 3},
        {"epoch": 1, "loss": 2},
    ]


@pytest.mark.neutral
def test_a_setting_that_only_the_earlier_training_had_is_told(tmp_path):
    settings = {"name": "vit3", "tag": "x"}
    folder = run_folder.RunFolder(tmp_path, {**settings, "ema": 0.9})
    folder.metrics.write_text("{}")
    folder.weights.write_text("")
    folder.close()
    with pytest.raises(UserError, match=r"holds a training with ema 0\.9, not 0\.0:"):
        run_folder.RunFolder(tmp_path, settings)
    with pytest.raises(UserError, match=r"holds a training with seed None, not 3:"):
        run_folder.RunFolder(tmp_path, {**settings, "ema": 0.9, "seed": 3})
    run_folder.RunFolder(tmp_path, {**settings, "ema": 0.9}).close()


@pytest.mark.neutral
def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    file = tmp_path / "settings.json"
    write_aside(file, "old\n")
    write = Path.write_text

    def full(self, text, *args, **kwargs):
        write(self, text[: len(text) // 2], *args, **kwargs)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_aside(file, "new and longer\n")
    assert file.read_text() == "old\n"


@pytest.mark.neutral
def test_a_folder_with_broken_settings_is_one_sentence(tmp_path):
    settings = {"name": "vit3", "tag": "x"}
    folder = run_folder.RunFolder(tmp_path, settings)
    folder.metrics.write_text("{}")
    folder.weights.write_text("")
    (tmp_path / "settings.json").write_text("{")
    folder.close()
    with pytest.raises(UserError, match="is not JSON"):
        run_folder.RunFolder(tmp_path, settings)
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(UserError, match="holds a training with name None, not 'vit3'"):
        run_folder.RunFolder(tmp_path, settings)


@slow_on_tensorflow
@pytest.mark.neutral
def test_to_begin_anew_removes_what_is_of_the_training_once_all_is_checked(
    fit_arguments, small_model, tmp_path, capsys
):
    folder = tmp_path / "run"
    assert run(fit_arguments(epochs=1)) == 0
    (folder / "mine.weights.h5").write_text("of another program")
    (weights,) = folder.glob("vit3*.weights.h5")
    before = weights.read_bytes()
    for wrong, sentence in (
        ({"batch_size": 1000}, "the batch size must be from 1 to"),
        ({"accumulate": 1000}, "--accumulate 1000 is more than the 32 batches of the training"),
        ({"weights": weights}, "vit3.corners.weights.h5: move it, or give another --out"),
    ):
        assert run(["--no-resume", *fit_arguments(epochs=1, **wrong)]) == 2
        assert sentence in capsys.readouterr().err
        assert weights.read_bytes() == before
    assert run(["--no-resume", *fit_arguments(epochs=1, seed=1)]) == 0
    assert weights.read_bytes() != before
    # Also what the earlier one was called, if this one is called otherwise.
    assert run(["--no-resume", *fit_arguments(epochs=1, name="vit7")]) == 0
    names = sorted(path.name for path in folder.glob("*.weights.h5"))
    assert names == ["mine.weights.h5", "vit7.corners.weights.h5"]


@pytest.mark.slow
@pytest.mark.neutral
def test_a_lost_log_is_reported(fit_arguments, small_model, tmp_path, monkeypatch, capsys):
    silent = keras.callbacks.Callback()
    monkeypatch.setattr(keras.callbacks, "CSVLogger", lambda *_, **__: silent)
    assert run(fit_arguments(epochs=2)) == 2
    assert "log.csv has 0 of 2 epochs" in capsys.readouterr().err


@pytest.mark.neutral
def test_a_config_of_a_data_set_is_trained_on(fit_arguments, small_model, tmp_path):
    parts = [corners(64, 0, "train"), corners(32, 1, "test")]
    parts = [dataclasses.replace(part, dataset="corners/grey") for part in parts]
    packed.write(tmp_path / "grey.npz", parts)
    options = {"dataset": "corners/grey", "data-dir": tmp_path / "grey.npz", "epochs": 1}
    assert run(fit_arguments(**options)) == 0
    assert (tmp_path / "run" / "vit3.corners_grey.weights.h5").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "training_metadata.json is damaged"),
        ('{"epoch": 1, "weights": "epoch-1.weights.h5"}', "epoch-1.weights.h5, which is not there"),
    ],
)
@pytest.mark.neutral
def test_a_damaged_backup_is_one_sentence(
    fit_arguments, small_model, tmp_path, capsys, text, sentence
):
    folder = tmp_path / "run" / "backup"
    folder.mkdir(parents=True)
    (tmp_path / "run" / "settings.json").write_text("{}")
    (folder / "training_metadata.json").write_text(text)
    assert run(fit_arguments(epochs=1)) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.endswith(": give another --out, or --no-resume to begin anew.\n")
    assert run(["--no-resume", *fit_arguments(epochs=1)]) == 0


@pytest.mark.parametrize(
    ("devices", "name"), [(["tpu:0", "tpu:1"], "2 x "), (["cpu:0"], " core"), ([], " core")]
)
@pytest.mark.neutral
def test_hardware_is_the_accelerator_or_the_processor(monkeypatch, devices, name):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda *_: devices)
    said = provenance.hardware()
    assert name in said
    assert provenance.has_accelerator() == (name == "2 x ")


@pytest.mark.neutral
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    pytest.importorskip("filelock")
    settings = {"name": "vit3", "tag": "x"}
    folder = run_folder.RunFolder(tmp_path / "run", settings)
    code = (
        "from training import errors\n"
        "from training.fit import run_folder\n"
        f"try: run_folder.RunFolder({str(tmp_path / 'run')!r}, {settings!r})\n"
        "except errors.UserError as error: print(error)\n"
        "else: print('opened')"
    )

    def second():
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "another process is training in" in second()
    folder.close()
    assert second() == "opened\n"
    # What is refused for another reason is not kept locked.
    (tmp_path / "run" / "settings.json").write_text("{")
    folder.metrics.write_text("{}")
    folder.weights.write_text("")
    for _ in range(2):
        with pytest.raises(UserError, match="is not JSON"):
            run_folder.RunFolder(tmp_path / "run", settings)


@pytest.mark.slow
@pytest.mark.neutral
def test_fit_on_mnist(data_dir, small_model, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    arguments = ["vit3", "--dataset=mnist", f"--data-dir={data_dir / 'tfds'}"]
    arguments += [f"--out={tmp_path / 'run'}", "--limit=2000", "--eval-limit=1000"]
    arguments += ["--epochs=8", "--batch-size=32", "--learning-rate=1e-2"]
    assert run(arguments) == 0
    m = metrics(tmp_path)
    assert m["val_accuracy"] > 0.75  # Chance is 0.1.
    assert (m["train_images"], m["split"], m["settings"]["tag"]) == (2000, "test[:1000]", "mnist")
