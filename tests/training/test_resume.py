"""Trainings that are killed with SIGKILL and started again end as if nothing had happened."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tests.training import killed
from training import run_folder

OPTIONS = {
    "augment": "crop,erase",
    "mixup": 0.2,
    "limit": 128,
    "epochs": 2,
    "name": "cifar_small",  # Not compiled by XLA, which would take longer.
    "learning_rate": 1e-2,
    "ema": 0.9,
}
MEASURED = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "best_val_accuracy")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_any_moment_it_ends_as_it_would_have(fit_arguments, tmp_path):
    moments = list(killed.MOMENTS)
    if keras.backend.backend() == "jax":
        # Each is a process that begins anew, which takes long.
        moments = ["in_the_second_epoch", "in_the_write_of_the_checkpoint"]
    jobs = [{"moment": None, "argv": fit_arguments("whole", [], **OPTIONS)}]
    for moment in moments:
        argv = fit_arguments(moment, [], **OPTIONS)
        jobs += [{"moment": moment, "argv": argv}, {"moment": None, "argv": argv}]
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(jobs))
    done = subprocess.run(
        [sys.executable, killed.__file__, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0] + [-9, 0] * len(moments), done.stderr
    whole = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    log = run_folder.read_log(tmp_path / "whole" / "log.csv")
    for moment in moments:
        folder = tmp_path / moment
        found = json.loads((folder / "metrics.json").read_text())
        assert {key: found[key] for key in MEASURED} == {key: whole[key] for key in MEASURED}
        for row, wanted in zip(run_folder.read_log(folder / "log.csv"), log, strict=True):
            for key in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
                assert row[key] == wanted[key], (moment, key)
        weights = "cifar_small.corners.weights.h5"
        assert same_weights(folder / weights, tmp_path / "whole" / weights), moment
        assert not (folder / "backup").exists()
        assert len(Path(folder / "log.csv").read_text().splitlines()) == 3, moment


def same_weights(one, other):
    import h5py

    def content(path):
        found = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: (
                    found.update({name: item[()].tobytes()})
                    if isinstance(item, h5py.Dataset)
                    else None
                )
            )
        return found

    found = content(one)
    return found and found == content(other)
