"""From a folder of images to a file, and what to do with it next."""

import json
import shlex

import numpy as np
import pytest

from keras_recres.zoo import fine_tuning
from tests.cli.conftest import table
from tests.zoo import image_files

pytestmark = pytest.mark.neutral
Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = image_files.write(tmp_path_factory.mktemp("images") / "my fruit", 15)
    (folder / "lime" / "00.png").write_text("no image")
    return folder


def test_a_folder_becomes_a_file_and_the_next_commands_work(
    command, folder, tmp_path, caplog, monkeypatch
):
    out = tmp_path / "mine"
    monkeypatch.setattr(fine_tuning, "peak_memory", lambda: len([*out.glob("*.png")]))
    asked = ("train", "cifar_small", folder, "--epochs", 2, "--freeze-epochs", 1, "--augment")
    code, said, err = command(*asked, "--out", out)
    assert code == 0, err
    (row,) = table(said)
    assert row["file"] == str(out / "model.keras")
    assert {path.name for path in out.iterdir()} == {
        *("model.keras", "metrics.json", "held_out.csv"),
        *("curve.png", "confusion.png", "mistakes.png"),
    }
    for picture in out.glob("*.png"):
        assert Image.open(picture).size[0] > 300, picture
    record = json.loads((out / "metrics.json").read_text())
    assert (record["network"], record["settings"]["augment"]) == ("cifar_small", True)
    # Of what was drawn, too.
    assert row["peak_memory_bytes"] == str(record["peak_memory_bytes"]) == "3"
    assert float(row["low_percent"]) <= float(row["top1_percent"]) <= float(row["high_percent"])
    assert "00.png' is not an image" in caplog.text
    assert f"of {record['images']} held-out images are right" in err
    assert "epoch 2/2: " in err
    assert " examples/s " in err
    predict, evaluate, export = (shlex.split(line)[1:] for line in err.splitlines()[-3:])
    code, said, _ = command(*predict, "--top", 1)
    assert code == 0
    assert table(said)[0]["class"] == record["predictions"][0]["predicted"]
    code, said, _ = command(*evaluate)
    (measured,) = table(said)
    assert float(measured["top1_percent"]) == pytest.approx(record["top1_percent"])
    assert int(measured["images"]) == record["images"] == 6
    assert export[:2] == ["export", str(out / "model.keras")]
    # Nothing is written over, and what the file has is not asked for anew.
    for more, reason in (
        (["train", "cifar_small", folder, "--out", out], "is there already"),
        ([*predict, "--steps", "2"], "--steps is for a name of the zoo"),
        (["evaluate", out / "model.keras"], "has classes of its own"),
    ):
        code, _, err = command(*more)
        assert (code, reason in err, err.count("\n")) == (2, True, 1), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cifar_smal", "{folder}"], "did you mean 'cifar_small'"),
        (["planar_rec", "{folder}"], "not images"),
        (["cifar_residual", "{folder}"], "choose one of `keras-recres list --trained`"),
        (["none.keras", "{folder}"], "there is no file 'none.keras'"),
        (["cifar_small", "{folder}/lime"], "has no images in subfolders"),
        (["cifar_small", "nowhere"], "there is no folder of images 'nowhere'"),
        (["cifar_small", "{folder}", "--out", "{folder}/out"], "whose folders are classes"),
        (["cifar_small", "{folder}", "--seed", "-1"], "must be an integer of at least 0"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(
    command, folder, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("train", *(text.format(folder=folder) for text in arguments))
    assert (code, said in err) == (2, True), err
    assert not [*tmp_path.iterdir()]


def test_a_file_without_a_network_of_the_zoo_is_refused(command, folder, tmp_path):
    file = tmp_path / "x.keras"
    np.savez(file.with_suffix(".npz"), a=1)
    file.with_suffix(".npz").rename(file)
    code, _, err = command("predict", file, folder / "lemon" / "00.png")
    assert (code, "is not a .keras file" in err, err.count("\n")) == (2, True, 1)


@pytest.mark.slow
def test_the_file_is_exported_as_the_next_command_says(start, folder, tmp_path):
    """In processes, as a user types it, and far from the checkout's folder training/."""
    pytest.importorskip("tensorflow")
    done = start("train", "cifar_small", folder, "--epochs", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    export = shlex.split(done.stderr.splitlines()[-1])[1:]
    assert export[1] == "cifar_small.my fruit/model.keras"
    done = start(*export, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / table(done.stdout)[0]["path"] / "saved_model.pb").is_file()
