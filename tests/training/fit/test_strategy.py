"""A training that is shared: the same numbers, one folder, and what cannot be shared."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_recres import distribute
from tests.distribute import virtual
from tests.distribute.two_processes import KIND, environments
from tests.training import small
from tests.training.fit.test_fit import metrics, run
from training.fit import callbacks, run_folder, strategy, teacher
from training.fit import loop as fit

ROOT = Path(__file__).parents[3]
# Without dropout: each process draws its own.
PROGRAM = """
import sys
from tests.distribute import virtual
virtual.make()
from tests.training import killed, small
from keras_recres.zoo import drawing
from training import errors
from training.fit import callbacks, loop as fit, models, teacher
fit.build = teacher.build = small.build_recurrent
# Both take longer than the training.
drawing.draw, models.jit_compile = lambda *args: None, lambda convolutions=False: "auto"
if sys.argv[1] == "killed":
    killed.before(callbacks.StopAtNaN, "on_train_batch_end",
                  lambda self, batch, logs=None: self._epoch == 1 and batch >= 2)
sys.exit(errors.run(fit.main, sys.argv[2:]))
"""
OPTIONS = {"epochs": 2, "limit": 128, "eval-limit": 64, "batch-size": 16}
# In two groups each process makes its own images only, where the backend lets it.
OPTIONS |= {"groups": 2, "augment": "crop", "mixup": 0.2, "erasing": 0.25}
ARGUMENTS = ["dropout=0"]


BACKEND = keras.backend.backend()
pytestmark = pytest.mark.tensorflow
KILL = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


def start(how, argv, found):
    """A process that trains, killed in the second epoch or not."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, how, *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT), **found},
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def both(how, first, second=None):
    """Two processes that train."""
    given = zip((first, second or first), environments(BACKEND), strict=True)
    started = [start(how, argv, found) for argv, found in given]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.fixture
def small_model(monkeypatch, without_xla):
    """Trains a small recurrent classifier in place of a T2T-ViT."""
    for module in (fit, teacher):
        monkeypatch.setattr(module, "build", small.build_recurrent)


@pytest.fixture
def taught(small_model, fit_arguments, tmp_path):
    """Options with a teacher to follow, and every step supervised."""
    options = {**OPTIONS, "epochs": 1, "seed": 1, "learning-rate": 1e-2}
    assert run(fit_arguments("teacher", ARGUMENTS, **options)) == 0
    how = {"teacher": tmp_path / "teacher", "distillation": 0.8, "deep-supervision": 0.5}
    return {**OPTIONS, **how}


def check_same(tmp_path, *outs):
    shared, single = (metrics(tmp_path, out) for out in outs)
    assert single["train_loss"] < 3
    for key in ("train_loss", "val_loss", "val_accuracy", "train_accuracy"):
        assert shared[key] == pytest.approx(single[key], abs=1e-5), key
    assert len(run_folder.read_log(tmp_path / outs[0] / "log.csv")) == 2


@KILL
@pytest.mark.slow
def test_two_processes_train_as_one_also_if_killed_and_the_first_writes(
    fit_arguments, taught, tmp_path
):
    argv = fit_arguments("shared", ARGUMENTS, strategy="auto", **taught)
    with both("killed", argv) as started:
        assert started[0].wait(timeout=300) == -signal.SIGKILL
    assert run_folder.read_backup(tmp_path / "shared" / "backup")[0] == 1
    with both("", argv) as started:
        errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors[0][-4000:]
    assert f"1 done before, {KIND[BACKEND]} on 2 devices" in errors[0]
    assert run(fit_arguments("single", ARGUMENTS, **taught)) == 0
    check_same(tmp_path, "shared", "single")


@KILL
@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has a process a device")
@pytest.mark.slow
def test_two_devices_of_a_process_train_as_one_also_if_killed(fit_arguments, taught, tmp_path):
    kind = {"tensorflow": "mirrored"}.get(BACKEND, "data_parallel")
    options = {**taught, "ema": 0.9}
    argv = fit_arguments("shared", ARGUMENTS, strategy=kind, **options)
    for how, code in (("killed", -signal.SIGKILL), ("", 0)):
        process = start(how, argv, virtual.environment(2))
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == code, errors[-4000:]
    assert f"1 done before, {kind} on 2 devices" in errors
    assert run(fit_arguments("single", ARGUMENTS, **options)) == 0
    check_same(tmp_path, "shared", "single")


@KILL
@pytest.mark.slow
def test_processes_that_see_other_folders_are_refused(fit_arguments, small_model, tmp_path):
    options = {**OPTIONS, "strategy": "auto"}
    here, there = (fit_arguments(out, ARGUMENTS, **options) for out in ("here", "there"))
    first = start("killed", fit_arguments("here", ARGUMENTS, **OPTIONS), {})
    first.communicate(timeout=300)
    assert run_folder.read_backup(tmp_path / "here" / "backup")[0] == 1
    with both("", here, there) as started:
        errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [2, 2], errors[0][-4000:]
    for said, done in zip(errors, (1, 0), strict=True):
        assert f"from different epochs, this one after {done}: --out must be" in said


@pytest.fixture
def three(monkeypatch):
    """Three replicas, for what is asked of them before a model is made."""
    enter = contextlib.nullcontext({"replicas": 3})
    monkeypatch.setattr(distribute.distribution, "enter", lambda kind: enter)
    monkeypatch.setattr(distribute.distribution, "KINDS", {"three": ()})


def test_an_epochs_dropout_is_its_own_and_a_processs_where_each_draws():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])

    def drawn(process, epoch=3):
        epochs = callbacks.Epochs(types.SimpleNamespace(seed=5), process)
        epochs.set_model(model)
        epochs.on_epoch_begin(epoch)
        return keras.ops.convert_to_numpy(model(np.ones((2, 64), "float32"), training=True))

    np.testing.assert_array_equal(drawn(0), drawn(0))
    assert (drawn(0) != drawn(0, epoch=4)).any()
    assert (drawn(0, epoch=5000) != drawn(0)).any()
    assert (drawn(0) != drawn(1)).any()
    second = distribute.Devices("data_parallel", replicas=2, processes=2, process=1)
    assert strategy.draws(second) == (BACKEND == "torch")


def test_accumulation_is_for_one_device_where_it_fails(fit_arguments, small_model, three, capsys):
    options = {"accumulate": 2, "batch-size": 18, "eval-limit": 63, "limit": 90, "epochs": 1}
    expected = 2 if BACKEND == "tensorflow" else 0
    assert run(fit_arguments("run", ARGUMENTS, strategy="three", **options)) == expected
    assert ("--accumulate is for one device on TensorFlow" in capsys.readouterr().err) == (
        BACKEND == "tensorflow"
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({}, r"--batch-size: a batch of 16 .* equally to 3 replicas: .* multiple, such as 15\."),
        (
            {"batch-size": 18, "eval-limit": 64},
            r"64 evaluation images .* evenly by 3 devices: --eval-limit 63 would do\.",
        ),
        (
            {"batch-size": 18, "eval-limit": 2},
            r"2 evaluation images .* evenly by 3 devices: they are too few\.",
        ),
        (
            {"batch-size": 18, "eval-limit": 63, "limit": 100},
            r"100 training images .* evenly by 3 devices: --no-keep-last, or --limit 99 would do\.",
        ),
        ({"strategy": "tree"}, r"--strategy on \w+ must be one of .*three, found 'tree'\. Did .*"),
    ],
)
@pytest.mark.neutral
def test_what_devices_cannot_share_is_one_sentence(
    fit_arguments, small_model, three, capsys, extra, message
):
    flags = ["--keep-last"] if "limit" in extra else []
    assert run([*flags, *fit_arguments("run", ARGUMENTS, **{"strategy": "three", **extra})]) == 2
    assert re.fullmatch(f"error: {message}", capsys.readouterr().err.splitlines()[-1])
