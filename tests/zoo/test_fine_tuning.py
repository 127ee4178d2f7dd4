"""A folder of images → a network that knows them, and a record of how well."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_recres import zoo
from keras_recres.zoo import evaluation, fine_tuning, head_first, pictures
from tests.zoo import image_files

pytest.importorskip("PIL.Image")


@pytest.fixture
def folder(tmp_path):
    return image_files.write(tmp_path / "fruit", 20)


@pytest.fixture
def few(tmp_path):
    """So few images that those to learn from are watched, too."""
    for name, count in (("train", 4), ("val", 1)):
        image_files.write(tmp_path / "few" / name, count)
    return tmp_path / "few"


def network(classes=2):
    """A small network with batch normalization, as the zoo would give it."""
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 1, name="stem")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Activation("relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(classes, name="head")(x), name="small")
    model.preprocess = zoo.Preprocessing((4, 4), scale=1 / 255, mean=(0.4,) * 3, std=(0.2,) * 3)
    return model


def pixels_of(folder, model):
    files = sorted(folder.rglob("*.png"))
    labels = [image_files.CLASSES.index(file.parent.name) for file in files]
    return [pictures.decode(f.read_bytes(), 3, model.preprocess) for f in files], labels


def weights(model):
    return {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in model.weights}


def test_a_name_learns_a_folder_and_tells_how_well(toy_zoo, folder, tmp_path, caplog):
    for number in range(4, 20):
        (folder / "lime" / f"{number:02}.png").unlink()
    (folder / "lime" / "notes.png").write_text("no image")
    model, record = zoo.fine_tune("toy_rec", folder, epochs=6, learning_rate=0.03, seed=1)
    json.dumps(record, allow_nan=False)
    assert model.class_names == image_files.CLASSES
    assert "from 4 images of 'lime' to 20 of 'lemon'" in caplog.text
    assert "untrained" not in caplog.text
    assert [file for file, _ in record["skipped"]] == [str(folder / "lime" / "notes.png")]
    assert record["classes"] == {
        "lemon": {"learnt": 14, "watched": 2, "held_out": 4},
        "lime": {"learnt": 3, "watched": 0, "held_out": 1},
    }
    assert record["log"][-1]["loss"] < record["log"][0]["loss"]
    wrong = sum(one["label"] != one["predicted"] for one in record["predictions"])
    assert (record["images"], record["right"]) == (5, 5 - wrong)
    assert np.trace(record["confusion"]) == record["right"]
    assert np.sum(record["confusion"], axis=1).tolist() == [4, 1]
    low, high = record["interval_percent"]
    assert 0 <= low <= record["top1_percent"] == 20 * record["right"] <= high <= 100
    # The file knows all of it, and nothing of the optimizer.
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert (again.compiled, again.class_names) == (False, image_files.CLASSES)
    for one in record["predictions"]:
        file = pathlib.Path(one["path"]).read_bytes()
        image = pictures.decode(file, 3, again.preprocess)
        logits = again(again.preprocess(image))
        ((_, name, probability),) = zoo.decode_predictions(again, logits, top=1)[0]
        assert (name, probability) == (
            one["predicted"],
            pytest.approx(one["probability"], abs=1e-4),
        )


def test_the_head_learns_first_and_statistics_stay(folder):
    model = network()
    model.get_layer("stem").trainable = False
    begin = weights(model)
    zoo.fine_tune(model, folder, epochs=1, freeze_epochs=1, learning_rate=0.01)
    head = weights(model)
    changed = {path for path in begin if not np.array_equal(begin[path], head[path])}
    assert changed == {"head/kernel", "head/bias"}
    zoo.fine_tune(model, folder, epochs=1, freeze_epochs=0, learning_rate=0.01)
    changed = {p for p, value in weights(model).items() if not np.array_equal(value, head[p])}
    assert {"norm/moving_mean", "norm/gamma", "head/kernel"} <= changed
    # What its owner froze stays frozen.
    assert not {path for path in changed if path.startswith("stem")}
    assert [layer.name for layer in model.layers if not layer.trainable] == ["stem"]


@pytest.mark.parametrize("more", [{"ema": 0.8}, {"layer_decay": 0.5, "augment": True}])
def test_the_weights_of_the_best_epoch_are_those_that_were_watched(few, more):
    model, record = zoo.fine_tune(network(), few, epochs=4, learning_rate=0.03, **more)
    watched = evaluation.evaluate(model, *pixels_of(few / "train", model))
    best = record["log"][record["best_epoch"] - 1]
    assert best["val_loss"] == pytest.approx(watched["loss"], abs=1e-4)
    assert best["val_accuracy"] == pytest.approx(watched["top1_percent"] / 100)
    assert best["val_accuracy"] == max(row["val_accuracy"] for row in record["log"])


def test_layer_decay_slows_the_layers_far_from_the_head(few):
    model = network()
    begin = weights(model)
    zoo.fine_tune(model, few, epochs=1, freeze_epochs=0, learning_rate=0.1, layer_decay=1e-3)
    moved = {path: np.abs(value - begin[path]).max() for path, value in weights(model).items()}
    assert moved["head/kernel"] > 1e-2
    assert 0 < moved["norm/gamma"] < 1e-3
    assert moved["stem/kernel"] < 1e-6


def test_ctrl_c_keeps_what_was_best(folder, monkeypatch):
    seen = []

    def press(self, batch, logs=None):
        seen.append(batch)
        if len(seen) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(head_first.Progress, "on_train_batch_end", press)
    before = signal.getsignal(signal.SIGINT)
    model, record = zoo.fine_tune(network(), folder, epochs=50, batch_size=16, learning_rate=0.01)
    # Two batches an epoch: the second epoch ends where it was interrupted.
    assert (record["interrupted"], len(record["log"]), record["images"]) == (True, 2, 8)
    assert record["best_epoch"] in (1, 2)
    assert signal.getsignal(signal.SIGINT) is before
    assert (model.optimizer, model.layers[1].trainable) == (None, True)


def test_a_training_that_gets_no_better_ends(few):
    # A rate this small changes nothing.
    _, record = zoo.fine_tune(network(), few, epochs=9, freeze_epochs=9, learning_rate=1e-12)
    assert (len(record["log"]), record["best_epoch"], record["interrupted"]) == (4, 1, False)


@pytest.mark.neutral
def test_what_cannot_be_is_one_sentence(toy_zoo, few):
    for arguments, said in (
        ({"epochs": 0}, "epochs must be at least 1, found 0"),
        ({"ema": 1.0}, "ema must be from 0 to below 1"),
        ({"layer_decay": 0.0}, "layer_decay must be above 0"),
        ({"model_or_name": network(3)}, "'small' has 3 logits, but .* has 2 classes"),
        ({"model_or_name": network(), "size": 8}, "size is for a name"),
        ({"model_or_name": keras.Sequential()}, "takes a name or a model with one output"),
        ({"model_or_name": "toy_re"}, "did you mean 'toy_rec'"),
        ({"learning_rate": 1e38}, "the loss became NaN in epoch 1"),
    ):
        with pytest.raises(ValueError, match=said):
            zoo.fine_tune(**{"model_or_name": "toy_rec", "folder": few, "epochs": 1, **arguments})


def test_a_network_of_texts_is_refused_before_it_is_loaded(few, monkeypatch):
    monkeypatch.setattr(fine_tuning, "load", None)
    with pytest.raises(ValueError, match="bilstm_imdb takes texts, and a folder of images"):
        zoo.fine_tune("bilstm_imdb", few)
    model = network()
    model.preprocess = zoo.TextPreprocessing(("film",), words=3, length=4)
    with pytest.raises(ValueError, match=r"'small' must have .* found TextPreprocessing\(words=3"):
        zoo.fine_tune(model, few)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the trap is of Linux alone")
def test_peak_memory_is_of_this_process_and_not_of_who_started_it():
    held = bytearray(b"1") * (1 << 30)  # Its pages are written to.
    told = "from keras_recres.zoo.fine_tuning import peak_memory; print(peak_memory())"
    peak = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout
    assert 1e7 < int(peak) < len(held) < fine_tuning.peak_memory()
