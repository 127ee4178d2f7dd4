"""Trainings that are killed with SIGKILL and started again end as if nothing had happened."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from tests.training import killed
from tests.training.pictures import VIT
from training.fit import run_folder

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
# Those of the zoo: arguments of the builder, options, flags.
NETWORKS = {
    # Dropout in the tokens, several steps, bfloat16.
    "vit3_rec": ([*VIT, "steps=3"], {"precision": "mixed_bfloat16"}, []),
    # Moving statistics, spatial dropout, a last batch that is smaller.
    "cifar_small": ([], {"batch_size": 24}, ["--keep-last"]),
}
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_it_would_have(fit_arguments, tmp_path):
    moments = list(killed.MOMENTS)
    if keras.backend.backend() == "jax":
        # Each is a process that begins anew, which takes long.
        moments = ["in_the_second_epoch", "in_the_write_of_the_checkpoint"]
    arguments = {name: fit_arguments(name, [], **OPTIONS) for name in ["whole", *moments]}
    train_and_kill(arguments, tmp_path, network="small")
    assert_alike(arguments, tmp_path, "cifar_small.corners.weights.h5")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.slow
def test_networks_of_the_zoo_go_on_as_if_nothing_had_happened(name, fit_arguments, tmp_path):
    if name == "vit3_rec" and keras.backend.backend() != "torch":
        pytest.skip("XLA compiles three trainings of it for minutes")
    model_arguments, changes, flags = NETWORKS[name]
    options = {**OPTIONS, **changes, "name": name, "limit": 64}
    arguments = {
        out: [*fit_arguments(out, model_arguments, **options), *flags]
        for out in ("whole", "in_the_second_epoch")
    }
    train_and_kill(arguments, tmp_path)
    assert_alike(arguments, tmp_path, f"{name}.corners.weights.h5")


def train_and_kill(arguments, tmp_path, **more):
    """Runs the first command line, and the others, killed at the moment of their name, twice."""
    jobs = []
    for moment, argv in arguments.items():
        if moment != "whole":
            jobs.append({"moment": moment, "argv": argv, **more})
        jobs.append({"moment": None, "argv": argv, **more})
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(jobs))
    done = subprocess.run(
        [sys.executable, killed.__file__, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    wanted = [0] + [-9, 0] * (len(arguments) - 1)
    assert json.loads(done.stdout.splitlines()[-1]) == wanted, done.stderr


def assert_alike(arguments, tmp_path, weights):
    """All folders hold what the first one does."""
    whole = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    log = run_folder.read_log(tmp_path / "whole" / "log.csv")
    for moment in list(arguments)[1:]:
        folder = tmp_path / moment
        found = json.loads((folder / "metrics.json").read_text())
        assert {key: found[key] for key in MEASURED} == {key: whole[key] for key in MEASURED}
        for row, wanted in zip(run_folder.read_log(folder / "log.csv"), log, strict=True):
            for key in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
                assert row[key] == wanted[key], (moment, key)
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
