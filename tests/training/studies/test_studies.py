"""What every study's command has in common: what is missing is told with the command for it."""

import re

import pytest

from tests.training.studies.test_cifar_tables import coloured, prepare
from training import errors
from training.data import packed
from training.studies import __main__ as reproduce

pytestmark = pytest.mark.neutral

STUDIES = {name: reproduce.of(name).parser().format_help() for name in reproduce.EXPERIMENTS}
# Of the zoo's own trainings: it trains nothing.
OF_THE_ZOO = {"t2t_vit"}
# What makes a study want data, or begin sooner.
OF_STUDIES = {
    "recurrent_text": "imdb_reviews",
    **dict.fromkeys(("depth_and_time", "ensembles", "highway"), "mnist"),
}
MORE = {"t2t_vit": ["--tag=cifar10_jpeg"], "mnist_init": ["--parts=limits"]}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_without_trainings_tells_what_trains_them(name, empty_zoo, tmp_path, capsys):
    out = [*MORE.get(name, []), f"--out={tmp_path / 'out of here'}"]
    command = [name, *out]
    assert errors.run(reproduce.main, [*command, "--report"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    todo = " ".join(["python -m training.reproduce", name, *out[:-1], f"'{out[-1]}'"])
    if name in OF_THE_ZOO:
        todo = r"python -m training.pending --names .*\.cifar10_jpeg'? --data-dir DIR"
    assert re.fullmatch(f"error: no.*: `{todo}` trains them\\.", line)


def test_curvature_of_networks_that_nobody_trained_tells_what_trains_them(
    empty_zoo, tmp_path, capsys
):
    packed.write(tmp_path / "cifar10.npz", [coloured(128, 1, "test")])
    command = ["curvature", "--part=accuracy", "--images=100", f"--out={tmp_path / 'out'}"]
    assert errors.run(reproduce.main, [*command, f"--data-dir={tmp_path / 'cifar10.npz'}"]) == 2
    todo = "`python -m training.pending --names '*.cifar10_jpeg' --data-dir DIR` trains them."
    assert capsys.readouterr().err.endswith(todo + "\n")


@pytest.mark.parametrize(
    "name", [n for n in STUDIES if "--data-dir" in STUDIES[n] and n != "deep_thinking"]
)
def test_a_study_without_data_tells_what_fetches_them(name, tmp_path, capsys):
    command = [name, *MORE.get(name, []), f"--out={tmp_path / 'out'}", f"--data-dir={tmp_path}"]
    assert errors.run(reproduce.main, command) == 2
    dataset = OF_STUDIES.get(name, "mnist" if "mnist" in name else "cifar10")
    fetch = f"fetch it with `python -m training.data download {dataset} --data-dir {tmp_path}`"
    if name == "transfer":  # Whose classes TFDS does not have.
        fetch = "it is half of tiny_imagenet80, whose classes are the first 80 of wnids.txt"
    assert fetch in capsys.readouterr().err.splitlines()[-1]


def test_a_report_of_a_part_tells_what_trains_the_rest(tmp_path, capsys):
    prepare(tmp_path, "cifar_small", 0, 0.7, 0.7, 0.7)
    command = ["cifar_tables", "--names=cifar_small", "--rep", "--seeds", "2", f"--out={tmp_path}"]
    assert errors.run(reproduce.main, command) == 0
    again = f"cifar_tables --names=cifar_small --seeds 2 --out={tmp_path}"
    said = f"1 of 2 trainings are missing: `python -m training.reproduce {again}` trains them."
    assert said in capsys.readouterr().err
