"""A training that is shared: the same numbers, one folder, and what cannot be shared."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_recres import distribute
from tests.training.test_fit import metrics, run
from training import run_folder

ROOT = Path(__file__).parents[2]
# Without dropout: each process draws its own.
PROGRAM = """
import sys
from tests.training import small
from training import errors, fit
fit.build = small.build
sys.exit(errors.run(fit.main, sys.argv[1:]))
"""
OPTIONS = {"epochs": 2, "limit": 128, "eval-limit": 64, "batch-size": 16}
ARGUMENTS = ["dropout=0"]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")
def test_two_workers_train_as_one_and_the_first_writes(fit_arguments, small_model, tmp_path):
    with socket.socket() as a, socket.socket() as b:
        for s in (a, b):
            s.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in (a, b)]
    argv = fit_arguments("shared", ARGUMENTS, strategy="auto", **OPTIONS)
    started = []
    for i in range(2):
        cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": i}}
        env = {**os.environ, "TF_CONFIG": json.dumps(cluster), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM, *argv]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    try:
        errors = [process.communicate(timeout=300)[1] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], errors[0][-4000:]
    assert "multi_worker on 2 devices" in errors[0]
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
        ({"strategy": "tree"}, r"--strategy tree: `kind` on \w+ must be one of .*'three'.*"),
    ],
)
def test_what_devices_cannot_share_is_one_sentence(
    fit_arguments, small_model, three, capsys, extra, message
):
    assert run(fit_arguments("run", ARGUMENTS, **{"strategy": "three", **extra})) == 2
    assert re.fullmatch(f"error: {message}", capsys.readouterr().err.splitlines()[-1])
