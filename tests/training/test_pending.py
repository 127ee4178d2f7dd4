"""Pending rows: what is listed, in which order, what fits, and the trip to another machine."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import sources
from tests.training.test_reproduce_cifar import coloured
from training import (
    collect,
    data,
    device,
    device_results,
    errors,
    filing,
    packed,
    pending,
    pending_filing,
    pending_rows,
    pending_runs,
    pieces,
    places,
    rates,
    recipes,
)
from training.errors import UserError
from training.provenance import ROOT
from training.reproduce import filed_runs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A zoo without weights and results."""
    target = tmp_path / "zoo"
    shutil.copytree(sources.data_folder() / "configs", target / "configs")
    monkeypatch.setattr(sources, "data_folder", lambda: target)
    return target


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with a packed data set that passes for CIFAR-10."""
    folder = tmp_path_factory.mktemp("data")
    packed.write(folder / "cifar10.npz", [coloured(512, 0, "train"), coloured(128, 1, "test")])
    return folder


@pytest.fixture
def short(monkeypatch):
    """The recipe of the CIFAR-10 tables, with 2 epochs and 2 seeds."""
    recipe = recipes.load("cifar_tables")
    module = sys.modules["training.recipes.cifar_tables"]
    monkeypatch.setattr(module, "SETTINGS", {**recipe.settings, "epochs": 2})
    monkeypatch.setattr(module, "SEEDS", 2)


def rows_of(*names, data_dir=None, seeds=None):
    return pending_rows.rows(names, data_dir, seeds)


# --- what is pending


def test_a_data_set_is_found_without_being_read(toy, tmp_path, monkeypatch):
    place = places.find("cifar10", toy.parent)  # In a folder of the folder.
    assert place == places.Place(toy / "cifar10.npz", "cifar10", 512)
    assert places.find("cifar10", toy / "cifar10.npz") == place
    monkeypatch.setenv("KERAS_RECRES_DATA", str(toy))
    assert places.find("cifar10") == place
    assert places.find("mnist", toy) is None
    (tmp_path / "mnist.npz").write_bytes(b"no zip")
    assert places.find("mnist", tmp_path) is None


def test_prepared_folders_are_found_with_their_tags(data_dir):
    place = places.find("cifar10", data_dir)
    assert (place.tag, place.images) == ("cifar10_jpeg", 50_000)
    place = places.find("tiny_imagenet80", data_dir)
    assert (place.tag, place.images) == ("tiny_imagenet80", 40_000)


def result(name, tag, seeds):
    filing.write_result(
        {"name": name, "tag": tag, "dataset": tag, "metric": "top1_percent"}
        | {"value": "1", "seeds": seeds, "hardware": "x", "backend": "y"}
    )


def test_a_row_needs_results_weights_and_seeds(folder, toy):
    (row,) = rows_of("cifar_small", data_dir=toy)
    assert (row.label, row.needs) == ("cifar_small.cifar10", "no result")
    result("cifar_small", "cifar10", 2)
    (row,) = rows_of("cifar_small.cifar10", data_dir=toy)
    assert row.needs == "no weights"
    (folder / "weights").mkdir()
    (folder / sources.weights_file("cifar_small", "cifar10")).write_bytes(b"x")
    filing.update_manifest()
    (row,) = rows_of("cifar_small", data_dir=toy)
    assert row.needs == "2 of 3 seeds filed"
    (row,) = rows_of("cifar_small", data_dir=toy, seeds=2)
    assert row.needs == ""
    # Another tag is another row, and a recipe that files no weights needs none.
    (row,) = rows_of("cifar_small", data_dir=toy / "nowhere")
    assert (row.label, row.needs, row.place) == ("cifar_small.cifar10_jpeg", "no result", None)
    row = dataclasses.replace(row, filed=3, recipe=dataclasses.replace(row.recipe, weights=False))
    assert row.needs == ""
    assert dataclasses.replace(row, exists=False).needs == "not in the zoo yet"


def test_first_results_come_before_second_seeds(folder, tmp_path):
    result("vit3", "tiny_imagenet80", 1)
    rows = rows_of("vit3*", "cifar_medium", "cifar_small", data_dir=tmp_path, seeds=2)
    trainings = [t for row in rows for t in pending_rows.trainings(row, tmp_path)]
    order = [str(training) for training in pending_rows.by_value(trainings)]
    assert order[:6] == [
        "vit3_rec.tiny_imagenet80 seed 0",
        "cifar_medium.cifar10_jpeg seed 0",
        "cifar_small.cifar10_jpeg seed 0",
        "vit3_rec.cifar10_jpeg seed 0",
        "vit3.cifar10_jpeg seed 0",
        "vit3_rec.tiny_imagenet80 seed 1",
    ]


def measured(training, backend=None, **changes):
    settings = training.settings() | ({"backend": backend} if backend else {})
    return {"val_accuracy": 0.5, "train_loss": 1.0, "settings": settings | changes}


def test_filed_trainings_of_the_same_settings_are_not_missing(folder, toy, tmp_path):
    (row,) = rows_of("cifar_small", data_dir=toy)
    # Without weights the best of them must be trained here.
    row = dataclasses.replace(row, has_weights=True)
    trainings = pending_rows.trainings(row, tmp_path)
    filed_runs.give(trainings[0], measured(trainings[0]))
    filed_runs.give(trainings[1], measured(trainings[1], "another"))
    filed_runs.file(trainings[:2])
    elsewhere = pending_rows.trainings(row, tmp_path / "elsewhere")
    assert pending_rows.missing(row, elsewhere) == elsewhere[1:]
    assert pending_rows.missing(dataclasses.replace(row, has_weights=False), elsewhere) == elsewhere
    # In this folder the second is finished, with the other backend.
    with pytest.raises(UserError, match="set KERAS_BACKEND=another, or give another --out"):
        pending_rows.missing(row, trainings)
    assert pending_rows.missing(row, trainings, strict=False) == trainings[2:]
    filed_runs.give(trainings[2], measured(trainings[2], "another"))
    assert pending_rows.missing(row, trainings) == []


def test_the_list_tells_what_why_and_how_long(folder, toy, tmp_path, capsys):
    arguments = ["--list", f"--data-dir={toy}", f"--out={tmp_path}", "--rate=1e12", "--names"]
    arguments += ["cifar_small*", "rrn_tanh", "mnist_resnet50_relu_he"]
    assert errors.run(pending.main, arguments) == 0
    out = capsys.readouterr().out
    for part in ("cifar_small_meta.cifar10", "0/3", "cifar_tables", "no result", "6 of 6 rows"):
        assert part in out
    assert (tmp_path / rates.FILE).exists()
    assert not list(tmp_path.glob("*/0"))


# --- what fits


class Clock:
    """Rates that are known: minutes by name."""

    def __init__(self, minutes):
        self.minutes, self.learnt = minutes, []

    def seconds(self, training):
        return 60 * self.minutes[training.name]

    def learn(self, row, speed):
        self.learnt.append((row.name, speed))


STAND_IN = """
import sys, time
print("epoch 1/2: loss 1  9 s  1,234 images/s  1 min left", file=sys.stderr, flush=True)
time.sleep({seconds})
sys.exit({code})
"""


@pytest.fixture
def stand_in(monkeypatch, toy, tmp_path):
    """Trainings of `cifar_*` that only sleep: makes a list of them."""

    def make(*names, seconds=0, code=0):
        script = STAND_IN.format(seconds=seconds, code=code)
        monkeypatch.setattr(
            pending_rows.Training, "command", lambda *_: [sys.executable, "-c", script]
        )
        rows = {row.name: row for row in rows_of(*names, data_dir=toy)}
        return [pending_rows.trainings(rows[name], tmp_path)[0] for name in names]

    return make


def test_what_does_not_fit_gives_way_to_what_does(stand_in, capsys):
    trainings = stand_in("cifar_residual", "cifar_medium", "cifar_small")
    clock = Clock({"cifar_residual": 30, "cifar_medium": 0.2, "cifar_small": 0.2})
    outcome = pending_runs.train(trainings, 1, clock, time.monotonic() + 50)
    assert [t.name for t in outcome.finished] == ["cifar_medium", "cifar_small"]
    assert [t.name for t in outcome.waiting] == ["cifar_residual"]
    assert clock.learnt == [("cifar_medium", 1234), ("cifar_small", 1234)]
    assert "2 of 3 trainings are finished" in capsys.readouterr().err
    assert "epoch 1/2" in (trainings[1].path / pending_runs.STDERR).read_text()
    # With more time than a start is worth, the most valuable is begun all the same.
    clock.minutes["cifar_residual"] = 600
    outcome = pending_runs.train(trainings[:1], 1, clock, time.monotonic() + 300)
    assert outcome.finished == trainings[:1]


def test_the_end_of_the_time_and_failures_are_told_apart(stand_in):
    trainings = stand_in("cifar_medium", "cifar_small", seconds=60)
    clock = Clock({"cifar_medium": 0.01, "cifar_small": 0.01})
    begin = time.monotonic()
    outcome = pending_runs.train(trainings, 2, clock, begin + 2)
    assert outcome.stopped == trainings
    assert time.monotonic() - begin < 30
    trainings = stand_in("cifar_medium", "cifar_small", code=3)
    outcome = pending_runs.train(trainings, 2, clock)
    assert sorted(str(training) for training, _ in outcome.failed) == sorted(map(str, trainings))
    assert "1,234 images/s" in outcome.failed[0][1]


def test_a_kill_keeps_what_is_done_and_ends_the_trainings(stand_in, toy, tmp_path, capsys):
    (training,) = stand_in("cifar_small", seconds=60)
    threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM)).start()
    begin = time.monotonic()
    arguments = [f"--data-dir={toy}", f"--out={tmp_path}", "--names=cifar_small", "--seeds=1"]
    assert errors.run(pending.main, arguments) == 130
    assert time.monotonic() - begin < 30
    err = capsys.readouterr().err
    assert f"all whole epochs are kept in {tmp_path}, the same command goes on" in err
    assert "Traceback" not in err
    assert "epoch 1/2" in (training.path / pending_runs.STDERR).read_text()


def test_float32_is_float32_on_an_accelerator():
    assert pending_runs.environment(1, "float32")["JAX_DEFAULT_MATMUL_PRECISION"] == "float32"
    assert "NVIDIA_TF32_OVERRIDE" not in pending_runs.environment(1, "mixed_bfloat16")


def test_rates_get_better(folder, toy, tmp_path):
    (row,) = rows_of("cifar_small", data_dir=toy)
    (other,) = rows_of("cifar_small_meta", data_dir=toy)
    (training, *_), (second, *_) = (
        pending_rows.trainings(r, tmp_path, epochs=10) for r in (row, other)
    )
    counted = rates.Rates(tmp_path, here="GPU")
    assert counted.on_accelerator
    assert not rates.Rates(tmp_path, here="AMD EPYC, 2 cores").on_accelerator
    assert counted.multiply_adds(row) == 2_312_592
    assert counted.is_guess(row)
    given = rates.Rates(tmp_path, given=2_312_592_000, here="GPU")
    assert given.known  # Counted once.
    expected = rates.STARTUP + rates.EVALUATION * 10 * 512 / 1000
    assert given.seconds(training) == pytest.approx(expected)
    given.learn(row, 100)
    expected = rates.STARTUP + rates.EVALUATION * 10 * 512 / 100
    assert given.seconds(training) == pytest.approx(expected)
    share = given.multiply_adds(other) / given.multiply_adds(row)
    expected = rates.STARTUP + rates.EVALUATION * 10 * 512 / 100 * share
    assert given.seconds(second) == pytest.approx(expected)
    # Half of it is done.
    (training.path / "backup").mkdir(parents=True)
    (training.path / "backup" / "training_metadata.json").write_text('{"epoch": 5}')
    expected = rates.STARTUP + rates.EVALUATION * 5 * 512 / 100
    assert given.seconds(training) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--names", "vitt3"], "which is no row. Did you mean 'vit3'?"),
        (["--data-dir", "/nowhere"], "--data-dir /nowhere is not there."),
        (["--seeds=0"], "--seeds must be at least 1, found 0."),
        (["--jobs=0"], "--jobs must be at least 1, found 0."),
        (["--rate=nan"], "--rate must be at least 1, found nan."),
        (["--budget-minutes=-1"], "--budget-minutes must be at least 0, found -1.0."),
        (["--list", "--collect=x"], "give only one of --list"),
        (["--collect=/nowhere"], "there is no folder /nowhere with results."),
        (["--device-pack=/proc/pack", "--names=cifar_small"], "/proc/pack cannot be written"),
        (["--device-pack=pack", "--names=vit3.tiny*"], "no pack is written"),
        (["--device-pack=pack", "--part-mib=61"], "--part-mib must be from 1 to 60, found 61."),
        (["--accelerator", "--names=cifar_small"], "there is no accelerator here, only "),
    ],
)
def test_mistakes_get_one_sentence(folder, toy, tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    data_dir = [] if "--data-dir" in arguments else [f"--data-dir={toy}"]
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


def test_a_row_of_results_only_gets_no_weights(folder, tmp_path, monkeypatch, capsys):
    recipes.load("cifar10_vit")
    module = sys.modules["training.recipes.cifar10_vit"]
    monkeypatch.setattr(module, "WEIGHTS", False, raising=False)
    arguments = [f"--data-dir={tmp_path}", f"--out={tmp_path / 'runs'}", "--names=vit3.cifar10*"]
    (row,) = rows_of("vit3.cifar10_jpeg", data_dir=tmp_path, seeds=3)
    first, second, third = pending_rows.trainings(row, tmp_path / "runs")
    finished(first, 0.6)
    assert errors.run(pending.main, arguments) == 0
    assert "filed vit3.cifar10_jpeg: 60.00 % top-1, 1 of 1 seeds" in capsys.readouterr().out
    assert (folder / "logs" / "vit3.cifar10_jpeg.csv").exists()
    assert not (folder / "weights").exists()
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


def test_what_is_not_filed_is_said(folder, tmp_path, capsys):
    (row,) = rows_of("vit3.cifar10_jpeg", data_dir=tmp_path, seeds=2)
    first, second = pending_rows.trainings(row, tmp_path / "runs")
    arguments = [f"--data-dir={tmp_path}", f"--out={tmp_path / 'runs'}", "--names=vit3.cifar10*"]
    finished(first, 0.6)
    assert errors.run(pending.main, arguments) == 2  # There are no weights to file.
    assert "vit3.cifar10_jpeg: the weights of " in capsys.readouterr().err
    assert filing.read_results() == []
    (trial, *_) = pending_rows.trainings(row, tmp_path / "runs", epochs=1, limit=20)
    assert trial.path == tmp_path / "runs" / "trial" / row.label / "0"
    assert trial.options == ("--epochs=1", "--warmup-epochs=0.5", "--limit=20", "--eval-limit=20")
    # A trial, and a training that is not the recipe's, are none of the row.
    finished(second, 0.7)
    for key, value in (("limit", 100), ("learning_rate", 0.5)):
        for training in (first, second):
            metrics = training.metrics
            metrics["settings"] |= {key: value}
            (training.path / "metrics.json").write_text(json.dumps(metrics))
        assert pending_filing.file([row], tmp_path / "runs") == ([], [])
        metrics["settings"]["limit"] = None


# --- archives of trainings


def half_done(runs, row, seed, epochs, finished=False, weights=b"w" * 3000, **metrics):
    """Writes the folder of a training that never was."""
    path = runs / row / str(seed)
    (path / "backup").mkdir(parents=True)
    name, _, tag = row.partition(".")
    settings = {"name": name, "tag": tag, "seed": seed, "epochs": 9}
    (path / "settings.json").write_text(json.dumps(settings))
    (path / "log.csv").write_text("epoch,val_accuracy,images_per_second\n0,0.25,1000\n")
    (path / "backup" / "training_metadata.json").write_text(json.dumps({"epoch": epochs}))
    (path / "backup" / "latest.weights.h5").write_bytes(weights)
    if finished:
        (path / "metrics.json").write_text(json.dumps({"settings": settings, **metrics}))
        (path / f"{row}.weights.h5").write_bytes(weights)
    return path


def files(path):
    return sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())


def test_finished_trainings_travel_with_the_best_weights_and_others_to_go_on(tmp_path):
    runs, out, home = tmp_path / "runs", tmp_path / "out", tmp_path / "home"
    half_done(runs, "vit3.mnist", 0, 9, True, train_loss=0.3)
    half_done(runs, "vit3.mnist", 1, 9, True, train_loss=0.5, train_set_loss=0.2)
    half_done(runs, "mnist_resnet50_relu_he.mnist", 0, 9, True, train_loss=0.1)
    half_done(runs, "vit7.mnist", 0, 4)
    said = list(device_results.pack(runs, out))
    assert said[0].startswith("4 trainings are in ")
    assert files(out) == ["manifest.json", "results.zip.000"]
    taken, kept = collect.collect(out, home)
    assert sorted(taken) == sorted(
        ["vit3.mnist/0", "vit3.mnist/1", "mnist_resnet50_relu_he.mnist/0", "vit7.mnist/0"]
    )
    assert kept == []
    plain = ["log.csv", "metrics.json", "settings.json"]
    assert files(home / "vit3.mnist" / "0") == plain
    assert files(home / "vit3.mnist" / "1") == [*plain, "vit3.mnist.weights.h5"]
    assert files(home / "mnist_resnet50_relu_he.mnist" / "0") == plain
    half = ["backup/latest.weights.h5", "backup/training_metadata.json", "log.csv"]
    assert files(home / "vit7.mnist" / "0") == [*half, "settings.json"]
    lines = list(device_results.tell(runs))
    assert "vit7.mnist seed 0: 4 of 9 epochs, accuracy 0.2500, 1,000 images/s" in lines

    # What is further replaces what is less far, and nothing else does.
    assert collect.collect(out, home)[0] == []
    shutil.rmtree(runs / "vit7.mnist")
    half_done(runs, "vit7.mnist", 0, 9, True, train_loss=1)
    device_results.pack(runs, out)
    assert collect.collect(out, home)[0] == ["vit7.mnist/0"]
    assert files(home / "vit7.mnist" / "0") == [*plain, "vit7.mnist.weights.h5"]
    shutil.rmtree(runs / "vit7.mnist")
    half_done(runs, "vit7.mnist", 0, 8)
    device_results.pack(runs, out)
    assert collect.collect(out, home)[0] == []
    assert (home / "vit7.mnist" / "0" / "metrics.json").exists()


def test_archives_keep_to_their_limits_and_bring_new_things_first(tmp_path, monkeypatch):
    runs, out, brought = tmp_path / "runs", tmp_path / "out", tmp_path / "brought.json"
    noise = np.random.default_rng(0).bytes(100_000)
    for seed in range(3):
        half_done(runs, "vit3.mnist", seed, 1, weights=noise)
    monkeypatch.setattr(device_results, "PIECE", 30_000)
    said = device_results.pack(runs, out, brought, total=250_000)
    assert "left out, since 0 MiB is the limit: vit3.mnist/2" in said[1]
    sizes = [path.stat().st_size for path in out.glob("results.zip.*")]
    assert max(sizes) == 30_000
    assert sum(sizes) < 250_000
    assert sorted(collect.collect(out, tmp_path / "home")[0]) == ["vit3.mnist/0", "vit3.mnist/1"]
    device_results.pack(runs, out, brought, total=250_000)
    assert collect.collect(out, tmp_path / "home")[0] == ["vit3.mnist/2"]


def spoil_a_piece(out):
    path = out / "results.zip.000"
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def spoil_the_manifest(out, change):
    manifest = json.loads((out / "manifest.json").read_text())
    change(manifest)
    (out / "manifest.json").write_text(json.dumps(manifest))


def other_archive(out, write):
    """Puts another zip in the place of the archive, with a manifest that is right."""
    for path in out.iterdir():
        path.unlink()
    with zipfile.ZipFile(out / "results.zip", "w") as outer:
        write(outer)
    whole = pieces.cut(out / "results.zip", iter([(out, 10**6)]))
    manifest = {"format": device_results.FORMAT, "files": [whole]}
    (out / "manifest.json").write_text(json.dumps(manifest))


def with_file(name, link=False):
    """A training with a file of another kind."""

    def write(outer):
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o120777 if link else 0o644) << 16
        with outer.open("vit3.mnist/0.zip", "w") as file, zipfile.ZipFile(file, "w") as inner:
            inner.writestr(info, "/etc/passwd")

    return write


SPOILT = {
    "corrupt": (spoil_a_piece, "is corrupt"),
    "short": (lambda out: (out / "results.zip.000").write_bytes(b"PK"), "is corrupt"),
    "absent": (lambda out: (out / "results.zip.000").unlink(), "has no file results.zip.000"),
    "no manifest": (lambda out: (out / "manifest.json").unlink(), "has no manifest.json"),
    "no json": (lambda out: (out / "manifest.json").write_text("{"), "is no manifest"),
    "a list": (lambda out: (out / "manifest.json").write_text("[]"), "is no manifest"),
    "format": (lambda out: spoil_the_manifest(out, lambda m: m.update(format="x")), "format 'x'"),
    "path": (
        lambda out: spoil_the_manifest(out, lambda m: m["files"][0].update(name="../x")),
        "names '../x', which is no plain file name",
    ),
    "whole": (
        lambda out: spoil_the_manifest(out, lambda m: m["files"][0].update(sha256="0")),
        "has the SHA-256",
    ),
    "row": (
        lambda out: other_archive(out, lambda outer: outer.writestr("../x/0.zip", "x")),
        "has '../x/0.zip', which is no training",
    ),
    "no zip": (
        lambda out: other_archive(out, lambda outer: outer.writestr("vit3.mnist/0.zip", "x")),
        "is no archive of trainings",
    ),
    "climbs": (lambda out: other_archive(out, with_file("../../x")), "has '../../x', not a file"),
    "absolute": (lambda out: other_archive(out, with_file("/tmp/x")), "has '/tmp/x', not a file"),
    "link": (lambda out: other_archive(out, with_file("log.csv", link=True)), "has 'log.csv', not"),
    "another": (
        lambda out: other_archive(out, with_file("log.csv")),
        "the training vit3.mnist/0 says in its settings that it is None.None/None",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_spoilt_results_are_refused_whole(how, tmp_path, capsys):
    runs, out, home = tmp_path / "runs", tmp_path / "out", tmp_path / "home"
    half_done(runs, "vit3.mnist", 0, 9, True, train_loss=0.3)
    device_results.pack(runs, out)
    spoil, sentence = SPOILT[how]
    spoil(out)
    arguments = [f"--collect={out}", f"--out={home}", "--names=vit3"]
    assert errors.run(pending.main, arguments) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
    assert not home.exists() or not list(home.iterdir())


# --- the whole trip

HIDE_TENSORFLOW = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    if name.partition(".")[0] in ("tensorflow", "tensorflow_datasets"):
        return None
    return find(name, path, target)


PathFinder.find_spec = find_spec
"""


def other_backend():
    """A backend to train with where TensorFlow is not; torch begins sooner than JAX compiles."""
    for name in ("torch", "jax"):
        try:
            __import__(name)
        except ImportError:
            continue
        return name
    return pytest.skip("neither torch nor jax is installed")


def clean_copy(target):
    """What travels of the working tree, and a recipe that is done soon."""
    ignore = shutil.ignore_patterns("__pycache__", "figures")
    for name in ("keras_recres", "training"):
        shutil.copytree(ROOT / name, target / name, ignore=ignore)
    shutil.copytree(ROOT / "zoo" / "configs", target / "zoo" / "configs")
    path = target / "training" / "recipes" / "cifar_tables.py"
    text = path.read_text(encoding="utf-8")
    changed = text.replace('"epochs": 20', '"epochs": 2').replace("SEEDS = 3", "SEEDS = 2")
    assert changed.count("SEEDS = 2") == changed.count('"epochs": 2,') == 1
    path.write_text(changed, encoding="utf-8")


@pytest.fixture
def machine(tmp_path):
    """Another machine: a clean copy of the working tree, no TensorFlow; runs a part of a pack."""
    copy, hidden = tmp_path / "copy", tmp_path / "hidden"
    clean_copy(copy)
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDE_TENSORFLOW)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS")}
    environment |= {"PYTHON": sys.executable, "PYTHONPATH": str(hidden)}
    environment |= {"OUT": str(tmp_path / "came back"), "CUDA_VISIBLE_DEVICES": ""}

    def call(part, *options):
        carried = copy / "runs" / "device" / part.name
        shutil.copytree(part, carried)
        command = ["bash", str(carried / "run.sh"), f"--stage={tmp_path / 'stage'}", *options]
        return subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, check=False
        )

    return call


def test_a_row_is_trained_elsewhere_without_tensorflow_and_filed_here(
    folder, short, toy, machine, tmp_path, capsys
):
    backend, out, pack = other_backend(), tmp_path / "runs", tmp_path / "pack"
    common = [f"--data-dir={toy}", f"--out={out}", "--names=cifar_small"]
    arguments = [*common, f"--device-pack={pack}", "--no-wheels", "--part-mib=1"]
    assert errors.run(pending.main, [*arguments, f"--backend-there={backend}"]) == 0
    parts = sorted(path for path in pack.iterdir() if path.is_dir())
    assert len(parts) >= 2
    assert all(sum(f.stat().st_size for f in part.iterdir()) <= 1 << 20 for part in parts)
    assert f"bash PACK/{len(parts)}/run.sh --minutes 9" in (pack / "README.md").read_text()

    # The parts are brought one by one; the last one makes the data set whole.
    for part in parts[:-1]:
        done = machine(part, "--minutes=0")
        assert done.returncode == 0, done.stderr
        assert "cifar10.npz is not whole yet: cifar10.npz.00" in done.stdout
    options = ["--minutes=5", "--jobs=2", "--cpu", "--names", "cifar_small"]
    done = machine(parts[-1], *options)
    assert done.returncode == 0, done.stderr
    assert "2 trainings are in" in done.stdout
    assert done.stdout.count("finished, accuracy") == 2

    # They come back and are filed.
    arguments = [*common, f"--collect={tmp_path / 'came back'}"]
    capsys.readouterr()
    assert errors.run(pending.main, arguments) == 0
    said = capsys.readouterr().out
    assert "2 trainings taken" in said
    assert "filed cifar_small.cifar10: " in said
    rows = {row["metric"]: row for row in filing.read_results()}
    assert rows.keys() == {"top1_percent", "best_of_2_top1_percent"}
    runs = [json.loads((out / f"cifar_small.cifar10/{i}/metrics.json").read_text()) for i in (0, 1)]
    mean = 100 * np.mean([run["val_accuracy"] for run in runs])
    row = rows["top1_percent"]
    assert float(row["value"]) == pytest.approx(mean, abs=0.006)
    assert (row["seeds"], row["backend"]) == ("2", backend)
    assert row["commit"]
    assert all(run["recipe"] == "cifar_tables" for run in runs)
    assert len(filed_runs.read()) == 2

    # The weights are those of the best seed, and give here what they gave there.
    best = min(runs, key=lambda run: run["train_set_loss"])
    images = data.load("cifar10", "test", toy / "cifar10.npz")
    model = zoo.load("cifar_small.cifar10", offline=True)
    logits = keras.ops.convert_to_numpy(model(model.preprocess(images.images)))
    assert (logits.argmax(1) == images.labels).mean() == pytest.approx(best["val_accuracy"])

    # Nothing is pending now, and taking the results again changes nothing.
    before = (folder / "results.csv").read_text()
    assert errors.run(pending.main, arguments) == 0
    assert "2 were there already" in capsys.readouterr().out
    assert errors.run(pending.main, common) == 0
    assert "nothing to train" in capsys.readouterr().err
    assert (folder / "results.csv").read_text() == before


def test_half_done_trainings_go_there_again(folder, toy, tmp_path):
    out, pack, stage = tmp_path / "runs", tmp_path / "pack", tmp_path / "stage"
    (row,) = rows_of("cifar_small", data_dir=toy)
    for training, backend in zip(pending_rows.trainings(row, out), ("jax", "torch"), strict=False):
        path = half_done(out, row.label, training.seed, 3)
        settings = training.settings() | {"backend": backend}
        (path / "settings.json").write_text(json.dumps(settings))
    arguments = [f"--data-dir={toy}", f"--out={out}", f"--device-pack={pack}", "--no-wheels"]
    arguments += ["--names=cifar_small", "--part-mib=40", "--backend-there=jax"]
    for _ in range(2):  # A pack takes the place of an earlier one.
        assert errors.run(pending.main, arguments) == 0
    assert [path.name for path in pack.iterdir() if path.is_dir()] == ["1"]
    arguments = [f"--part={pack / '1'}", f"--stage={stage}", "--minutes=0"]
    assert errors.run(device.main, [*arguments, f"--results={tmp_path / 'out'}"]) == 0
    assert [p.name for p in (stage / "runs" / row.label).iterdir()] == ["0"]
    assert device_results.Folder(stage / "runs" / row.label / "0").epochs == 3
    # The counts of multiply-adds go along, so that nothing is built there to estimate.
    assert rates.Rates(stage / "runs", here="GPU").known
    # Its backup's own copies stay behind, unless what they are copies of was not written whole.
    for size, copies in ((3000, False), (2999, True)):
        backup = stage / "runs" / row.label / "0" / "backup"
        (backup / "latest.weights.h5.bkp").write_bytes(b"w" * 3000)
        (backup / "latest.weights.h5").write_bytes(b"w" * size)
        device_results.pack(stage / "runs", tmp_path / "o")
        collect.collect(tmp_path / "o", tmp_path / f"home {size}")
        found = tmp_path / f"home {size}" / row.label / "0" / "backup" / "latest.weights.h5.bkp"
        assert found.exists() == copies

    # And it comes back, with nothing carried, as far as it is.
    assert errors.run(device.main, [arguments[1], "--minutes=0", f"--results={tmp_path}/o"]) == 0
    assert collect.collect(tmp_path / "o", tmp_path / "home") == ([f"{row.label}/0"], [])


def test_wheels_that_cannot_be_fetched_are_one_sentence(folder, toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    arguments = [f"--device-pack={tmp_path / 'pack'}", f"--data-dir={toy}", "--names=cifar_small"]
    assert errors.run(pending.main, [*arguments, f"--out={tmp_path}", "--part-mib=40"]) == 2
    err = capsys.readouterr().err
    assert f"pip could not fetch keras=={keras.__version__}" in err
    assert "give --no-wheels" in err
    assert err.count("\n") == 1


def test_a_part_without_the_others_is_one_sentence(tmp_path, capsys):
    assert errors.run(device.main, [f"--stage={tmp_path}"]) == 2
    assert "has no manifest.json: give the folder that has it" in capsys.readouterr().err


def test_changed_code_is_told_in_the_commit(tmp_path, monkeypatch):
    a = device.parser().parse_args([f"--stage={tmp_path}"])
    manifest = {"commit": "abc", "code": device.code_digest(), "backend": "jax"}
    assert device.environment_of(a, manifest)["KERAS_RECRES_COMMIT"] == "abc"
    monkeypatch.setattr(device, "code_digest", lambda: "other")
    assert device.environment_of(a, manifest)["KERAS_RECRES_COMMIT"] == "abc-dirty"
