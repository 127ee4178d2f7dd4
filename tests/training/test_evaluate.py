"""Measuring, and filing runs into a zoo: always into a copy of the checkout's."""

import collections
import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import manifest, sources, tfds_folder
from tests.training.pictures import VIT, corners, png
from training import errors, evaluate
from training.data import packed
from training.errors import UserError
from training.fit import loop as fit
from training.fit import models
from training.ledger import filing, recording

pytestmark = pytest.mark.neutral
BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"


def copy_of_the_zoo(target, patch):
    """A copy without weights and results, in which vit3 is a very small network."""
    shutil.copytree(sources.data_folder() / "configs", target / "configs")
    for sub in ("weights", "golden"):
        (target / sub).mkdir()
    path = target / "configs" / "vit3.json"
    config = json.loads(path.read_text())
    config["arguments"] |= models.overrides_of(None, VIT)
    path.write_text(json.dumps(config))
    patch.setattr(sources, "data_folder", lambda: target)
    filing.update_manifest()
    return target


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return copy_of_the_zoo(tmp_path / "zoo", monkeypatch)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """Two finished runs that differ in the seed: one trained, one a worse copy of it."""
    data = [corners(64, 0, "train"), corners(64, 1, "test")]
    base = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        copy_of_the_zoo(base / "zoo", patch)
        patch.setattr(models, "jit_compile", lambda convolutions: False)  # Which takes longer.
        packed.write(base / "corners.npz", data)
        arguments = ["vit3", "--dataset=corners", f"--data-dir={base / 'corners.npz'}"]
        arguments += [f"--out={base / 'run0'}", "--epochs=1", "--batch-size=16"]
        assert errors.run(fit.main, arguments) == 0
        shutil.copytree(base / "run0", base / "run1")
        metrics = read_run(base / "run1")
        metrics["settings"]["seed"] = 1
        metrics["train_loss"] += 0.1
        metrics["val_accuracy"] += 0.05
        (base / "run1" / "metrics.json").write_text(json.dumps(metrics))
        model = zoo.build("vit3", **metrics["overrides"])
        model.load_weights(base / "run1" / "vit3.corners.weights.h5")
        model.set_weights([0.9 * weight for weight in model.get_weights()])
        models.save_weights(model, base / "run1" / "vit3.corners.weights.h5")
    return base


@pytest.fixture
def trained(folder, two_runs, tmp_path):
    """Copies of the runs, to be spoilt."""
    return [shutil.copytree(two_runs / run, tmp_path / run) for run in ("run0", "run1")]


def read_run(path):
    return json.loads((path / "metrics.json").read_text())


@pytest.mark.slow
def test_runs_become_one_entry_that_loads_and_is_measured_again(
    folder, trained, corners_file, capsys
):
    runs = [read_run(path) for path in trained]
    row = recording.record(trained, note="a test")

    # The row says what was measured.
    values = [100 * run["val_accuracy"] for run in runs]
    assert float(row["value"]) == pytest.approx(np.mean(values), abs=0.005)
    assert float(row["std"]) == pytest.approx(np.std(values, ddof=1), abs=0.005)
    assert row["seeds"] == 2
    assert (row["dataset"], row["split"]) == ("corners", "test")
    assert row["metric"] == "top1_percent"
    assert row["budget"].startswith("1 epoch of 64 examples, ")
    assert row["backend"] == keras.backend.backend()
    assert "a test" in row["note"]
    assert (row["printed"], row["printed_dataset"]) == (61.53, "imagenet")
    assert row["parameters"] == runs[0]["parameters"]
    (written,) = filing.read_results()
    assert written == {key: str(row.get(key, "")) for key in filing.COLUMNS}

    # The tag is in the config now, the files are in the manifest, and the zoo loads them.
    assert manifest.read(folder) == manifest.describe(folder)
    record = zoo.info("vit3")
    assert record.trained_tags == ("corners",)
    assert record.results[0].value == row["value"]
    model = zoo.load("vit3.corners")
    best = 0  # The lower training loss decides, not the higher accuracy.
    assert runs[0]["train_loss"] < runs[1]["train_loss"]
    assert runs[0]["val_accuracy"] < runs[1]["val_accuracy"]
    other = zoo.build("vit3.corners")
    other.load_weights(trained[best] / "vit3.corners.weights.h5")
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with np.load(folder / "golden" / "vit3.corners.npz") as golden:
        assert golden["inputs"].shape == (4, 32, 32, 1)
        assert golden["logits"].shape == (4, 4)
        logits = model.predict_on_batch(golden["inputs"])
        np.testing.assert_allclose(logits, golden["logits"], atol=1e-5)

    # Measuring the zoo's weights gives the run's own number.
    arguments = ["vit3", "--tag=corners", f"--data-dir={corners_file}", "--limit=64"]
    assert errors.run(evaluate.main, arguments) == 0
    expected = f"vit3.corners: {values[best]:.2f} % top-1"
    assert capsys.readouterr().out.startswith(expected)

    # So does measuring the run's file; the tag is in its name.
    file = trained[best] / "vit3.corners.weights.h5"
    found = evaluate.measure("vit3", data_dir=corners_file, weights=file, limit=64)
    assert found["top1_percent"] == pytest.approx(values[best])
    assert (found["tag"], found["dataset"], found["images"]) == ("corners", "corners", 64)

    # Filed again, it takes the old row's place.
    recording.record(trained[:1])
    (written,) = filing.read_results()
    assert (written["seeds"], written["std"]) == ("1", "")


@pytest.mark.slow
def test_runs_that_do_not_belong_together_are_refused(folder, trained, tmp_path):
    with pytest.raises(UserError, match="only 1 different seeds"):
        recording.record([trained[0], trained[0]])
    metrics = read_run(trained[1])
    metrics["settings"]["epochs"] = 9
    (trained[1] / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match="differ in epochs"):
        recording.record(trained)
    with pytest.raises(UserError, match="no finished run"):
        recording.record([tmp_path / "nothing"])
    # A trial would take the place of whole trainings.
    metrics["settings"] |= {"limit": 32, "eval_limit": 16}
    (trained[1] / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match="run1 is a trial, with --limit 32 and --eval-limit 16, "):
        recording.record(trained[1:])
    assert filing.read_results() == []
    assert not list((folder / "weights").iterdir())


@pytest.mark.slow
def test_a_run_with_other_arguments_is_not_filed_under_the_name(folder, trained):
    metrics = read_run(trained[0])
    recording.record(trained[:1])
    metrics["overrides"]["steps"] = 3
    (trained[0] / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match="trained vit3 with steps=3"):
        recording.record(trained[:1])
    # Nor one that the config leaves to the builder; but what only training knows may differ.
    for name, fine in (("residual_scale", False), ("drop_path", True)):
        metrics["overrides"] = {**metrics["overrides"], "steps": 1, name: 0.3}
        (trained[0] / "metrics.json").write_text(json.dumps(metrics))
        if fine:
            recording.record(trained[:1])
        else:
            with pytest.raises(UserError, match=f"trained vit3 with {name}=0.3"):
                recording.record(trained[:1])
            del metrics["overrides"][name]


@pytest.mark.slow
def test_of_adopted_runs_only_the_one_whose_weights_are_filed_counts_for_them(folder, trained):
    recording.record(trained[:1])
    before = zoo.load("vit3.corners").get_weights()
    other = read_run(trained[1])
    other |= {"train_loss": 0.0, "train_set_loss": 0.0, "commit": "another"}
    (trained[1] / "metrics.json").write_text(json.dumps(other))
    for run in trained:
        (run / "settings.json").unlink()
    row = recording.record(trained)
    assert (row["seeds"], row["commit"]) == (2, read_run(trained[0])["commit"])
    for old, new in zip(before, zoo.load("vit3.corners").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(UserError, match=r"run1: adopted, and the zoo's weights of vit3\.corners"):
        recording.record(trained[1:])


@pytest.mark.slow
def test_a_row_tells_how_else_it_was_trained(folder, trained):
    for path in trained:
        metrics = read_run(path)
        metrics["settings"] |= {"steps": "progressive(1,2)", "deep_supervision": 0.5}
        (path / "metrics.json").write_text(json.dumps(metrics))
    note = recording.record(trained)["note"]
    assert note.endswith(", steps progressive(1,2), deep supervision 0.5")


@pytest.mark.slow
@pytest.mark.parametrize("content", ["[1]", "{}", '{"settings": 1}', '{"settings": {}}'])
def test_damaged_metrics_are_one_sentence(trained, content):
    (trained[0] / "metrics.json").write_text(content)
    with pytest.raises(UserError, match="is not what training"):
        recording.record(trained[:1])


@pytest.mark.parametrize("option", ["--batch-size=0", "--limit=-1"])
def test_numbers_out_of_range_are_one_sentence(option, capsys):
    assert errors.run(evaluate.main, ["vit3", option]) == 2
    assert f"{option.split('=')[0]} must be at least 1" in capsys.readouterr().err


def test_cifar10_stored_as_jpeg_is_called_so_in_the_results():
    assert recording.NOTES["cifar10_jpeg"].startswith("CIFAR-10 re-encoded as JPEG")
    assert tfds_folder.original("cifar10_jpeg") == "cifar10"


def save(model, folder):
    models.save_weights(model, folder / "weights" / "vit3.mnist.weights.h5")
    filing.update_manifest()


def test_measuring_needs_weights_and_matching_classes(folder, corners_file):
    with pytest.raises(UserError, match="no trained weights yet"):
        evaluate.measure("vit3", data_dir=corners_file)
    with pytest.raises(UserError, match="did you mean 'vit3'"):
        evaluate.measure("vit33", data_dir=corners_file)
    save(zoo.build("vit3.mnist"), folder)
    with pytest.raises(UserError, match="knows 10 classes, but corners has 4"):
        evaluate.measure("vit3.mnist", data_dir=corners_file, dataset="corners")


@pytest.mark.slow
def test_measuring_resizes_as_a_user_would(folder, tmp_path):
    model = zoo.build("vit3.mnist")
    save(model, folder)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
    logits = model.predict(model.preprocess(images[..., None]), batch_size=20, verbose=0)
    labels = logits.argmax(1)
    labels[:5] = (labels[:5] + 1) % 10
    part = packed.Encoded([png(i) for i in images], labels, (*"0123456789",), "mnist", "test", 1)
    packed.write(tmp_path / "mnist.npz", [part])
    found = evaluate.measure("vit3.mnist", data_dir=tmp_path / "mnist.npz", batch_size=20)
    assert found["top1_percent"] == pytest.approx(75)
    assert found["standard_error_percent"] == pytest.approx(100 * (0.75 * 0.25 / 20) ** 0.5)


class OnTheDisk(collections.UserList):
    """Files that know their labels."""

    def __init__(self, files, labels):
        super().__init__(files)
        self.labels = labels

    def read(self, numbers):
        return [self[i] for i in numbers], self.labels[numbers]


@pytest.mark.slow
@pytest.mark.parametrize("in_memory", [True, False])
def test_measuring_takes_images_of_different_sizes(folder, tmp_path, monkeypatch, in_memory):
    model = zoo.build("vit3.mnist")
    save(model, folder)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (28 + i, 40), dtype=np.uint8) for i in range(6)]
    x = np.concatenate([model.preprocess(image[..., None]) for image in images])
    labels = model.predict_on_batch(x).argmax(1)
    labels[0] = (labels[0] + 1) % 10
    files = [png(image) for image in images]
    part = packed.Encoded(files, labels, (*"0123456789",), "mnist", "test", 1)
    if in_memory:
        packed.write(tmp_path / "mnist.npz", [part])
    else:  # As an array_record, which has files and labels on the disk.
        part = dataclasses.replace(part, data=OnTheDisk(files, labels), labels=None)
        monkeypatch.setattr(evaluate.data, "read_encoded", lambda *_: part)
    found = evaluate.measure("vit3.mnist", data_dir=tmp_path / "mnist.npz", batch_size=4)
    assert found["top1_percent"] == pytest.approx(100 * 5 / 6)


def test_any_model_can_be_filed(folder):
    model = zoo.build("planar_rec")
    model.compile("adam", "mse")
    optimizer = model.optimizer
    weights, golden = filing.file_weights(model, "planar_rec", "spiral", inputs=np.eye(2))
    assert model.optimizer is optimizer
    assert manifest.read(folder) == manifest.describe(folder)
    assert {p.name for p in (folder / "weights").iterdir()} == {weights.name}
    assert {p.name for p in (folder / "golden").iterdir()} == {golden.name}
    np.testing.assert_array_equal(
        zoo.load("planar_rec", weights="spiral").get_weights()[0], model.get_weights()[0]
    )
    assert filing.facts("planar_rec", "spiral") == {
        "parameters": 6,
        "trainable_parameters": 6,
        "multiply_adds": 13 * 2 * 2,
        "steps": 13,
        "printed": 97,
        "printed_dataset": zoo.info("planar_rec").paper.dataset,
    }


def test_a_large_model_is_filed_in_half_precision(folder, monkeypatch):
    monkeypatch.setattr(filing, "HALF_ABOVE", 30_000)
    tag = "cifar10_jpeg"
    model = zoo.build("cifar_small_metahead", tag=tag)  # 26,858 parameters.
    whole = filing.file_weights(model, "cifar_small_metahead", tag)[0].stat().st_size
    monkeypatch.setattr(filing, "HALF_ABOVE", 20_000)
    before = model.get_weights()
    weights, golden = filing.file_weights(model, "cifar_small_metahead", tag)
    assert whole - weights.stat().st_size > 1.9 * 26_858
    loaded = zoo.load("cifar_small_metahead", weights=tag)  # Checked against the manifest.
    for old, rounded, found in zip(before, model.get_weights(), loaded.get_weights(), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, rounded)
        np.testing.assert_array_equal(rounded, old.astype("float16").astype("float32"))
    assert any((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    kept = np.load(golden)
    np.testing.assert_allclose(loaded.predict(kept["inputs"], verbose=0), kept["logits"], atol=1e-5)


def test_weights_that_float16_cannot_hold_are_not_filed(folder, monkeypatch):
    monkeypatch.setattr(filing, "HALF_ABOVE", 0)
    model = zoo.build("planar_rec")
    model.set_weights([np.full_like(w, 7e4) for w in model.get_weights()])
    with pytest.raises(UserError, match="beyond float16"):
        filing.file_weights(model, "planar_rec", "spiral", inputs=np.zeros((1, 2)))
    assert not list((folder / "weights").iterdir())


def test_a_model_with_nan_is_not_filed(folder):
    model = zoo.build("planar_rec")
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(UserError, match="not finite"):
        filing.file_weights(model, "planar_rec", "spiral")
    assert not list((folder / "weights").iterdir())


def test_a_result_is_replaced_by_name_tag_and_metric(folder):
    row = {"name": "vit3", "tag": "mnist", "metric": "top1_percent", "value": "50.00"}
    filing.write_result(row)
    filing.write_result({**row, "metric": "loss", "value": "1.5"})
    filing.write_result({**row, "tag": "cifar10"})
    filing.write_result({**row, "value": "60.00", "note": 'with "quotes", and commas'})
    rows = {(r["tag"], r["metric"]): r for r in filing.read_results()}
    assert len(rows) == len(filing.read_results()) == 3
    assert rows["mnist", "top1_percent"]["value"] == "60.00"
    assert rows["mnist", "top1_percent"]["note"] == 'with "quotes", and commas'
    assert rows["cifar10", "top1_percent"]["value"] == "50.00"
    with pytest.raises(UserError, match="no column 'accuracy'"):
        filing.write_result({**row, "accuracy": 1})
    with pytest.raises(UserError, match="needs 'value'"):
        filing.write_result({**row, "value": None})


def test_readme_and_results_get_their_tables(folder, tmp_path):
    row = {
        "name": "vit3_rec",
        "tag": "mnist",
        "dataset": "mnist",
        "split": "test",
        "metric": "top1_percent",
        "value": "97.10",
        "std": "0.20",
        "seeds": 3,
        "printed": 67.16,
        "printed_dataset": "imagenet",
        "parameters": 2204878,
        "multiply_adds": 2000000,
        "steps": "2,4,2",
        "budget": "10 epochs of 60,000 examples, 30 min",
    }
    filing.write_result(row)
    exact = {"dataset": "mnist_exact", "printed": "", "printed_dataset": "", "value": "96.00"}
    filing.write_result({**row, **exact})
    filing.write_result({**row, "metric": "best_of_10_top1_percent", "value": "97.50"})
    readme, results = tmp_path / "README.md", tmp_path / "RESULTS.md"
    readme.write_text("before\n<!-- headline:begin -->\n<!-- headline:end -->\n")
    results.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        filing.write_readme(tmp_path)
        text = results.read_text()
        assert text.startswith(f"before\n{BEGIN}\n| name |")
        assert text.endswith(f"{END}\nafter\n")
        assert "old" not in text
        assert (
            "| `vit3_rec` | 2,204,878 | 2,000,000 | 2,4,2 | mnist test "
            "| 97.10 ± 0.20 % top-1 (3 seeds); best of 10 epochs 97.50 ± 0.20 %; "
            "mnist_exact 96.00 ± 0.20 % "
            "| 67.16 % top-1 (imagenet, best of 10 epochs) "
            "| 10 epochs of 60,000 examples, 30 min |\n"
        ) in text
        assert (
            "| `vit3_rec` | 2,204,878 | 2,000,000 | 2,4,2 | mnist test "
            "| 97.10 ± 0.20 % top-1 (3 seeds) |\n"
        ) in readme.read_text()
    results.write_text("no marks")
    with pytest.raises(UserError, match="needs the lines"):
        filing.write_readme(tmp_path)
    assert results.read_text() == "no marks"


@pytest.mark.parametrize(("file", "mark"), [("README.md", "headline"), ("RESULTS.md", "results")])
def test_the_checkout_shows_its_results(file, mark):
    text = (filing.ROOT / file).read_text(encoding="utf-8")
    between = text.partition(f"<!-- {mark}:begin -->")[2].partition(f"<!-- {mark}:end -->")[0]
    assert between.strip() == filing.results_table(headline=mark == "headline").strip(), (
        "renew it with `python -m training.evaluate --readme`"
    )


def test_mistakes_end_with_code_2(folder, tmp_path, capsys):
    for arguments in (["vit33"], ["--record", str(tmp_path)], ["vit3", "--data-dir=/nowhere"]):
        assert errors.run(evaluate.main, arguments) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert message.count("\n") == 1
    for arguments in ([], ["vit3", "--readme"]):
        with pytest.raises(SystemExit) as stop:
            evaluate.main(arguments)
        assert stop.value.code == 2
