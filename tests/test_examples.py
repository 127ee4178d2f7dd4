"""Every example runs: those of each command's `--help` and those of the docstrings."""

import argparse
import contextlib
import doctest
import glob
import importlib
import importlib.util
import io
import os
import pathlib
import pkgutil
import re
import shlex
import warnings

import keras
import numpy as np
import pytest

import keras_recres
from keras_recres.cli.main import main, parser
from keras_recres.zoo import mazes
from tests.serve.conftest import checked_here
from tests.zoo import image_files

ROOT = pathlib.Path(__file__).resolve().parents[1]
BACKEND = keras.backend.backend()
CHECKED = checked_here if BACKEND == "tensorflow" else contextlib.nullcontext
# Added to examples that would take long; the last of an option counts.
SHORTER = {
    "train": ["--epochs", "1", "--freeze-epochs", "0"],
    "evaluate": ["--limit", "2"],
    "benchmark": ["--batch-sizes", "1"],
    "probe signal": ["--depth", "10", "--width", "50", "--draws", "2"],
}
# What runs elsewhere, or nowhere, and why.
LEFT_OUT = {
    "COMMAND --help": "COMMAND is a placeholder",
    "--file models/": "is exported later; tests/cli/test_computing.py",
    "serve.export(": "takes long; the examples of `export --help`, tests/serve",
    "path /": "as before",
    "model, file": "as before",
    "zoo.fine_tune(": "trains; tests/zoo/test_fine_tuning.py",
    "record[": "as before",
    "fit(": "trains; tests/probes/test_curvature_callback.py, tests/distribute",
    "71.7_T2T": "a checkpoint of others; tests/zoo/test_convert.py",
    "resnet18-f37072fd": "as before",
    "lesion(": "needs a residual network; tests/probes/test_lesion.py",
    "record.plot": "as before",
    "torch": "needs PyTorch; tests/zoo/test_convert.py",
    '"vgg16-': "a checkpoint of others; tests/zoo/test_checkpoint.py",
    "split, ": "reads a data set; tests/zoo/test_evaluation.py",
    'load("mnist"': "reads a data set; tests/training",
    "batches[": "as before",
    "data.images": "as before",
    "Decoded(": "as before",
    "images.shape": "as before",
    '"train.h5"': "reads a data set; tests/zoo/test_jets.py",
}


def subcommands(p):
    """The parsers of a parser's commands, {name: parser}."""
    return {
        name: command
        for action in p._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }


def examples(p, name=""):
    """Command lines under the help of a parser and of its commands, {"probe signal": [...]}."""
    lines = re.findall(r"^  keras-recres (.*?)(?:  \(.*)?$", p.epilog or "", re.MULTILINE)
    found = {name: lines} if lines else {}
    for part, command in subcommands(p).items():
        found |= examples(command, f"{name} {part}".strip())
    if not name:  # Those under the help of all commands stand under one's own, too.
        others = {line for lines in found.values() for line in lines if lines is not found[name]}
        found[name] = [line for line in lines if line not in others]
    return found


EXAMPLES = examples(parser())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that examples name."""
    Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = tmp_path_factory.mktemp("examples")
    image_files.write(folder / "photos", 6)
    pictures = sorted((folder / "photos").rglob("*.png"))
    for picture, name in zip(pictures, ("cat.jpg", "a.png", "b.png", "c.png"), strict=False):
        Image.open(picture).save(folder / name)
    listing = "".join(f"{path},{path.parent.name}\n" for path in pictures)
    (folder / "labels.csv").write_text(f"path,label\n{listing}")
    (folder / "mine").mkdir()
    (folder / "mine" / "held_out.csv").write_text(f"path,label\n{listing}")
    zoo = keras_recres.zoo
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        model = zoo.load("cifar_resnet20", weights=None, classes=image_files.CLASSES)
    model.save(folder / "mine" / "model.keras")
    maze, _ = mazes.draw(np.random.default_rng(0), 11)
    Image.fromarray(255 * maze.astype("uint8")).save(folder / "maze.png")
    return folder


@pytest.mark.slow
@pytest.mark.neutral
@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_help(name, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    data = os.environ.get("KERAS_RECRES_DATA")
    monkeypatch.setattr("keras_recres.cli.benchmark.SECONDS", 0)
    monkeypatch.setenv("TFDS_DATA_DIR", data or "")
    for line in EXAMPLES[name]:
        words = shlex.split(line)
        if any(part in line for part in LEFT_OUT) or ("--data-dir" in words and data is None):
            continue
        if name == "convert":
            torch = pytest.importorskip("torch")
            if not pathlib.Path(words[1]).exists():
                model = keras_recres.zoo.load("vit7", weights=None)
                state = keras_recres.zoo.convert.to_torch(model)
                torch.save({"state_dict_ema": state}, words[1])
        if "--data-dir" in words:
            words[words.index("--data-dir") + 1] = data
        if "--backend" in words:  # Which would have to be that of this process.
            words[words.index("--backend") + 1] = BACKEND
        if "triton" in words and importlib.util.find_spec("tf2onnx") is None:
            continue
        if "--int8" in words and BACKEND != "tensorflow":
            continue
        words = [w for word in words for w in (sorted(glob.glob(word)) if "*." in word else [word])]
        with CHECKED():
            code = main([*words, *SHORTER.get(" ".join(words[: 1 + (words[0] == "probe")]), [])])
        assert code == 0, (line, capsys.readouterr().err)


def modules(room):
    """A room's modules: a package with all that is in it, or the files of keras_recres itself."""
    package = importlib.import_module(room)
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{room}."):
        if not (found.name.endswith("__main__") or (room == "keras_recres" and found.ispkg)):
            try:
                yield importlib.import_module(found.name)
            except ModuleNotFoundError as error:
                if error.name not in ("jax", "torch"):  # What compares with another backend.
                    raise


def spelled(value):
    """What a docstring writes for a value, whatever the backend."""
    if keras.ops.is_tensor(value):
        value = np.round(keras.ops.convert_to_numpy(value).astype("float64"), 3).tolist()
    elif type(value).__name__ in ("TensorShape", "Size"):
        value = tuple(value)
    return "" if value is None else f"{value!r}\n"


def run(example, scope):
    """Runs one example; returns what it shows."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            value = eval(compile(example.source, "example", "eval"), scope)
        except SyntaxError:
            value = exec(compile(example.source, "example", "exec"), scope)
    return printed.getvalue() + spelled(value)


# What docstrings take for granted.
def common():
    names = {name: getattr(keras_recres, name) for name in ("models", "probes", "serve", "zoo")}
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype="uint8")
    model = keras_recres.zoo.load("cifar_small")
    return {
        **names,
        **{"keras_recres": keras_recres, "keras": keras, "ops": keras.ops, "np": np},
        **{"model": model, "images": images, "labels": np.arange(8) % 4},
        **{
            "curves": keras_recres.probes.curves,
            "x_train": images / 255.0,
            "a": np.zeros(2),
            "b": np.ones(2),
        },
    }


ROOMS = ("layers", "models", "probes", "serve", "zoo", "training")


@pytest.mark.slow
@pytest.mark.neutral
@pytest.mark.parametrize("room", ROOMS)
def test_examples_of_docstrings(room, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, tried, wrong = common(), 0, []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for module in modules(room if room == "training" else f"keras_recres.{room}"):
        for case in doctest.DocTestFinder(exclude_empty=True).find(module):
            scope = {**vars(module), **names}
            for example in case.examples:
                if any(part in example.source for part in LEFT_OUT):
                    continue
                tried += 1
                try:
                    shown = run(example, scope)
                except Exception as error:
                    wrong.append((case.name, example.source, error))
                    continue
                skipped = not example.want or doctest.SKIP in example.options
                if not skipped and not doctest.OutputChecker().check_output(
                    example.want, shown, flags
                ):
                    wrong.append((case.name, example.source, shown))
    assert tried
    assert not wrong


class Parsed(Exception):
    """A command line was understood, which is all that is wanted of it."""


@pytest.mark.neutral
def test_examples_of_trainings_are_understood(monkeypatch, capsys):
    """They take hours; tests/training has what they do."""
    from training.studies import EXPERIMENTS

    rooms = ("fit", "data", "report")
    rooms = (*(f"{room}.__main__" for room in rooms), "evaluate", "pending", "benchmark")
    calls = [(f"training.{room}", []) for room in rooms]
    calls += [("training.studies.__main__", [name]) for name in EXPERIMENTS]
    lines = set()
    for module, name in calls:
        with pytest.raises(SystemExit):
            importlib.import_module(module).main([*name, "--help"])
        text = capsys.readouterr().out.replace("\\\n", "")
        lines |= {*re.findall(r"^  (?:\w+=\w+ )?python -m (training.*)$", text, re.MULTILINE)}
    assert len(lines) > 25
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        lines |= {*re.findall(r"^python -m (training\S* .*)$", text, re.MULTILINE)}
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self, args=None, namespace=None):
        parse(self, args, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    for line in lines:
        module, *words = shlex.split(line.partition("   ")[0])
        package = importlib.util.find_spec(module).submodule_search_locations is not None
        with pytest.raises(Parsed):
            importlib.import_module(module + ".__main__" * package).main(words)
