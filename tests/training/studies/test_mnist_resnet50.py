"""The seven ResNet-50s: the recipe, the loss of every step, table, filing, mistakes.

A linear classifier stands for a ResNet-50 in training, whose own tests are in tests/models.
"""

import argparse
import csv
import json
import shutil

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import sources
from tests.training.pictures import png
from training import errors
from training.data import packed
from training.fit import loop as fit
from training.fit import run_folder, watchers
from training.ledger import filing
from training.studies import __main__ as reproduce
from training.studies import mnist_resnet50
from training.studies import mnist_resnet50_memory as memory

pytestmark = pytest.mark.neutral

NAME = "mnist_resnet50_alpha_relu_he"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A packed data set that passes for MNIST: one bright row of ten."""

    def digits(count, seed, split):
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % 10
        images = rng.integers(0, 60, (count, 28, 28), "uint8")
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 4 : 2 * label + 6] += 180
        names = tuple(map(str, range(10)))
        return packed.Encoded([png(i) for i in images], labels, names, "mnist", split, 1)

    path = tmp_path_factory.mktemp("data") / "mnist.npz"
    packed.write(path, [digits(320, 0, "train"), digits(96, 1, "test")])
    return path


@pytest.fixture
def trained(toy, small_model, tmp_path):
    out = tmp_path / "runs" / NAME / "42"
    options = [f"--data-dir={toy}", f"--out={out}", "--epochs=2", "--seed=42", "--limit=256"]
    options += ["--recipe=mnist_resnet50", "--steps-per-execution=4"]
    assert errors.run(fit.main, [NAME, *options, "--eval-limit=256"]) == 0
    return out


def read(path):
    return json.loads((path / "metrics.json").read_text())


@pytest.mark.slow
def test_the_recipe_is_the_slides_and_every_step_is_logged(trained):
    metrics = read(trained)
    expected = {
        "optimizer": "sgd",
        "batch_size": 32,
        "learning_rate": 0.01,
        "schedule": "constant",
        "weight_decay": 0,
        "label_smoothing": 0,
        "augment": "",
        "keep_last": True,
    }
    assert {key: metrics["settings"][key] for key in expected} == expected
    # All images there are, fewer than the limit: the split is not cut.
    assert (metrics["split"], metrics["eval_images"]) == ("test", 96)
    losses = watchers.read_steps(trained / "steps.csv")
    assert len(losses) == 2 * 256 // 32
    rows = run_folder.read_log(trained / "log.csv")
    for epoch, row in enumerate(rows):
        assert np.mean(losses[8 * epoch : 8 * epoch + 8]) == pytest.approx(row["loss"], rel=1e-4)
    assert np.std(losses[:8]) > 0
    assert list(watchers.read_kernels(trained / "kernels.csv")) == [0, 1, 2]


def test_variances_of_kernels_are_those_of_the_weights_after_each_epoch(tmp_path):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, name="first")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="second")(x))
    model.compile("sgd", "mse")
    before = model.get_weights()[0]
    watcher = watchers.KernelVariances(None, argparse.Namespace(path=tmp_path))
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    model.fit(x, x[:, :2], epochs=2, verbose=0, callbacks=[watcher])
    found = watchers.read_kernels(tmp_path / "kernels.csv")
    assert [sorted(kernels) for kernels in found.values()] == [
        ["first/kernel", "second/kernel"]
    ] * 3
    for epochs, kernel in ((0, before), (2, model.get_weights()[0])):
        assert found[epochs]["first/kernel"] == pytest.approx(4 * kernel.var(), rel=1e-4)
    assert watchers.read_kernels(tmp_path / "none.csv") == {}


def test_pixels_are_in_zero_to_one():
    p = zoo.info(NAME).preprocessing_of("mnist")
    pixels = p.normalize(np.array([[[0], [127.5], [255]]], "float32"))
    np.testing.assert_allclose(np.ravel(pixels), [0, 0.5, 1], atol=1e-6)


def prepare(out, name, seed, accuracy, losses, limit=None):
    """A finished training, without having trained."""
    folder = out / name / str(seed)
    folder.mkdir(parents=True)
    settings = {"tag": "mnist", "epochs": 5, "limit": limit, "precision": "float32"}
    metrics = {"val_accuracy": accuracy, "epochs": 5, "images_per_second": 80.0}
    metrics |= {"train_images": 60000, "eval_images": 10000, "settings": settings}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    lines = [f"0,{step},{loss}" for step, loss in enumerate(losses)]
    (folder / "steps.csv").write_text("\n".join(["epoch,step,loss", *lines, ""]))


def test_the_table_has_the_slides_numbers_beside_the_measured(tmp_path, capsys):
    losses = np.linspace(2.4, 0.1, 101)
    prepare(tmp_path, "mnist_resnet50_relu_he", 42, 0.985, losses)
    prepare(tmp_path, "mnist_resnet50_relu_he", 43, 0.987, losses + 0.2)
    prepare(tmp_path, NAME, 42, 0.9712, losses)
    arguments = ["mnist_resnet50", "--report", "--seeds=2", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, arguments) == 0
    assert "98.60 ± 0.14" in capsys.readouterr().out
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| relu_he | relu | he_normal | 98.96 | 98.60 ± 0.14 |" in text
    notebook = "9.80, loss NaN (α = 0.1; the notebook's)"
    assert f"| alpha_relu 0.75 | he_normal | {notebook} | 97.12 |" in text
    assert "| alpha_relu_he, alpha 0.1 | alpha_relu 0.1 | he_normal |" in text
    assert "| tanh_he | tanh | he_normal | 98.5 to 98.7, off a plot | pending" in (text)
    with open(tmp_path / "table.csv", encoding="utf-8") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    others = {f"mnist_resnet50_alpha_relu_{kind}, alpha 0.1" for kind in ("he", "xavier")}
    assert set(rows) - set(mnist_resnet50.NAMES) == {*others, "cifar_plain20"}
    row = rows["mnist_resnet50_relu_he"]
    assert float(row["first_loss"]) == pytest.approx(np.mean(losses[:20]) + 0.1, abs=1e-4)
    assert float(row["last_loss"]) == pytest.approx(np.mean(losses[-20:]) + 0.1, abs=1e-4)
    assert row["by_seed"] == "98.50 98.70"
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "losses.svg").read_text(encoding="utf-8")


def test_what_the_slides_compare_is_told_with_the_time_and_the_variances(tmp_path):
    for name, accuracy in (("relu_he", 0.98), ("relu_he_uniform", 0.97), ("relu_xavier", 0.975)):
        prepare(tmp_path, f"mnist_resnet50_{name}", 42, accuracy, [2.0, 1.0])
    prepare(tmp_path, "cifar_plain20", 42, 0.96, [2.0, 1.0])
    fast = tmp_path / "cifar_plain20" / "42" / "metrics.json"
    fast.write_text(json.dumps(json.loads(fast.read_text()) | {"images_per_second": 400.0}))
    lines = [f"{e},{k},50,{v * (1 + e)}" for e in (0, 1) for k, v in (("a", 0.04), ("b", 0.02))]
    kernels = tmp_path / "mnist_resnet50_relu_he" / "42" / "kernels.csv"
    kernels.write_text("\n".join(["epochs,kernel,fan_in,variance", *lines, ""]))
    command = ["mnist_resnet50", "--report", "--side=14", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, command) == 0
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "He against Xavier, ReLU: not decided: too few trainings; +0.50 points" in text
    assert "He normal against He uniform, ReLU: not decided: too few trainings; +1.00" in text
    assert "He against Xavier, tanh: not measured yet" in text
    assert "relu_he takes 5.0 times as long as one of cifar_plain20" in text
    # σ² · 50 / 2 of both kernels, and twice as much after the epoch.
    assert "are 0.500 to 1.000 before training, and with 1 epochs done 2.000 to 2.000 times" in text


def test_smaller_images_are_those_of_every_network():
    asked = mnist_resnet50.STUDY.parse(["--side=14"])
    shapes = [f.arguments["input_shape"] for f in mnist_resnet50.STUDY.forms(asked)]
    assert shapes == [[14, 14, 1]] * 8
    # At 28 pixels the zoo's own are as they are, whose trainings are filed.
    whole = mnist_resnet50.STUDY.forms(mnist_resnet50.STUDY.parse([]))
    assert [f.name for f in whole if not f.arguments] == list(mnist_resnet50.NAMES)


@pytest.mark.slow
def test_a_trial_is_filed_as_one_and_without_weights(trained, tmp_path, monkeypatch, capsys):
    target = tmp_path / "zoo"
    shutil.copytree(sources.data_folder() / "configs", target / "configs")
    monkeypatch.setattr(sources, "data_folder", lambda: target)
    metrics = read(trained)
    metrics["overrides"] = {}
    assert metrics["settings"]["limit"] == 256
    (trained / "metrics.json").write_text(json.dumps(metrics))
    arguments = ["mnist_resnet50", "--report", "--record", "--names=*alpha_relu_he", "--epochs=2"]
    assert errors.run(reproduce.main, [*arguments, f"--out={trained.parents[1]}"]) == 0
    assert f"filed {NAME}.mnist: " in capsys.readouterr().out
    (row,) = filing.read_results()
    assert row["metric"] == "subset_top1_percent"
    assert float(row["value"]) == pytest.approx(100 * metrics["val_accuracy"], abs=0.006)
    assert (row["parameters"], row["trainable_parameters"]) == ("23601930", "23548810")
    assert (row["printed"], row["seeds"]) == ("9.8", "1")
    assert row["budget"].startswith("2 epochs of 256 examples")
    assert row["note"].startswith(
        "last epoch; SGD 0.01, constant rate, batch 32; alpha 0.75, the slides' was 0.1; a trial on"
    )
    assert "weights are not kept" in row["note"]
    assert (target / "logs" / f"{NAME}.mnist.csv").exists()
    assert not (target / "weights").exists()
    table = filing.results_table()
    assert f"{row['value']} % subset top-1 | 9.8 % top-1 (mnist) |" in table


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--names", "mnist_resnet50_relu_hee"], ("mnist_resnet50_relu_he",)),
        (["--epochs", "0"], ("--epochs", "0")),
        (["--memory", "--side=14"], ("--memory", "14")),
        (["--precise-bn", "-1"], ("--precise-bn", "-1")),
        (["--report", "--record", "--out", "nowhere"], ("no training is finished",)),
    ],
)
def test_mistakes_are_told_in_one_sentence(options, words, capsys):
    assert errors.run(reproduce.main, ["mnist_resnet50", *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert all(word in line for word in words)


def test_a_linear_classifier_reads_off_what_the_features_know():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 1500)
    known = rng.normal(size=(1500, 4, 30))
    known[np.arange(1500), 0, labels] += 4
    assert memory.linear_accuracy(known, labels) > 0.9
    # Of ten classes by chance a tenth; 500 images have a standard error of 1.3 %.
    assert memory.linear_accuracy(rng.normal(size=(1500, 50)), labels) < 0.16
    assert memory.linear_accuracy(np.ones((1500, 5)), labels) < 0.2
