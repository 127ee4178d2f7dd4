"""The trip to another machine: archives of trainings, packs, and a row trained there."""

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from keras_recres import zoo
from training import data, errors, pending, recipes
from training.files import lock
from training.jobs import pending_rows, pending_trainings
from training.ledger import filed_runs, filing
from training.provenance import ROOT
from training.travel import collect, device, device_pack, device_results, pieces

pytestmark = pytest.mark.neutral


@pytest.fixture
def short(monkeypatch):
    """The recipe of the CIFAR-10 tables, with 2 epochs and 2 seeds."""
    recipe = recipes.load("cifar_tables")
    module = sys.modules["training.recipes.cifar_tables"]
    monkeypatch.setattr(module, "SETTINGS", {**recipe.settings, "epochs": 2})
    monkeypatch.setattr(module, "SEEDS", 2)


# --- archives of trainings


def half_done(runs, row, seed, epochs, finished=False, weights=b"w" * 3000, **metrics):
    """Writes the folder of a training that never was."""
    path = runs / row / str(seed)
    (path / "backup").mkdir(parents=True)
    name, _, tag = row.partition(".")
    settings = {"name": name, "tag": tag, "seed": seed, "epochs": 9}
    (path / "settings.json").write_text(json.dumps(settings))
    (path / "log.csv").write_text("epoch,val_accuracy,images_per_second\n0,0.25,1000\n")
    metadata = {"epoch": epochs, "weights": "epoch.weights.h5"}
    (path / "backup" / "training_metadata.json").write_text(json.dumps(metadata))
    (path / "backup" / "epoch.weights.h5").write_bytes(weights)
    if finished:
        (path / "metrics.json").write_text(json.dumps({"settings": settings, **metrics}))
        (path / f"{row}.weights.h5").write_bytes(weights)
    return path


def files(path):
    return sorted(
        p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file() and p.name != ".lock"
    )


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
    half = ["backup/epoch.weights.h5", "backup/training_metadata.json", "log.csv"]
    assert files(home / "vit7.mnist" / "0") == [*half, "settings.json"]
    lines = list(device_results.tell(runs))
    assert "vit7.mnist seed 0: 4 of 9 epochs, accuracy 0.2500, 1,000 examples/s" in lines

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


@pytest.mark.parametrize("adopted", [True, False])
def test_a_training_of_an_earlier_recipe_is_put_aside(tmp_path, adopted):
    runs, out, home = tmp_path / "runs", tmp_path / "out", tmp_path / "home"
    new = half_done(runs, "vit3.mnist", 0, 9, True, train_loss=0.3)
    now = json.loads((new / "settings.json").read_text())
    old = half_done(home, "vit3.mnist", 0, 9, True, train_loss=0.5)
    earlier = now | {"learning_rate": 0.1, "backend": "another"}
    (old / "settings.json").write_text(json.dumps(earlier))
    if adopted:  # Its metrics are all that it has.
        (old / "settings.json").unlink()
        (old / "metrics.json").write_text(json.dumps({"settings": earlier, "train_loss": 0.5}))
    device_results.pack(runs, out)
    # Which of the two the recipe asks for decides; where nobody knows, nothing is put aside.
    for asked in (None, lambda name: None, lambda name: earlier | {"backend": "a third"}):
        assert collect.collect(out, home, asked) == ([], ["vit3.mnist/0"])
    told = "vit3.mnist/0 (the one before, with other settings, is 0.earlier-1 now)"
    assert collect.collect(out, home, lambda name: now) == ([told], [])
    assert json.loads((home / "vit3.mnist/0/metrics.json").read_text())["train_loss"] == 0.3
    aside = home / "vit3.mnist" / "0.earlier-1"
    assert json.loads((aside / "metrics.json").read_text())["train_loss"] == 0.5
    assert collect.collect(out, home, lambda name: now) == ([], ["vit3.mnist/0"])
    assert [path.name for path in (home / "vit3.mnist").iterdir() if path != aside] == ["0"]


def test_what_is_being_trained_is_left_alone(tmp_path):
    runs, out, home = tmp_path / "runs", tmp_path / "out", tmp_path / "home"
    half_done(runs, "vit3.mnist", 0, 9, True, train_loss=0.3)
    device_results.pack(runs, out)
    here = half_done(home, "vit3.mnist", 0, 4)
    with lock(here):
        before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
        assert collect.collect(out, home) == ([], ["vit3.mnist/0"])
        assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before
    assert collect.collect(out, home) == (["vit3.mnist/0"], [])


def test_a_kill_while_results_are_taken_costs_nothing(tmp_path, monkeypatch):
    runs, out, home = tmp_path / "runs", tmp_path / "out", tmp_path / "home"
    half_done(runs, "vit3.mnist", 0, 9, True, train_loss=0.3)
    device_results.pack(runs, out)
    half_done(home, "vit3.mnist", 0, 4)
    folder, replace = home / "vit3.mnist" / "0", os.replace
    for stop in range(4):
        moved = []

        def killed(new, target, moved=moved, stop=stop):
            if len(moved) == stop:
                raise KeyboardInterrupt
            moved.append(replace(new, target))

        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            collect.collect(out, home)
        assert not (folder / "metrics.json").exists()
    monkeypatch.undo()
    assert collect.collect(out, home) == (["vit3.mnist/0"], [])
    plain = ["log.csv", "metrics.json", "settings.json"]
    assert files(folder) == [*plain, "vit3.mnist.weights.h5"]


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
    "no json": (lambda out: (out / "manifest.json").write_text("{"), "is not a manifest"),
    "a list": (lambda out: (out / "manifest.json").write_text("[]"), "is not a manifest"),
    "format": (lambda out: spoil_the_manifest(out, lambda m: m.update(format="x")), "format 'x'"),
    "path": (
        lambda out: spoil_the_manifest(out, lambda m: m["files"][0].update(name="../x")),
        "names '../x', which is not a plain file name",
    ),
    "whole": (
        lambda out: spoil_the_manifest(out, lambda m: m["files"][0].update(sha256="0")),
        "has the SHA-256",
    ),
    "row": (
        lambda out: other_archive(out, lambda outer: outer.writestr("../x/0.zip", "x")),
        "has '../x/0.zip', which is not a training",
    ),
    "no zip": (
        lambda out: other_archive(out, lambda outer: outer.writestr("vit3.mnist/0.zip", "x")),
        "is not an archive of trainings",
    ),
    "climbs": (lambda out: other_archive(out, with_file("../../x")), "has '../../x', not a file"),
    "absolute": (lambda out: other_archive(out, with_file("/tmp/x")), "has '/tmp/x', not a file"),
    "link": (lambda out: other_archive(out, with_file("log.csv", link=True)), "has 'log.csv', not"),
    "another": (
        lambda out: other_archive(out, with_file("log.csv")),
        "the training vit3.mnist/0 says in its settings that it is None.None/None",
    ),
}


@pytest.mark.slow
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


def test_the_weights_of_the_zoo_do_not_travel(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path)]
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    subprocess.run([*git, "init", "-q"], check=True)
    for name, size in (("zoo/weights/a.weights.h5", 5000), ("zoo/weights.txt", 30), ("b.py", 7)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    subprocess.run([*git, "add", "zoo"], check=True)
    monkeypatch.setattr(device_pack, "ROOT", tmp_path)
    assert device_pack._tree_bytes(tmp_path.parent / "pack") == 37  # What is not ignored, too.


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


@pytest.mark.slow
def test_a_row_is_trained_elsewhere_without_tensorflow_and_filed_here(
    empty_zoo, short, toy_cifar, machine, tmp_path, capsys
):
    backend, out, pack = other_backend(), tmp_path / "runs", tmp_path / "pack"
    common = [f"--data-dir={toy_cifar}", f"--out={out}", "--names=cifar_small"]
    arguments = [*common, f"--device-pack={pack}", "--no-wheels", "--part-mib=1"]
    assert errors.run(pending.main, [*arguments, f"--backend-there={backend}"]) == 0
    parts = sorted(path for path in pack.iterdir() if path.is_dir())
    assert len(parts) >= 2
    assert all(sum(f.stat().st_size for f in part.iterdir()) <= 1 << 20 for part in parts)
    said = (pack / "README.md").read_text()
    assert f"bash PACK/{len(parts)}/run.sh --minutes 9" in said
    assert "mv zoo/weights runs/at_home" in said

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
    images = data.load("cifar10", "test", toy_cifar / "cifar10.npz")
    model = zoo.load("cifar_small.cifar10", offline=True)
    logits = keras.ops.convert_to_numpy(model(model.preprocess(images.images)))
    assert (logits.argmax(1) == images.labels).mean() == pytest.approx(best["val_accuracy"])

    # Nothing is pending now, and taking the results again changes nothing.
    before = (empty_zoo / "results.csv").read_text()
    assert errors.run(pending.main, arguments) == 0
    assert "2 were there already" in capsys.readouterr().out
    assert errors.run(pending.main, common) == 0
    assert "nothing to train" in capsys.readouterr().err
    assert (empty_zoo / "results.csv").read_text() == before


def test_a_row_that_was_begun_on_another_backend_is_not_trained_there(
    empty_zoo, toy_cifar, tmp_path, capsys
):
    out = tmp_path / "runs"
    (row,) = pending_rows.rows(["cifar_small"], toy_cifar)
    training = pending_trainings.trainings(row, out)[1]
    path = half_done(out, row.label, 1, 3, finished=True)
    settings = training.settings() | {"backend": "torch"}
    (path / "metrics.json").write_text(json.dumps({"settings": settings}))
    arguments = [f"--data-dir={toy_cifar}", f"--out={out}", f"--device-pack={tmp_path / 'pack'}"]
    arguments += ["--no-wheels", "--names=cifar_small", "--part-mib=40"]
    assert errors.run(pending.main, [*arguments, "--backend-there=jax"]) == 2
    said = capsys.readouterr()
    assert f"stays here: {path} was trained on torch, and others on jax would not" in said.out
    assert "nothing is pending" in said.err
    assert errors.run(pending.main, [*arguments, "--backend-there=torch"]) == 0


def test_half_done_trainings_go_there_again(empty_zoo, toy_cifar, tmp_path, capsys):
    out, pack, stage = tmp_path / "runs", tmp_path / "pack", tmp_path / "stage"
    (row,) = pending_rows.rows(["cifar_small"], toy_cifar)
    # Of the other backend, or of the recipe as it was once, cannot go on there.
    changes = ({"backend": "jax"}, {"backend": "torch"}, {"backend": "jax", "learning_rate": 0.5})
    for training, change in zip(pending_trainings.trainings(row, out), changes, strict=True):
        path = half_done(out, row.label, training.seed, 3)
        settings = training.settings() | change
        (path / "settings.json").write_text(json.dumps(settings))
    arguments = [f"--data-dir={toy_cifar}", f"--out={out}", f"--device-pack={pack}", "--no-wheels"]
    arguments += ["--names=cifar_small", "--part-mib=40", "--backend-there=jax"]
    for _ in range(2):  # A pack takes the place of an earlier one.
        assert errors.run(pending.main, arguments) == 0
    assert [path.name for path in pack.iterdir() if path.is_dir()] == ["1"]
    # One that fails half way leaves the earlier one.
    before = sorted((path.name, path.read_bytes()) for path in (pack / "1").iterdir())

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "cut", full)
        assert errors.run(pending.main, arguments) == 2
    assert capsys.readouterr().err.endswith("cannot be written (No space left on device).\n")
    assert sorted((path.name, path.read_bytes()) for path in (pack / "1").iterdir()) == before
    assert sorted(path.name for path in pack.iterdir()) == ["1", "README.md"]
    arguments = [f"--part={pack / '1'}", f"--stage={stage}", "--minutes=0"]
    assert errors.run(device.main, [*arguments, f"--results={tmp_path / 'out'}"]) == 0
    assert [p.name for p in (stage / "runs" / row.label).iterdir()] == ["0"]
    assert device_results.Folder(stage / "runs" / row.label / "0").epochs == 3
    # And it comes back, with nothing carried, as far as it is.
    assert errors.run(device.main, [arguments[1], "--minutes=0", f"--results={tmp_path}/o"]) == 0
    assert collect.collect(tmp_path / "o", tmp_path / "home") == ([f"{row.label}/0"], [])


def test_wheels_that_cannot_be_fetched_are_one_sentence(
    empty_zoo, toy_cifar, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    arguments = [
        f"--device-pack={tmp_path / 'pack'}",
        f"--data-dir={toy_cifar}",
        "--names=cifar_small",
    ]
    assert errors.run(pending.main, [*arguments, f"--out={tmp_path}", "--part-mib=40"]) == 2
    err = capsys.readouterr().err
    assert f"pip could not fetch keras=={keras.__version__}" in err
    assert "give --no-wheels" in err
    assert err.count("\n") == 1


def test_a_part_without_the_others_is_one_sentence(tmp_path, capsys):
    assert errors.run(device.main, [f"--stage={tmp_path}"]) == 2
    assert "has no manifest.json: give the folder that has it" in capsys.readouterr().err


def test_without_the_wheels_nothing_is_begun(tmp_path, capsys):
    part = tmp_path / "2"
    part.mkdir()
    wheel = {
        "name": "keras-3.whl",
        "sha256": "0",
        "bytes": 9,
        "pieces": [{"name": "keras-3.whl.000", "sha256": "0", "bytes": 9}],
    }
    manifest = {"format": device.FORMAT, "files": [wheel]}
    (part / "manifest.json").write_text(json.dumps(manifest))
    arguments = [f"--part={part}", f"--stage={tmp_path / 'stage'}"]
    assert errors.run(device.main, arguments) == 2
    err = capsys.readouterr().err
    assert "training needs keras-3.whl whole: bring the first part again" in err
    assert err.count("\n") == 1


def test_those_that_lack_the_fewest_epochs_come_back_first(tmp_path):
    runs, out = tmp_path / "runs", tmp_path / "out"
    noise = np.random.default_rng(0).bytes(100_000)
    for seed, epochs in enumerate((1, 8, 4)):
        half_done(runs, "vit3.mnist", seed, epochs, weights=noise)
    device_results.pack(runs, out, total=250_000)
    assert sorted(collect.collect(out, tmp_path / "home")[0]) == ["vit3.mnist/1", "vit3.mnist/2"]


def test_changed_code_is_told_in_the_commit(tmp_path, monkeypatch):
    a = device.parser().parse_args([f"--stage={tmp_path}"])
    manifest = {"commit": "abc", "code": device.code_digest(), "backend": "jax"}
    assert device.environment_of(a, manifest)["KERAS_RECRES_COMMIT"] == "abc"
    monkeypatch.setattr(device, "code_digest", lambda: "other")
    assert device.environment_of(a, manifest)["KERAS_RECRES_COMMIT"] == "abc-dirty"
