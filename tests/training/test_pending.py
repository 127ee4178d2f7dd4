"""Pending rows: what is listed, in which order, what fits, and what is filed."""

import dataclasses
import json
import os
import shutil
import signal
import sys
import threading
import time

import pytest

from keras_recres.zoo import sources
from training import errors, pending, recipes
from training.data import places
from training.errors import UserError
from training.jobs import pending_filing, pending_rows, pending_trainings, scheduler
from training.ledger import filed_runs, filing

pytestmark = pytest.mark.neutral


def rows_of(*names, data_dir=None, seeds=None):
    return pending_rows.rows(names, data_dir, seeds)


# --- what is pending


def test_a_data_set_is_found_without_being_read(toy_cifar, tmp_path, monkeypatch):
    place = places.find("cifar10", toy_cifar.parent)  # In a folder of the folder.
    assert place == places.Place(toy_cifar / "cifar10.npz", "cifar10", 512)
    assert places.find("cifar10", toy_cifar / "cifar10.npz") == place
    monkeypatch.setenv("KERAS_RECRES_DATA", str(toy_cifar))
    assert places.find("cifar10") == place
    assert places.find("mnist", toy_cifar) is None
    (tmp_path / "mnist.npz").write_bytes(b"no zip")
    assert places.find("mnist", tmp_path) is None


def test_prepared_folders_are_found_with_their_tags(data_dir):
    place = places.find("cifar10", data_dir)
    assert (place.tag, place.images) == ("cifar10_jpeg", 50_000)
    place = places.find("tiny_imagenet80", data_dir)
    assert (place.tag, place.images) == ("tiny_imagenet80", 40_000)


def test_the_original_cifar10_trains_the_rows_of_its_copy(toy_cifar, empty_zoo):
    rows = rows_of("vit*.cifar10_jpeg", data_dir=toy_cifar)
    assert {row.label for row in rows} == {
        f"{name}.cifar10" for name in ("vit3", "vit3_rec", "vit7", "vit7_rec", "vit7_rec_plus")
    }
    assert all(row.needs == "no result" and row.place for row in rows)
    assert rows == rows_of("vit*.cifar10", data_dir=toy_cifar)


def result(name, tag, seeds):
    filing.write_result(
        {"name": name, "tag": tag, "dataset": tag, "metric": "top1_percent"}
        | {"value": "1", "seeds": seeds, "hardware": "x", "backend": "y"}
    )


def test_a_row_needs_results_weights_and_seeds(empty_zoo, toy_cifar):
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    assert (row.label, row.needs) == ("cifar_small.cifar10", "no result")
    result("cifar_small", "cifar10", 2)
    (row,) = rows_of("cifar_small.cifar10", data_dir=toy_cifar)
    assert row.needs == "no weights"
    (empty_zoo / "weights").mkdir()
    (empty_zoo / sources.weights_file("cifar_small", "cifar10")).write_bytes(b"x")
    filing.update_manifest()
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    assert row.needs == "2 of 3 seeds filed"
    (row,) = rows_of("cifar_small", data_dir=toy_cifar, seeds=2)
    assert row.needs == ""
    # Another tag is another row, and a recipe that files no weights needs none.
    (row,) = rows_of("cifar_small", data_dir=toy_cifar / "nowhere")
    assert (row.label, row.needs, row.place) == ("cifar_small.cifar10_jpeg", "no result", None)
    row = dataclasses.replace(row, filed=3, recipe=dataclasses.replace(row.recipe, weights=False))
    assert row.needs == ""
    assert dataclasses.replace(row, exists=False).needs == "not in the zoo yet"


def test_first_results_come_before_second_seeds(empty_zoo, tmp_path):
    result("vit3", "tiny_imagenet80", 1)
    rows = rows_of("vit3*", "cifar_medium", "cifar_small", data_dir=tmp_path, seeds=2)
    trainings = [t for row in rows for t in pending_trainings.trainings(row, tmp_path)]
    order = [str(training) for training in pending_rows.by_value(trainings)]
    assert order[:8] == [
        "vit3_rec.tiny_imagenet80 seed 0",
        "cifar_medium.cifar10_jpeg seed 0",
        "cifar_small.cifar10_jpeg seed 0",
        "vit3_rec.cifar10_jpeg seed 0",
        "vit3.cifar10_jpeg seed 0",
        "vit3_rec.tiny_imagenet40 seed 0",
        "vit3.tiny_imagenet40 seed 0",
        "vit3_rec.tiny_imagenet80 seed 1",
    ]


def measured(training, backend=None, **changes):
    settings = training.settings() | ({"backend": backend} if backend else {})
    return {"val_accuracy": 0.5, "train_loss": 1.0, "settings": settings | changes}


def test_filed_trainings_of_the_same_settings_are_not_missing(empty_zoo, toy_cifar, tmp_path):
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    # Without weights the best of them must be trained here.
    row = dataclasses.replace(row, has_weights=True)
    trainings = pending_trainings.trainings(row, tmp_path)
    filed_runs.give(trainings[0], measured(trainings[0]))
    filed_runs.give(trainings[1], measured(trainings[1], "another"))
    filed_runs.file(trainings[:2])
    elsewhere = pending_trainings.trainings(row, tmp_path / "elsewhere")
    assert pending_rows.missing(row, elsewhere) == elsewhere[1:]
    assert pending_rows.missing(dataclasses.replace(row, has_weights=False), elsewhere) == elsewhere
    # In this folder the second is finished, with the other backend.
    with pytest.raises(UserError, match="set KERAS_BACKEND=another, or give another --out"):
        pending_rows.missing(row, trainings)
    assert pending_rows.missing(row, trainings, strict=False) == trainings[2:]
    filed_runs.give(trainings[2], measured(trainings[2], "another"))
    assert pending_rows.missing(row, trainings) == []


def test_a_row_of_an_earlier_recipe_is_trained_anew(empty_zoo, toy_cifar, tmp_path):
    result("cifar_small", "cifar10", 3)
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    found = pending_trainings.trainings(row, tmp_path)
    for training in found[:2]:
        earlier = measured(training, "another", learning_rate=0.5)
        filed_runs.give(training, earlier)
    filed_runs.file(found[:2])
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    assert (row.filed, row.needs) == (0, "its recipe has changed")
    elsewhere = pending_trainings.trainings(row, tmp_path / "elsewhere")
    row = dataclasses.replace(row, has_weights=True)
    assert pending_rows.missing(row, elsewhere) == elsewhere
    # Where the earlier ones lie nothing else may be trained, and nobody takes them for finished.
    assert pending_rows.missing(row, found, strict=False) == found
    with pytest.raises(UserError, match=r"/0 holds a training with .*learning_rate 0\.5, not 0"):
        pending_rows.missing(row, found)
    # One that is trained as the recipe says now takes the place of all seeds of before.
    filed_runs.give(elsewhere[0], measured(elsewhere[0]))
    filed_runs.file(elsewhere[:1], replace=True)
    assert filed_runs.read() == [elsewhere[0].metrics]
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    assert not row.outdated
    assert row.filed == 3


def test_a_row_of_another_way_of_training_is_outdated(empty_zoo, toy_cifar, tmp_path):
    result("cifar_small", "cifar10", 3)
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    training = pending_trainings.trainings(row, tmp_path)[0]
    taught = measured(training, teacher="cifar_medium")
    filed_runs.give(training, taught)
    filed_runs.file([training])
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    assert not row.outdated  # A study's, from which the row does not come.
    origin = {"backend": "y", "hardware": "x", "commit": "", "date": ""}
    filed_runs.give(training, {**taught, **origin})
    filed_runs.file([training])
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    assert (row.filed, row.needs) == (0, "its recipe has changed")
    # Both are kept: they are trainings of two forms.
    plain = pending_trainings.trainings(row, tmp_path / "plain")[0]
    filed_runs.give(plain, measured(plain))
    filed_runs.file([plain], replace=True)
    assert len(filed_runs.read()) == 2
    assert not rows_of("cifar_small", data_dir=toy_cifar)[0].outdated


@pytest.mark.parametrize(
    ("counted", "weights", "filed"), [(1, True, 3), (3, True, 0), (1, False, 0)]
)
def test_trainings_that_the_zoo_knows_make_its_row_when_they_are_more(
    empty_zoo, toy_cifar, tmp_path, monkeypatch, counted, weights, filed
):
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    found = pending_trainings.trainings(row, tmp_path / "study")
    for training in found:
        filed_runs.give(training, measured(training))
    filed_runs.file(found)
    groups = []
    monkeypatch.setattr(
        pending_filing, "_file", lambda row, group, known: groups.append(len(group)) or "filed"
    )
    row = dataclasses.replace(row, filed=counted, has_weights=weights)
    said, problems = pending_filing.file([row], tmp_path / "runs")
    assert groups == ([filed] if filed else [])
    assert (said, problems) == (["filed"] * len(groups), [])


def test_another_training_replaces_a_filed_one_only_if_asked(empty_zoo, toy_cifar, tmp_path):
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    training = pending_trainings.trainings(row, tmp_path)[0]
    whole = measured(training)
    filed_runs.give(training, whole)
    filed_runs.file([training])
    again = {**whole, "val_accuracy": 0.6}
    filed_runs.give(training, again)
    filed_runs.file([training])
    assert filed_runs.read() == [again]
    longer = {**whole, "settings": {**whole["settings"], "epochs": 40}}
    filed_runs.give(training, longer)
    with pytest.raises(UserError, match="seed 0 is filed with epochs 20, and one with 40 is not"):
        filed_runs.file([training])
    assert filed_runs.read() == [again]
    filed_runs.file([training], replace=True)
    assert filed_runs.read() == [longer]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, toy_cifar, capsys):
    (tmp_path / "out").write_text("a file")
    for more in ((), ("--list",)):
        given = [f"--data-dir={toy_cifar}", f"--out={tmp_path / 'out'}", "--names", "rrn_tanh"]
        assert errors.run(pending.main, [*more, *given]) == 2
        assert capsys.readouterr().err.endswith("/out cannot be written (File exists).\n")


@pytest.mark.slow
def test_the_list_tells_what_why_and_how_long(empty_zoo, toy_cifar, tmp_path, capsys):
    arguments = ["--list", f"--data-dir={toy_cifar}", f"--out={tmp_path}", "--names"]
    arguments += ["cifar_small*", "rrn_tanh", "mnist_resnet50_relu_he"]
    assert errors.run(pending.main, arguments) == 0
    out = capsys.readouterr().out
    for part in ("cifar_small_meta.cifar10", "0/3", "cifar_tables", "no result", "6 of 6 rows"):
        assert part in out
    assert not list(tmp_path.glob("*/0"))


# --- what fits


STAND_IN = """
import sys, time
print("epoch 1/2: loss 1  9 s  99 examples/s  1 min left", file=sys.stderr, flush=True)
print("epoch 2/2: loss 1  9 s  1,234 examples/s  0 min left", file=sys.stderr, flush=True)
time.sleep({seconds})
sys.exit({code})
"""


@pytest.fixture
def stand_in(monkeypatch, toy_cifar, tmp_path):
    """Trainings of `cifar_*` that only sleep: makes a list of them."""

    def make(*names, seconds=0, code=0):
        script = STAND_IN.format(seconds=seconds, code=code)
        monkeypatch.setattr(
            pending_trainings.Training, "command", lambda *_: [sys.executable, "-c", script]
        )
        rows = {row.name: row for row in rows_of(*names, data_dir=toy_cifar)}
        return [pending_trainings.trainings(rows[name], tmp_path)[0] for name in names]

    return make


def test_what_does_not_fit_is_passed_over_for_what_does(stand_in, monkeypatch, capsys):
    trainings = stand_in("cifar_residual", "cifar_medium", "cifar_small")
    minutes = {"cifar_residual": 30, "cifar_medium": 0.2, "cifar_small": 0.2}
    known = property(lambda self: 60 * minutes[self.name])
    monkeypatch.setattr(pending_trainings.Training, "seconds_left", known)
    outcome = scheduler.train(trainings, 1, pending._start, time.monotonic() + 50)
    assert [t.name for t in outcome.finished] == ["cifar_medium", "cifar_small"]
    assert [t.name for t in outcome.waiting] == ["cifar_residual"]
    assert "2 of 3 trainings are finished" in capsys.readouterr().err
    assert "epoch 1/2" in (trainings[1].path / scheduler.STDERR).read_text()
    # With more time than a start is worth, the most valuable is begun all the same.
    minutes["cifar_residual"] = 600
    outcome = scheduler.train(trainings[:1], 1, pending._start, time.monotonic() + 300)
    assert outcome.finished == trainings[:1]


def test_the_end_of_the_time_and_failures_are_told_apart(stand_in, monkeypatch):
    trainings = stand_in("cifar_medium", "cifar_small", seconds=60)
    monkeypatch.setattr(pending_trainings.Training, "seconds_left", 0.6)
    begin = time.monotonic()
    # Time enough to begin both, also on a machine with other work.
    outcome = scheduler.train(trainings, 2, pending._start, begin + 6)
    assert outcome.stopped == trainings
    assert time.monotonic() - begin < 30
    trainings = stand_in("cifar_medium", "cifar_small", code=3)
    outcome = scheduler.train(trainings, 2, pending._start)
    assert sorted(str(training) for training, _ in outcome.failed) == sorted(map(str, trainings))
    assert "1,234 examples/s" in outcome.failed[0][1]


def test_a_kill_keeps_what_is_done_and_ends_the_trainings(stand_in, toy_cifar, tmp_path, capsys):
    (training,) = stand_in("cifar_small", seconds=60)
    threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    begin = time.monotonic()
    arguments = [f"--data-dir={toy_cifar}", f"--out={tmp_path}", "--names=cifar_small", "--seeds=1"]
    assert errors.run(pending.main, arguments) == 130
    assert time.monotonic() - begin < 30
    err = capsys.readouterr().err
    assert f"all whole epochs are kept in {tmp_path}, the same command goes on" in err
    assert "Traceback" not in err
    assert "epoch 1/2" in (training.path / scheduler.STDERR).read_text()


def test_float32_is_float32_on_an_accelerator():
    assert scheduler.environment(1, "float32")["JAX_DEFAULT_MATMUL_PRECISION"] == "float32"
    assert "NVIDIA_TF32_OVERRIDE" not in scheduler.environment(1, "mixed_bfloat16")


def test_what_is_left_takes_as_long_as_the_last_epoch_of_the_row(empty_zoo, toy_cifar, tmp_path):
    (row,) = rows_of("cifar_small", data_dir=toy_cifar)
    training, other, *_ = pending_trainings.trainings(row, tmp_path, epochs=10)
    assert training.seconds_left is None
    (training.path / "backup").mkdir(parents=True)
    (training.path / "backup" / "training_metadata.json").write_text('{"epoch": 4}')
    (training.path / "settings.json").write_text(json.dumps(training.settings()))
    (training.path / "log.csv").write_text("epoch,seconds\n0,90\n1,30\n2,30\n3,20\n")
    assert (training.seconds_left, other.seconds_left) == (6 * 20, 10 * 20)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--names", "vitt3"], "which is not a row. Did you mean 'vit3'?"),
        (["--data-dir", "/nowhere"], "--data-dir /nowhere is not there."),
        (["--seeds=0"], "--seeds must be at least 1, found 0."),
        (["--jobs=0"], "--jobs must be at least 1, found 0."),
        (["--budget-minutes=-1"], "--budget-minutes must be from 0 to a million, found -1.0."),
        (["--list", "--collect=x"], "give only one of --list"),
        (["--collect=/nowhere"], "there is no folder /nowhere with results."),
        (["--device-pack=/proc/pack", "--names=cifar_small"], "/proc/pack cannot be written"),
        (["--device-pack=pack", "--names=vit3.tiny*"], "no pack is written"),
        (["--device-pack=pack", "--part-mib=61"], "--part-mib must be from 1 to 60, found 61."),
        (["--accelerator", "--names=cifar_small"], "there is no accelerator here, only "),
    ],
)
def test_mistakes_get_one_sentence(
    empty_zoo, toy_cifar, tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    data_dir = [] if "--data-dir" in arguments else [f"--data-dir={toy_cifar}"]
    assert errors.run(pending.main, [*arguments, *data_dir, f"--out={tmp_path}"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert sentence in line


# --- filing


def finished(training, value, backend="jax"):
    """Writes the folder of a training of vit3 on cifar10_jpeg that never was."""
    metrics = measured(training, backend) | {
        "val_accuracy": value,
        "train_loss": 1 - value,
        "split": "test",
        "epochs": 10,
        "seconds": 60,
        "train_images": 50_000,
        "overrides": {},
        "backend": backend,
        "hardware": "an accelerator",
        "commit": "abc",
        "date": "2026-01-01",
    }
    filed_runs.give(training, metrics)
    (training.path / "settings.json").write_text(json.dumps(metrics["settings"]))
    (training.path / "log.csv").write_text("epoch,loss\n0,1\n")


@pytest.mark.slow
def test_a_row_of_results_only_gets_no_weights(empty_zoo, tmp_path, monkeypatch, capsys):
    recipes.load("cifar10_vit")
    module = sys.modules["training.recipes.cifar10_vit"]
    monkeypatch.setattr(module, "WEIGHTS", False, raising=False)
    monkeypatch.setattr(module, "SEEDS", 1)
    arguments = [f"--data-dir={tmp_path}", f"--out={tmp_path / 'runs'}", "--names=vit3.cifar10*"]
    (row,) = rows_of("vit3.cifar10_jpeg", data_dir=tmp_path, seeds=3)
    first, second, third = pending_trainings.trainings(row, tmp_path / "runs")
    finished(first, 0.6)
    assert errors.run(pending.main, arguments) == 0
    assert "filed vit3.cifar10_jpeg: 60.00 % top-1, 1 of 1 seeds" in capsys.readouterr().out
    assert (empty_zoo / "logs" / "vit3.cifar10_jpeg.csv").exists()
    assert not (empty_zoo / "weights").exists()
    assert [run["settings"]["seed"] for run in filed_runs.read()] == [0]
    # Trainings that differ in more than the seed do not count together.
    finished(second, 0.8, "torch")
    assert errors.run(pending.main, [*arguments, "--seeds=3"]) == 0
    assert filing.read_results()[0]["seeds"] == "1"
    captured = capsys.readouterr()
    assert "not filed vit3.cifar10_jpeg: results.csv has 1 of it, and 1 alike" in captured.out
    assert "vit3.cifar10_jpeg waits: " in captured.err
    finished(third, 0.7)
    # The first is known from what is filed, where its folder is not.
    shutil.rmtree(first.path)
    assert errors.run(pending.main, [*arguments, "--seeds=3"]) == 0
    assert (first.path / "metrics.json").exists()
    assert "filed vit3.cifar10_jpeg: 65.00 ± 7.07 % top-1, 2 of 3 seeds" in capsys.readouterr().out
    assert [run["settings"]["seed"] for run in filed_runs.read()] == [0, 2]


@pytest.mark.slow
def test_what_is_not_filed_is_reported(empty_zoo, tmp_path, capsys):
    (row,) = rows_of("vit3.cifar10_jpeg", data_dir=tmp_path, seeds=2)
    first, second = pending_trainings.trainings(row, tmp_path / "runs")
    arguments = [f"--data-dir={tmp_path}", f"--out={tmp_path / 'runs'}", "--names=vit3.cifar10*"]
    finished(first, 0.6)
    assert errors.run(pending.main, arguments) == 2  # There are no weights to file.
    assert "vit3.cifar10_jpeg: the weights of " in capsys.readouterr().err
    assert filing.read_results() == []
    (trial, *_) = pending_trainings.trainings(row, tmp_path / "runs", epochs=1, limit=20)
    assert trial.path == tmp_path / "runs" / "trial" / row.label / "0"
    assert trial.options == ("--epochs=1", "--warmup-epochs=0.5", "--limit=20", "--eval-limit=20")
    # A trial, and a training that is not the recipe's, do not count for the row.
    finished(second, 0.7)
    for key, value in (("limit", 100), ("learning_rate", 0.5)):
        for training in (first, second):
            metrics = training.metrics
            metrics["settings"] |= {key: value}
            (training.path / "metrics.json").write_text(json.dumps(metrics))
        assert pending_filing.file([row], tmp_path / "runs") == ([], [])
        metrics["settings"]["limit"] = None
