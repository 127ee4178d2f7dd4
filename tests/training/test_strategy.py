"""A training that is shared: the same numbers, one folder, and what cannot be shared."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_recres import distribute
from tests.distribute.two_processes import KIND, environments
from tests.training.test_fit import metrics, run
from training import run_folder

ROOT = Path(__file__).parents[2]
# Without dropout: each process draws its own.
PROGRAM = """
import sys
from tests.training import killed, small
from training import callbacks, errors, fit
fit.build = small.build
if sys.argv[1] == "killed":
    killed.before(callbacks.StopAtNaN, "on_train_batch_end",
                  lambda self, batch, logs=None: self._epoch == 1 and batch >= 2)
sys.exit(errors.run(fit.main, sys.argv[2:]))
"""
OPTIONS = {"epochs": 2, "limit": 128, "eval-limit": 64, "batch-size": 16}
# In two groups each process makes its own images only, where the backend lets it.
OPTIONS |= {"groups": 2, "augment": "crop", "mixup": 0.2, "erasing": 0.25}
ARGUMENTS = ["dropout=0"]


@contextlib.contextmanager
def both(how, argv):
    """Two processes that train, killed in the second epoch or not."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, how, *argv],
            env={**os.environ, "PYTHONPATH": str(ROOT), **found},
            stderr=subprocess.PIPE,
            text=True,
        )
        for found in environments(keras.backend.backend())
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_two_processes_train_as_one_also_if_killed_and_the_first_writes(
    fit_arguments, small_model, tmp_path
):
    argv = fit_arguments("shared", ARGUMENTS, strategy="auto", **OPTIONS)
    with both("killed", argv) as started:
        assert started[0].wait(timeout=300) == -signal.SIGKILL
    assert run_folder.read_backup(tmp_path / "shared" / "backup")[0] == 1
    with both("", argv) as started:
        errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors[0][-4000:]
    assert f"1 done before, {KIND[keras.backend.backend()]} on 2 devices" in errors[0]
    assert run(fit_arguments("single", ARGUMENTS, **OPTIONS)) == 0
    shared, single = (metrics(tmp_path, out) for out in ("shared", "single"))
    assert single["train_loss"] < 3
    for key in ("train_loss", "val_loss", "val_accuracy", "train_accuracy"):
        assert shared[key] == pytest.approx(single[key], abs=1e-5), key
    assert len(run_folder.read_log(tmp_path / "shared" / "log.csv")) == 2


@pytest.fixture
def three(monkeypatch):
    """Three replicas, for what is asked of them before a model is made."""
    enter = contextlib.nullcontext({"replicas": 3})
    monkeypatch.setattr(distribute.distribution, "enter", lambda kind: enter)
    monkeypatch.setattr(distribute.distribution, "KINDS", {"three": ()})


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
        ({"strategy": "tree"}, r"--strategy tree: `kind` on \w+ must be one of .*'three'.*"),
    ],
)
def test_what_devices_cannot_share_is_one_sentence(
    fit_arguments, small_model, three, capsys, extra, message
):
    flags = ["--keep-last"] if "limit" in extra else []
    assert run([*flags, *fit_arguments("run", ARGUMENTS, **{"strategy": "three", **extra})]) == 2
    assert re.fullmatch(f"error: {message}", capsys.readouterr().err.splitlines()[-1])
