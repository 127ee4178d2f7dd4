"""The commands that compute, in this process, on the backend in use."""

import csv
import json
import os
import types

import keras
import numpy as np
import pytest

from keras_recres import models, serve, zoo
from keras_recres.cli import datasets, errors, options, output
from keras_recres.models.graph import keep_facts
from keras_recres.serve import formats
from keras_recres.zoo import evaluation, mazes, problems
from keras_recres.zoo.convert import networks
from keras_recres.zoo.pictures import decode
from tests.cli.conftest import table
from tests.marks import slow_on_tensorflow
from tests.zoo import image_files, t2t_numpy

pytestmark = pytest.mark.neutral
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pictures(tmp_path):
    """Three pictures of different sizes, one with an alpha channel, and a broken one."""
    rng = np.random.default_rng(0)
    paths = []
    for name, shape in (("a.png", (48, 64, 3)), ("b b.png", (32, 32, 4)), ("c.jpg", (40, 33, 3))):
        paths.append(tmp_path / name)
        Image.fromarray(rng.integers(0, 256, shape, dtype="uint8")).save(paths[-1])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(paths[2].read_bytes()[:200])
    return paths, broken


def test_predict_gives_what_the_model_gives(command, pictures):
    paths, _ = pictures
    code, out, _ = command("predict", "cifar_small", *paths, "--top", 10)
    assert code == 0
    rows = table(out)
    model = zoo.load("cifar_small")
    for i, path in enumerate(paths):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        logits = keras.ops.convert_to_numpy(model(model.preprocess(pixels)))[0]
        expected = np.exp(logits) / np.exp(logits).sum()
        mine = rows[10 * i : 10 * i + 10]
        assert [row["image"] for row in mine] == [str(path)] * 10
        assert [row["rank"] for row in mine] == [str(rank) for rank in range(1, 11)]
        names = evaluation.class_names_of(model)
        found = {row["class"]: float(row["probability"]) for row in mine}
        np.testing.assert_allclose([found[name] for name in names], expected, atol=1e-5)
        assert mine[0]["class"] == names[int(logits.argmax())]


def test_evaluate_measures_a_file_beside_its_network(command, tmp_path, monkeypatch):
    folder = image_files.write(tmp_path / "pets", 3, classes=("cat", "dog"))
    file = tmp_path / "cifar_small.tflite"
    asked = ("evaluate", "cifar_small", "--dataset", folder, "--file", file)
    assert "there is no file" in command(*asked)[2]
    file.write_bytes(b"")
    # It says "cat", the third class, of everything.
    one_hot = 9 * np.eye(10, dtype="float32")[3]
    monkeypatch.setitem(
        formats.LOADERS, "litert", lambda path: lambda x: np.tile(one_hot, (len(x), 1))
    )
    code, out, err = command(*asked)
    assert code == 0, err
    model, found = table(out)
    assert (model["precision"], found["precision"]) == ("float32", "cifar_small.tflite")
    assert (float(found["top1_percent"]), found["images"]) == (50, "6")
    # Nothing is lost where it is right, nine logits where it is not.
    assert float(found["loss"]) == pytest.approx(4.5, abs=0.01)
    code, _, err = command(*asked, "--steps", 2)
    assert (code, "has the steps that it was exported with" in err) == (2, True)


def test_benchmark_tells_speed_beside_what_is_filed(command, monkeypatch):
    monkeypatch.setattr("keras_recres.cli.benchmark.SECONDS", 0)
    code, out, err = command("benchmark", "cifar_small", "--batch-sizes", "4,1")
    assert code == 0, err
    rows, record = table(out), zoo.info("cifar_small")
    assert [row["batch"] for row in rows] == ["1", "4"]
    for row in rows:
        least, median = float(row["milliseconds"]), float(row["median_milliseconds"])
        assert 0 < least <= median
        rate = float(row["images_per_second"])
        assert rate == pytest.approx(1e3 * int(row["batch"]) / least)
        assert int(row["parameters"]) == record.parameters.total
        products = 1e9 * float(row["giga_multiply_adds_per_second"])
        assert products == pytest.approx(rate * record.multiply_adds)
        assert int(row["peak_mib"]) > 100
    (result, *_) = record.results
    assert f"filed: {result}; {result.backend}, {result.hardware}" in err


@pytest.fixture
def untrained(tmp_path):
    """A file with weights of one of the zoo's networks on grids, as they begin."""

    def write(name):
        file = tmp_path / f"{name}.weights.h5"
        zoo.load(name, weights=None).save_weights(file)
        return file

    return write


def test_a_row_for_each_number_of_steps(command, untrained, tmp_path):
    file, picture = untrained("prefix_sum_rec"), tmp_path / "steps.png"
    ask = ("evaluate", "prefix_sum_rec", "--weights", file, "--dataset", "prefix_sums/5")
    code, out, _ = command(*ask, "--at-steps", "1,3", "--limit", 300, "--plot", picture)
    assert code == 0
    split = problems.read("prefix_sums/5", "test", 300)
    for row, steps in zip(table(out), (1, 3), strict=True):
        model = zoo.load("prefix_sum_rec", weights=file, input_shape=(5, 1), steps=steps)
        right = evaluation.logits_of(model, split.data).argmax(-1) == split.labels
        assert (row["steps"], row["dataset"], row["images"]) == (str(steps), "prefix_sums_5", "300")
        assert float(row["top1_percent"]) == pytest.approx(100 * right.all(axis=1).mean())
        assert float(row["cells_percent"]) == pytest.approx(100 * right.mean())
    assert Image.open(picture).size[0] > 500


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at-steps", "1,2", "--steps", "2"], "--steps and --at-steps exclude each other"),
        (["--plot", "x.png"], "--plot draws what --at-steps measures"),
        (["--at-steps", "1", "--plot", "none/x.png"], "there is no folder"),
        (["--dataset", "prefix_sums/x"], "called by their size"),
        (["--dataset", "mazes/5"], "was not made for mazes"),
    ],
)
def test_steps_and_grids_that_cannot_be_are_one_sentence(command, untrained, options, said):
    file = untrained("prefix_sum_rec")
    code, _, err = command("evaluate", "prefix_sum_rec", "--weights", file, *options)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_predict_draws_the_path_through_a_maze(command, untrained, tmp_path):
    split = problems.read("mazes/7", "test", 1)
    maze, file = tmp_path / "maze.png", untrained("maze_rec")
    pixels = np.uint8(255) * split.data[0].astype("uint8").repeat(4, 0).repeat(4, 1)
    Image.fromarray(pixels).save(maze)
    ask = ("predict", "maze_rec", "--weights", file, maze, "--steps", 3)
    code, out, _ = command(*ask)
    assert code == 0
    (row,) = table(out)
    model = zoo.load("maze_rec", weights=file, input_shape=(7, 7, 3), steps=3)
    answer = evaluation.logits_of(model, split.data)[0].argmax(-1)
    assert (row["pixels"], row["side"], row["connected"]) == (str(answer.sum()), "3", "no")
    drawn = np.asarray(Image.open(row["picture"]))
    wanted = mazes.with_path(split.data[0], answer).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(drawn, wanted)
    Image.fromarray(np.zeros((6, 6, 3), "uint8")).save(maze)
    code, _, err = command(*ask)
    assert (code, "is not a maze" in err) == (1, True), err


@pytest.mark.slow
def test_a_file_that_says_no_tag_is_tried_as_what_the_name_is_then_as_the_papers(tmp_path):
    file = tmp_path / "mine.weights.h5"
    asked = types.SimpleNamespace(name="vit3", weights=file, steps=None, backend=None)
    for tag, classes in (("cifar10_jpeg", 10), (None, 1000)):
        mine = zoo.build("vit3", tag=tag)
        mine.save_weights(file)
        found = options.load_network(asked)
        assert (found.zoo_tag, found.output_shape) == (tag, (None, classes))
        for ours, theirs in zip(found.get_weights(), mine.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    asked.name = "vit3.cifar10_jpeg"  # Named, it is not the paper's.
    with pytest.raises(ValueError, match="do not fit 'vit3'"):
        options.load_network(asked)


def test_predict_goes_on_after_a_broken_image(command, pictures):
    paths, broken = pictures
    code, out, err = command("predict", "cifar_small", broken, paths[0], "--top", 1, "--json")
    assert code == 1
    assert "broken.jpg' cannot be decoded" in err
    (row,) = json.loads(out)
    assert row["image"] == str(paths[0])
    assert row["class"] == evaluation.class_names_of(zoo.load("cifar_small"))[row["index"]]


def test_predict_has_names_only_where_the_file_or_the_command_says_which(
    command, pictures, tmp_path
):
    paths, _ = pictures
    mine = tmp_path / "mine.weights.h5"
    zoo.load("cifar_small").save_weights(mine)
    shown = []
    for name in ("cifar_small", "cifar_small.cifar10_jpeg"):
        asked = ("predict", name, "--weights", mine, paths[0], "--top", 1, "--json")
        (row,) = json.loads(command(*asked)[1])
        shown.append(row["class"])
    names = zoo.load("cifar_small").class_names
    assert shown == [str(row["index"]), names[row["index"]]]


def test_predict_takes_other_steps(command, pictures, monkeypatch):
    paths, _ = pictures
    model, asked = zoo.load("cifar_small"), {}

    def load(name, **given):
        asked.update(given, name=name)
        return model

    monkeypatch.setattr(zoo, "load", load)
    code, out, _ = command("predict", "vit3_rec", paths[0], "--steps", "1,2,1", "--top", 2)
    assert code == 0
    assert len(table(out)) == 2
    assert asked == {"name": "vit3_rec", "weights": "default", "steps": [1, 2, 1]}


def test_files_that_are_not_images_are_named(tmp_path):
    deep = tmp_path / "deep.png"
    Image.fromarray(np.zeros((4, 4), "uint16")).save(deep)
    with pytest.raises(ValueError, match="not of 8 bits"):
        decode(deep.read_bytes(), 3)
    with pytest.raises(ValueError, match="not an image that Pillow can read"):
        decode(b"no image", 1)


@pytest.mark.slow
def test_evaluate_counts_right_answers(command, data_dir):
    pytest.importorskip("tensorflow_datasets")
    code, out, _ = command(
        "evaluate", "frn_tanh", "--data-dir", data_dir, "--limit", 200, "--batch-size", 64,
        "--int8", "--json",
    )  # fmt: skip
    assert code == 0
    row, int8 = json.loads(out)
    assert (row["precision"], int8["precision"]) == ("float32", "int8")
    assert 0 < abs(row["loss"] - int8["loss"]) < 0.05
    assert (row["dataset"], row["split"], row["images"]) == ("mnist", "test", 200)
    # results.csv says 97.02 % of 10,000: of 200 within four standard errors.
    assert abs(row["top1_percent"] - 97.02) < 4 * 100 * (0.97 * 0.03 / 200) ** 0.5
    assert row["top1_percent"] * 2 == pytest.approx(round(row["top1_percent"] * 2))


@slow_on_tensorflow
def test_probe_curvature(command, tmp_path):
    target, picture = tmp_path / "c.csv", tmp_path / "c.png"
    pytest.importorskip("matplotlib")
    code, out, _ = command(
        "probe", "curvature", "planar_rec", "--points", 12, "--csv", target, "--plot", picture
    )
    rows = table(out)
    assert code == 0
    assert len(rows) == 14
    # A unit circle.
    assert (rows[0]["layer"], float(rows[0]["kappa_median"])) == ("input", pytest.approx(1))
    with open(target, encoding="utf-8") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 14 * 12
    assert Image.open(picture).width > 400


@pytest.mark.slow
def test_probe_curvature_through_images(command, pictures):
    paths, _ = pictures
    code, out, _ = command(
        "probe", "curvature", "cifar_small", "--through", *paths, "--points", 4, "--layers", "head",
        "--json",
    )  # fmt: skip
    assert code == 0
    assert [row["layer"] for row in json.loads(out)] == ["head"]


@slow_on_tensorflow
def test_probe_signal(command, tmp_path):
    target = tmp_path / "s.csv"
    code, out, _ = command(
        "probe", "signal", "frn_tanh", "--depth", 6, "--width", 300, "--draws", 4, "--every", 3,
        "--csv", target,
    )  # fmt: skip
    rows = table(out)
    assert code == 0
    assert [row["layer"] for row in rows] == ["0", "3", "6"]
    # FRN of the zoo: σ_w² = 0.1, σ_v² = 1: p grows by less than σ_w² p a layer.
    assert 1 < float(rows[-1]["p_theory"]) < 1.1**6
    assert float(rows[-1]["p_measured"]) == pytest.approx(float(rows[-1]["p_theory"]), rel=0.05)
    with open(target, encoding="utf-8") as file:
        assert [row["layer"] for row in csv.DictReader(file)] == [str(i) for i in range(7)]


@pytest.fixture
def residual(monkeypatch, tmp_path):
    """A name of the zoo that stands for a smaller network, and a folder of images for it."""
    model = zoo.build("frn_tanh", depth=4, width=12)
    keep_facts(zoo.load("frn_tanh", weights=None), model)
    monkeypatch.setattr(options, "load_network", lambda arguments, **_: model)
    rng = np.random.default_rng(0)
    for name in "01":
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (28, 28), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return "frn_tanh", "--untrained", "--dataset", tmp_path / "images"


@slow_on_tensorflow
def test_probe_lesion(command, residual, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    ask = ("probe", "lesion", *residual)
    code, out, err = command(*ask, "--csv", tmp_path / "l.csv", "--plot", tmp_path / "l.png")
    assert code == 0, err
    rows = table(out)
    assert [(row["kind"], row["count"]) for row in rows] == [("none", "0"), *[("delete", "1")] * 4]
    assert rows[1]["blocks"] == "block[0]"
    for row in rows:
        assert float(row["error_percent"]) == pytest.approx(100 - 100 * float(row["accuracy"]))
    assert len((tmp_path / "l.csv").read_text().splitlines()) == 6
    assert Image.open(tmp_path / "l.png").width > 400
    code, out, _ = command(*ask, "--delete", "1,3-4", "--repeats", 2, "--json")
    assert [len(row["blocks"]) for row in json.loads(out)] == [0, 1, 1, 3, 3, 4, 4]
    for wrong, said in (("4-1", "from less to more"), ("0", "at least 1")):
        assert said in command(*ask, "--delete", wrong)[2]
    monkeypatch.setattr(datasets, "read", None)  # what is refused is so before the data are read
    code, _, err = command(*ask, "--blocks", "stage*")
    assert (code, err.count("\n")) == (2, 1)
    assert "'stage*' is not among the residual blocks" in err


@slow_on_tensorflow
def test_probe_receptive_and_responses(command, pictures, tmp_path):
    pytest.importorskip("matplotlib")
    paths, _ = pictures
    (tmp_path / "cats" / "cat").mkdir(parents=True)
    for path in paths:
        (tmp_path / "cats" / "cat" / path.name).write_bytes(path.read_bytes())
    picture, patches = tmp_path / "fields.png", tmp_path / "top.png"
    ask = ("probe", "receptive", "cifar_small", "--plot", picture, "--layers", "conv1", "pool1")
    code, out, err = command(
        *(*ask, "--effective", 1, "--patches", "conv1", "--picture", patches),
        *("--dataset", tmp_path / "cats"),
    )
    assert code == 0, err
    rows = table(out)
    assert (rows[0]["layer"], rows[0]["size"], rows[0]["offset"]) == ("conv1", "3 x 3", "-1 x -1")
    assert all(Image.open(path).width > 300 for path in (picture, patches))
    code, _, err = command("probe", "receptive", "cifar_small", "--patches", "conv1")
    assert (code, "go together" in err) == (2, True)
    code, out, err = command("probe", "responses", "cifar_small", "--dataset", tmp_path / "cats")
    assert code == 0, err
    assert sorted(int(row["rank"]) for row in table(out)) == [*range(1, len(table(out)) + 1)]


@slow_on_tensorflow
def test_probe_gradients_and_gates(command, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "g.png"
    code, out, err = command("probe", "gradients", "planar_rec", "--inputs", 3, "--plot", picture)
    assert code == 0, err
    rows = table(out)
    assert [int(row["step"]) for row in rows] == list(range(14))
    assert (float(rows[-1]["jacobian"]), float(rows[-1]["bound"])) == (1, 1)
    assert all(float(row["jacobian"]) <= float(row["bound"]) * 1.001 for row in rows)
    assert Image.open(picture).width > 400
    code, _, err = command("probe", "gates", "planar_rec")
    assert (code, err.count("\n")) == (2, 1)
    assert "must have a layer that recurs in time" in err


def test_untie_saves_the_same_function(command, tmp_path):
    target = tmp_path / "plain.keras"
    code, out, _ = command("untie", "planar_rec", "--out", target)
    (row,) = table(out)
    assert code == 0
    assert (row["parameters_before"], row["parameters"]) == ("6", "78")
    x = np.random.default_rng(0).standard_normal((5, 2)).astype("float32")
    again = keras.models.load_model(target)
    np.testing.assert_allclose(
        again.predict(x, verbose=0),
        zoo.load("planar_rec").predict(x, verbose=0),
        atol=1e-5,
    )
    code, _, err = command("untie", "planar_rec", "--out", target)
    assert code == 2
    assert "is there already" in err
    assert command("untie", "planar_deep", "--out", tmp_path / "deep.keras")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.keras"]


def test_any_models_file_becomes_recurrent(command, tmp_path):
    x = inputs = keras.Input((4,))
    for i in range(3):
        x = keras.layers.Add()([x, keras.layers.Dense(4, name=f"part{i}_dense")(x)])
    model = keras.Model(inputs, x)
    model.save(tmp_path / "mine.keras")
    ask = ("recurrent", tmp_path / "mine.keras", "--repeat", "pa*=3")
    code, out, err = command(*ask, "--out", tmp_path / "deeper.keras")
    assert code == 0, err
    rows = table(out)
    assert [row["blocks"] for row in rows] == ["part", "model"]
    assert (rows[1]["parameters_before"], rows[1]["parameters"]) == ("60", "66")
    x = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
    deeper = keras.models.load_model(tmp_path / "deeper.keras")
    np.testing.assert_allclose(deeper.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    fold = (*ask[:2], "--out", tmp_path / "folded.keras", "--fold")
    code, _, err = command(*fold, "p*=1,init=average,keep=ends")
    assert (code, "has 3 blocks, and folding takes 4" in err) == (2, True)
    code, _, err = command(*fold, "conv*=0")
    assert (code, "similar names" in err or "its runs are 'part'" in err) == (2, True)


def test_convert_reads_the_architecture_from_the_checkpoint(command, tmp_path):
    torch = pytest.importorskip("torch")
    state = t2t_numpy.random_state(1, side=32, embed=64, mlp=192, token=16, classes=5)
    checkpoint, target = tmp_path / "tiny.pth.tar", tmp_path / "tiny.weights.h5"
    torch.save({"state_dict_ema": {k: torch.tensor(v) for k, v in state.items()}}, checkpoint)
    code, out, err = command("convert", checkpoint, "--num-heads", 4, "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert (row["file"], row["depth"], row["classes"]) == (str(target), 1, 5)
    model = models.t2t_vit(**{**row["arguments"], "input_shape": (32, 32, 3)})
    model.load_weights(target)
    # What tests/zoo/test_convert.py says of the conversion holds for these weights.
    expected = zoo.convert.t2t_vit(state, verbose=False, **row["arguments"])
    assert len(model.weights) == len(expected.weights) == row["weights"]
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(weight), keras.ops.convert_to_numpy(other)
        )


@pytest.mark.slow
@pytest.mark.on_torch
def test_convert_reads_networks_of_torchvision(command, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    small = {"auxiliary": False, "num_classes": 2, "input_shape": (32, 32, 3)}
    given = zoo.convert.checkpoint
    monkeypatch.setattr(zoo.convert, "checkpoint", lambda *args: given(*args, **small))
    model = zoo.build("googlenet", **small)
    state = {
        part.key: torch.full(part.shapes[0], 0.01 * (i % 7))
        for i, part in enumerate(networks.LAYOUTS["googlenet"][0].of(model))
    }
    torch.save(state, tmp_path / "googlenet-1378be20.pth")
    ask = ("convert", tmp_path / "googlenet-1378be20.pth")
    code, out, err = command(*ask, "--network", "googlenet", "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert (row["model"], row["classes"], row["weights"]) == ("googlenet", 2, len(model.weights))
    model.load_weights(tmp_path / "googlenet-1378be20.weights.h5")
    expected = given("googlenet", state, **small)
    for weight, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(weight), keras.ops.convert_to_numpy(other)
        )
    assert "are a T2T-ViT's" in command(*ask, "--network", "googlenet", "--steps", 2)[2]
    code, _, err = command(*ask, "--network", "googlenett", "--out", tmp_path / "other.keras")
    assert (code, "did you mean" in err) == (2, True)


def test_convert_refuses_what_is_not_a_checkpoint(command, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    for name, said in (("other.pth", "not a T2T-ViT checkpoint"), ("text.pth", "not a PyTorch")):
        code, _, err = command("convert", tmp_path / name)
        assert code == 2
        assert said in err
    assert not [*tmp_path.glob("*.h5")]


def test_blocks_are_told_with_what_is_left_alone(command):
    code, out, err = command("blocks", "planar_deep")
    assert code == 0, err
    (row,) = table(out)
    assert (row["name"], row["count"], row["parameters"]) == ("block", "13", "78")
    assert command("blocks", "cifar_small")[2].endswith(
        "left alone: conv1 … head: no equal parts of one shape follow each other: "
        "(32, 32, 3) → (10,)\n"
    )


@pytest.mark.slow
def test_export_is_there_and_not_replaced(command, tmp_path, monkeypatch):
    asked = {}
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tests/serve exports from the other backends")
    monkeypatch.setattr(serve, "export", lambda model, folder, **given: asked.update(given))
    command("export", "planar_rec", "--directory", tmp_path, "--format", "onnx", "--int8")
    assert asked == {
        "version": None,
        "formats": ["onnx"],
        "quantize": "int8",
        "representative": None,
        "server": "tensorflow",
    }
    monkeypatch.undo()
    code, out, err = command("export", "planar_rec", "--directory", tmp_path)
    assert code == 0, err
    (row,) = table(out)
    folder = tmp_path / "planar_rec" / "1"
    assert row["path"] == str(folder)
    assert (folder / "saved_model.pb").is_file()
    code, _, err = command("export", "planar_rec", "--directory", tmp_path, "--version", 1)
    assert code == 2
    assert f"{tmp_path}' has a version 1 of it already: leave out --version" in err


def test_export_that_fails_leaves_nothing(command, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    code, _, err = command("export", "planar_rec", "--directory", tmp_path / "file" / "folder")
    assert (code, err) == (2, f"error: '{tmp_path}/file' is not a folder.\n")
    target = tmp_path / "models" / "here"
    code, _, err = command("export", "planar_rec", "--directory", target, "--steps", "2,3")
    assert (code, "steps" in err) == (2, True)
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    code, _, err = command("export", "planar_rec", "--directory", target)
    assert (code, err) == (2, f"error: the folder '{tmp_path}' cannot be written.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_an_error_is_worth(capsys):
    def raising(error):
        def command():
            raise error

        return errors.run(command)

    assert raising(errors.UserError("one\n  two")) == 2
    assert raising(ValueError("x")) == 2
    assert raising(errors.Failure("x")) == 1
    assert raising(OSError("x")) == 1
    assert raising(KeyboardInterrupt()) == 130
    assert "error: one two\n" in capsys.readouterr().err
    with pytest.raises(KeyError):  # A fault of ours keeps its traceback.
        raising(KeyError("x"))


def test_names_from_files_command_no_terminal(capsys):
    output.show([{"a": "x\ty\x1b[31m\n"}], [output.Column("a")])
    assert capsys.readouterr().out == "a\nx�y�[31m�\n"
    output.show([{"a": float("nan")}], [output.Column("a")], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"a": None}]
