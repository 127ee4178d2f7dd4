"""The CIFAR-10 tables: what one training measures, resuming, tables, filing, mistakes."""

import argparse
import csv
import json
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import sources
from tests.training.pictures import png
from training import data, errors
from training.data import packed
from training.fit import loop as fit
from training.fit import run_folder, watchers
from training.jobs import board, many_runs, scheduler
from training.ledger import filed_runs, filing
from training.ledger.summary import FINAL, Summary
from training.provenance import ROOT
from training.studies import __main__ as reproduce
from training.studies import cifar_tables

pytestmark = pytest.mark.neutral

RECIPE = "--recipe=cifar_tables"
CLASSES = tuple(f"class {i}" for i in range(10))
# Multiples of the batch size: each other size of a batch is compiled anew.
TRAIN, TEST, EXACT = 512, 128, 128


def coloured(count, seed, split, dataset="cifar10"):
    """Noisy images whose colour and brighter half are the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    files = []
    for label in labels:
        image = rng.normal(90, 25, (32, 32, 3))
        image[..., label % 5 // 2] += 60 * (1 + label % 5 % 2)
        image[16 * (label // 5) : 16 * (label // 5) + 16] += 50
        files.append(png(np.clip(image, 0, 255).astype(np.uint8)))
    return packed.Encoded(files, labels, CLASSES, dataset, split, 3)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with a packed data set that passes for CIFAR-10, and its exact part."""
    folder = tmp_path_factory.mktemp("data")
    packed.write(folder / "cifar10.npz", [coloured(TRAIN, 0, "train"), coloured(TEST, 1, "test")])
    exact = coloured(EXACT, 1, "test", watchers.EXACT)
    packed.write(folder / f"{watchers.EXACT}.npz", [exact])
    return folder / "cifar10.npz"


def command(toy, out, *options, name="cifar_small"):
    return [name, f"--data-dir={toy}", f"--out={out}", "--seed=1", RECIPE, *options]


def read(path):
    return json.loads((path / "metrics.json").read_text())


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    """A whole training, never interrupted."""
    out = tmp_path_factory.mktemp("runs") / "cifar_small" / "1"
    assert errors.run(fit.main, command(toy, out, "--epochs=4")) == 0
    return out


@pytest.mark.slow
def test_a_training_learns_and_measures_the_training_set_and_the_exact_part(trained, toy):
    m = read(trained)
    # Ten classes: chance is a tenth.
    assert m["train_accuracy"] > 0.6
    assert m["best_val_accuracy"] >= m["val_accuracy"]
    assert (m["train_images"], m["eval_images"], m["exact_images"]) == (TRAIN, TEST, EXACT)
    assert m["settings"]["tag"] == "cifar10"

    model = zoo.build("cifar_small", tag="cifar10")
    model.load_weights(trained / "cifar_small.cifar10.weights.h5")
    images = data.load("cifar10", "train", toy)
    logits = model.predict(model.preprocess(images.images), verbose=0).astype("float64")
    chosen = np.take_along_axis(logits, images.labels[:, None], axis=1)[:, 0]
    loss = np.logaddexp.reduce(logits, axis=1) - chosen
    assert m["train_set_loss"] == pytest.approx(loss.mean(), abs=1e-4)
    assert m["train_set_accuracy"] == pytest.approx((logits.argmax(1) == images.labels).mean())
    exact = data.load(watchers.EXACT, "test", toy.parent / f"{watchers.EXACT}.npz")
    chosen = model.predict(model.preprocess(exact.images), verbose=0).argmax(1)
    assert m["exact_accuracy"] == pytest.approx((chosen == exact.labels).mean())


@pytest.mark.slow
def test_the_recipe_is_the_papers(trained):
    settings = read(trained)["settings"]
    expected = {
        "batch_size": 128,
        "learning_rate": 1e-3,
        "schedule": "constant",
        "warmup_epochs": 0,
        "weight_decay": 0,
        "epsilon": 1e-8,
        "label_smoothing": 0,
        "augment": "",
        "mixup": 0,
        "keep_last": True,
        "precision": "float32",
    }
    assert {key: settings[key] for key in expected} == expected
    rows = run_folder.read_log(trained / "log.csv")
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3] * 4)
    assert {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"} <= rows[0].keys()
    pixels = np.array([[[0, 127.5, 255]]], "float32")
    normal = zoo.info("cifar_small").preprocessing_of("cifar10").normalize(pixels)
    np.testing.assert_allclose(normal, [[[-1, 0, 1]]], atol=1e-6)


@pytest.mark.slow
def test_a_killed_training_goes_on_as_the_uninterrupted_one(trained, toy, tmp_path):
    out = tmp_path / "run"
    options = command(toy, out, "--epochs=4")
    process = subprocess.Popen(
        [sys.executable, "-m", "training.fit", *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The backup of an epoch is written after its line: in the third the second is whole.
    lines = iter(process.stderr)
    assert any("epoch 3/4" in line for line in lines)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "metrics.json").exists()
    assert errors.run(fit.main, options) == 0
    whole, parts = read(trained), read(out)
    for key in ("train_loss", "val_loss", "val_accuracy", "train_set_loss", "exact_accuracy"):
        assert parts[key] == pytest.approx(whole[key], abs=1e-4), key
    assert parts["epochs"] == 4


def test_the_last_batch_is_kept(toy):
    images = data.load("cifar10", "train", toy, limit=300)
    batches = data.Batches(images, 128, training=True, one_hot=True, keep_last=True)
    sizes = [len(batches[i][1]) for i in range(len(batches))]
    assert sizes == [128, 128, 44]
    assert batches.num_images == 300
    assert np.concatenate([batches[i][1] for i in range(3)]).sum(0).tolist() == [30] * 10
    assert data.Batches(images, 128, training=True).num_images == 256


@pytest.mark.slow
def test_the_exact_part_is_found_beside_the_data_set(data_dir):
    pytest.importorskip("tensorflow_datasets")
    exact = watchers.exact_part(data_dir / "tfds_cifar10_jpeg")
    assert exact.images.shape == (1017, 32, 32, 3)
    assert exact.dataset == watchers.EXACT
    assert watchers.exact_part(data_dir / "tfds" / "mnist") is None


@pytest.mark.parametrize("shape", [(3,), (4, 3), (5, 4, 3), (2, 5, 4, 3), (0, 5, 4, 3)])
def test_rows_of_pixels_are_normalised_as_pixels_are(shape):
    p = zoo.Preprocessing(scale=1 / 255, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    x = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    expected = (x * (1 / 255) - np.float32(p.mean)) / np.float32(p.std)
    normal = p.normalize(x)
    assert normal.dtype == np.float32
    np.testing.assert_allclose(normal, expected, rtol=1e-5, atol=1e-6)


def prepare(out, name, seed, last, best, exact, **settings):
    """Writes the metrics.json of a training that never was."""
    folder = out / name / str(seed)
    folder.mkdir(parents=True)
    metrics = {
        "val_accuracy": last,
        "best_val_accuracy": best,
        "exact_accuracy": exact,
        "exact_images": 1017,
        "epochs": 20,
        "settings": {
            "tag": "cifar10_jpeg",
            "epochs": 20,
            "limit": None,
            "precision": "float32",
            **settings,
        },
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.mark.slow
def test_the_tables_have_means_over_seeds_beside_the_printed_numbers(tmp_path, capsys):
    for seed, last in enumerate((0.70, 0.71, 0.73)):
        prepare(tmp_path, "cifar_small", seed, last, last + 0.01, last - 0.05)
    prepare(tmp_path, "cifar_small_metahead", 0, 0.715, 0.72, 0.68)
    arguments = ["cifar_tables", "--report", "--names", "cifar_small*", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, arguments) == 0
    out = capsys.readouterr().out
    assert "71.33 ± 1.53" in out
    assert "the test set chose the epoch" in out.replace("\n", " ")
    with open(tmp_path / "tables.csv", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert list(rows) == [cifar_tables.name_of("small", v) for v in cifar_tables.VARIANTS]
    row = rows["cifar_small"]
    assert float(row["last_percent"]) == pytest.approx(71.3333, abs=1e-3)
    assert float(row["last_std"]) == pytest.approx(np.std([70, 71, 73], ddof=1), abs=1e-3)
    assert float(row["best_percent"]) == pytest.approx(72.3333, abs=1e-3)
    assert float(row["exact_percent"]) == pytest.approx(66.3333, abs=1e-3)
    assert row["last_by_seed"] == "70.00 71.00 73.00"
    assert (row["parameters"], row["multiply_adds"], row["printed_percent"], row["seeds"]) == (
        "88170",
        "2312592",
        "72.8",
        "3",
    )
    single, absent = rows["cifar_small_metahead"], rows["cifar_small_meta"]
    assert (single["last_percent"], single["last_std"]) == ("71.5000", "")
    assert (absent["last_percent"], absent["seeds"]) == ("", "0")
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert (
        "| cifar_small | 88,170 | 2,312,592 | 72.80 | 72.33 ± 1.53 | 71.33 ± 1.53 | "
        "66.33 ± 1.53 | 3 |" in text
    )
    assert "| cifar_small_meta | 84,126 | 1,288,592 | 70.39 | pending |" in text
    assert "not the original pixels" in text
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("other", [{"limit": 100}, {"backend": "another"}])
def test_what_was_trained_otherwise_is_refused_in_a_table(tmp_path, capsys, other):
    prepare(tmp_path, "cifar_small", 0, 0.7, 0.7, 0.7)
    prepare(tmp_path, "cifar_small", 1, 0.7, 0.7, 0.7, **other)
    arguments = ["cifar_tables", "--report", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, arguments) == 2
    assert "can't stand in one table" in capsys.readouterr().err


@pytest.mark.slow
def test_filing_takes_the_seed_of_lowest_loss_on_the_training_set(
    trained, tmp_path, monkeypatch, capsys
):
    target = tmp_path / "zoo"
    shutil.copytree(sources.data_folder() / "configs", target / "configs")
    monkeypatch.setattr(sources, "data_folder", lambda: target)
    out = tmp_path / "runs"
    better = shutil.copytree(trained, out / "cifar_small" / "0")
    worse = shutil.copytree(trained, out / "cifar_small" / "1")
    metrics = read(worse)
    metrics["settings"]["seed"] = 0
    (better / "metrics.json").write_text(json.dumps(metrics))
    metrics["settings"]["seed"] = 1
    # The better one on the test set is the worse one on the training set.
    metrics |= {"train_set_loss": metrics["train_set_loss"] + 1, "train_loss": 0.0}
    metrics["val_accuracy"] -= 0.1
    (worse / "metrics.json").write_text(json.dumps(metrics))
    (worse / "cifar_small.cifar10.weights.h5").write_bytes(b"not these")

    arguments = ["cifar_tables", "--record", "--names=cifar_small", "--seeds=2", "--epochs=4"]
    assert errors.run(reproduce.main, [*arguments, f"--out={out}"]) == 0
    assert capsys.readouterr().out.count("filed cifar_small.cifar10: ") == 3
    rows = {(row["metric"], row["dataset"]): row for row in filing.read_results()}
    assert rows.keys() == {
        ("top1_percent", "cifar10"),
        ("best_of_4_top1_percent", "cifar10"),
        ("top1_percent", "cifar10_lossless_part"),
    }
    last = rows["top1_percent", "cifar10"]
    mean = 100 * (read(better)["val_accuracy"] - 0.05)
    assert float(last["value"]) == pytest.approx(mean, abs=0.006)
    assert (last["seeds"], last["split"], last["printed"]) == ("2", "test", "72.8")
    assert "last epoch; Adam 0.001, constant rate, batch 128" in last["note"]
    best = rows["best_of_4_top1_percent", "cifar10"]
    assert "best epoch, chosen on the test set" in best["note"]
    exact = rows["top1_percent", "cifar10_lossless_part"]
    assert (exact["split"], exact["printed"]) == ("test", "")
    assert "128 test images" in exact["note"]
    model = zoo.load("cifar_small.cifar10", offline=True)
    golden = np.load(target / "golden" / "cifar_small.cifar10.npz")
    logits = keras.ops.convert_to_numpy(model(golden["inputs"]))
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)
    assert len(golden["inputs"]) <= 4
    assert (target / "logs" / "cifar_small.cifar10.csv").exists()

    # Elsewhere, with nothing but the zoo, a third seed: the first two count, the weights stay.
    before = (target / sources.weights_file("cifar_small", "cifar10")).read_bytes()
    elsewhere = tmp_path / "elsewhere"
    third = shutil.copytree(worse, elsewhere / "cifar_small" / "2")
    metrics["settings"]["seed"] = 2
    (third / "metrics.json").write_text(json.dumps(metrics))
    arguments[3] = "--seeds=3"
    given = [*arguments, f"--out={elsewhere}", "--adopt=cifar10"]
    assert errors.run(reproduce.main, given) == 0
    (last,) = (
        row
        for row in filing.read_results()
        if (row["metric"], row["dataset"]) == ("top1_percent", "cifar10")
    )
    values = [100 * read(path)["val_accuracy"] for path in (better, worse, third)]
    assert last["seeds"] == "3"
    assert float(last["value"]) == pytest.approx(np.mean(values), abs=0.006)
    assert (target / sources.weights_file("cifar_small", "cifar10")).read_bytes() == before
    assert len(filed_runs.read()) == 3
    # Without the zoo's weights those of the best seed, which was adopted, are nowhere.
    shutil.rmtree(target / "weights")
    (target / "manifest.json").unlink()
    shutil.copy(better / "cifar_small.cifar10.weights.h5", third)
    assert errors.run(reproduce.main, given) == 0
    assert (target / sources.weights_file("cifar_small", "cifar10")).exists()
    shutil.rmtree(target / "weights")
    (target / "manifest.json").unlink()
    (third / "settings.json").unlink()
    assert errors.run(reproduce.main, given) == 2
    assert "the zoo's weights of cifar_small.cifar10 are of none" in capsys.readouterr().err
    assert errors.run(reproduce.main, [*arguments, "--adopt=cifar100"]) == 2
    assert "no training on 'cifar100' is filed" in capsys.readouterr().err


def test_trials_are_not_filed(tmp_path, capsys):
    prepare(tmp_path, "cifar_small", 0, 0.7, 0.7, 0.7, limit=100)
    arguments = ["cifar_tables", "--report", "--record", f"--out={tmp_path}", "--limit=100"]
    assert errors.run(reproduce.main, arguments) == 2
    assert "only whole trainings are filed" in capsys.readouterr().err


STAND_IN = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
print("epoch 1/2: loss 1", file=sys.stderr)
if folder.parent.name == "cifar_small_meta":
    print("error: it was not to be", file=sys.stderr)
    sys.exit(2)
folder.mkdir(parents=True, exist_ok=True)
metrics = {"val_accuracy": 0.5, "best_val_accuracy": 0.5, "epochs": 2}
metrics["settings"] = json.loads(sys.argv[2])
(folder / "metrics.json").write_text(json.dumps(metrics))
"""


@pytest.mark.slow
def test_one_failure_does_not_stop_the_others(toy, tmp_path, monkeypatch, capsys):
    begun, begin = [], subprocess.Popen

    def stand_in(command, **options):
        a = fit.arguments(command[3:])
        begun.append(f"{a.name} seed {a.seed}")
        settings = json.dumps(fit.settings_of(a, a.name, "cifar10"))
        return begin([sys.executable, "-c", STAND_IN, str(a.out), settings], **options)

    monkeypatch.setattr(scheduler.subprocess, "Popen", stand_in)
    arguments = ["cifar_tables", f"--data-dir={toy}", f"--out={tmp_path}", "--epochs=2"]
    arguments += ["--names", "cifar_small*", "--seeds=2", "--jobs=3"]
    assert errors.run(reproduce.main, arguments) == 2
    err = capsys.readouterr().err
    assert "2 of 8 trainings failed" in err
    assert "cifar_small_meta seed 0: it was not to be" in err
    assert "cifar_small seed 1: epoch 1/2: loss 1" in err
    assert "6 of 8 trainings are finished" in err
    assert len(begun) == 8
    # The same command again begins the failed ones only, and another number of epochs none.
    begun.clear()
    assert errors.run(reproduce.main, arguments) == 2
    assert sorted(begun) == ["cifar_small_meta seed 0", "cifar_small_meta seed 1"]
    capsys.readouterr()
    assert errors.run(reproduce.main, [*arguments, "--epochs=3"]) == 2
    assert "epochs 2, not 3" in capsys.readouterr().err


def test_a_training_gets_its_arguments_and_threads(tmp_path, monkeypatch):
    a = argparse.Namespace(epochs=3, precision="float32", data_dir=None, limit=5)
    run = many_runs.Run("x", "cifar_small_metahead", 4, tmp_path, {"head_groups": 2})
    command = run.command(a)
    for part in ("cifar_small_metahead", "--seed=4", "--epochs=3", "--limit=5", "head_groups=2"):
        assert part in command
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for threads, eigen in ((1, "false"), (4, "true")):
        own = scheduler.environment(threads, "float32")
        assert own["OMP_NUM_THREADS"] == str(threads)
        assert own["XLA_FLAGS"].endswith(f"eigen={eigen}")
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")
    assert scheduler.environment(4, "float32")["OMP_NUM_THREADS"] == "2"


def test_bars_on_a_terminal_follow_the_lines(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = board.Board(2, 1)
    shown.begin("a")
    shown.tell("a", "a warning of some library")
    shown.tell("a", "epoch 3/20 step 5/391: loss 1")
    task = shown._bar.tasks[-1]
    assert (task.completed, task.total, task.fields["state"]) == (2, 20, "loss 1")
    shown.tell("a", "epoch 3/20: loss 1")
    assert task.completed == 3
    shown.end("a")
    shown.close()
    assert "2 of 2 trainings are finished" in capsys.readouterr().err


def test_a_summary_of_nothing_says_nothing():
    summary = Summary("x", {})
    assert summary.text(FINAL) == ""
    assert summary.mean(FINAL) is None


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cifar_table"], "Did you mean 'cifar_tables'?"),
        (["cifar_tables", "--names", "cifar_smal"], "Did you mean 'cifar_small'?"),
        (["cifar_tables", "--seeds=0"], "--seeds must be at least 1, found 0."),
        (["cifar_tables", "--jobs=0"], "--jobs must be at least 1, found 0."),
        (["cifar_tables", "--limit=0"], "--limit must be at least 1, found 0."),
        (["cifar_tables", "--data-dir=/nowhere"], "'cifar10' is not in /nowhere"),
        (["cifar_tables", "--report", "--record"], "no training is finished"),
        (["meta_heads", "--epochs=0"], "--epochs must be at least 1, found 0."),
    ],
)
def test_mistakes_get_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert errors.run(reproduce.main, arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert sentence in line
