"""What needs no backend: fast, without Keras, in a pipe."""

import json
import os
import subprocess
import sys

import pytest

from keras_recres import zoo
from keras_recres.cli.main import COMMANDS
from tests.cli.conftest import ROOT, table

pytestmark = pytest.mark.neutral

# Arguments, exit code, what must be said.
LIGHT = [
    (["--help"], 0, "examples:"),
    (["--version"], 0, "keras-recres "),
    (["list"], 0, "planar_rec"),
    (["info", "vit3_rec"], 0, "models.t2t_vit"),
    (["predict", "--help"], 0, "keras-recres predict cifar_small cat.jpg"),
    (["export", "--help"], 0, "keras-recres export"),
    (["download"], 2, "give the names whose weights are wanted, or --all"),
    (["download", "cifar_residual"], 2, "no trained weights yet"),
    (["download", "xception"], 2, "which Keras downloads at their first use"),
    (["lst"], 2, "invalid choice"),
    (["info", "vit3_re"], 2, "did you mean 'vit3_rec'"),
    (["predict", "cifar_small", "nowhere.png"], 2, "there is no image file 'nowhere.png'"),
    (["predict", "planar_rec", "nowhere.png"], 2, "not images"),
    (["predict", "cifar_residual", "nowhere.png"], 2, "no trained weights yet"),
    (["evaluate", "cifar_small", "--data-dir", "nowhere"], 2, "there is no folder 'nowhere'"),
    (["probe", "signal", "vit3"], 2, "this works for frn_alpha_relu, frn_relu"),
    (["convert", "nowhere.pth"], 2, "there is no checkpoint file"),
    (["untie", "planar_rec", "--out", "x.h5"], 2, "must end in .keras"),
    (["recurrent", "planar_rec", "--out", "x.keras"], 2, "give --repeat or --fold"),
    (["recurrent", "vit7", "--repeat", "2", "--out", "x.keras"], 2, "must be PATTERN=STEPS"),
    (["predict", "cifar_small", "x.png", "--steps", "0"], 2, "must be an integer of at least 1"),
]


# Runs the command lines one after the other, as the command's beginning does. After each is written
# down which modules are there, so that the first that imports one too many is known.
ONE_AFTER_THE_OTHER = """
import contextlib, io, json, sys
import keras_recres_cli
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["keras-recres", *arguments]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = keras_recres_cli.main()
        except SystemExit as stop:  # argparse
            code = stop.code
    roots = sorted({name.partition(".")[0] for name in sys.modules})
    print(json.dumps([code or 0, said.getvalue(), roots]))
"""


def test_starts_within_a_second_and_without_keras():
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps([line for line, *_ in LIGHT])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        # Wide, so that no sentence is broken.
        env={**os.environ, "COLUMNS": "300"},
    )
    assert done.returncode == 0, done.stderr
    for (arguments, code, said), line in zip(LIGHT, done.stdout.splitlines(), strict=True):
        found, text, roots = json.loads(line)
        assert found == code, (arguments, text)
        assert said in " ".join(text.splitlines()), arguments
        assert "keras_recres" in roots
        heavy = {"keras", "tensorflow", "jax", "torch", "matplotlib", "h5py"}
        assert not {*roots} & heavy, arguments


@pytest.mark.slow
def test_takes_less_than_a_second():
    # Processor time, and the least of three: this machine may be busy.
    code = (
        "import time, runpy, sys; sys.argv = ['keras-recres', 'list']\n"
        "try: runpy.run_module('keras_recres_cli', run_name='__main__')\n"
        "except SystemExit: print(time.process_time())"
    )
    command = [sys.executable, "-c", code]
    said = [subprocess.check_output(command, text=True, cwd=ROOT) for _ in range(3)]
    assert min(float(text.split()[-1]) for text in said) < 1


def test_list_is_the_registry(command):
    code, out, _ = command("list")
    rows = table(out)
    assert code == 0
    assert [row["name"] for row in rows] == [record.name for record in zoo.list()]
    for row, record in zip(rows, zoo.list(), strict=True):
        # Of the network that was measured: vit3 has 10 classes there, and 1,000 in the paper.
        measured = [
            result
            for result in record.results
            if result.dataset == result.tag == record.default_tag
            and result.metric in ("top1_percent", "accuracy_percent")
        ]
        counted = measured[0].parameters if measured else record.parameters.total
        assert int(row["parameters"]) == int(counted)
        assert row["measured"] == (f"{float(measured[0].value):.9g}" if measured else "")
        assert row["weights"] == ",".join(record.loadable_tags)
        assert row["printed"] == (f"{record.paper.printed:.9g}" if record.paper.printed else "")


def test_list_selects(command):
    assert [r["name"] for r in table(command("list", "planar*", "--max-params", 30)[1])] == [
        "planar_rec",
        "planar_shallow",
    ]
    trained = json.loads(command("list", "--trained", "--json")[1])
    assert {row["name"] for row in trained} == {r.name for r in zoo.list(trained=True)}
    code, out, err = command("list", "nothing*")
    assert (code, out.count("\n"), err) == (1, 1, "nothing in the zoo matches.\n")


def test_info_json_is_the_config(command):
    _, out, _ = command("info", "vit3_rec", "--json")
    record = zoo.info("vit3_rec")
    found = json.loads(out)
    assert found["trained_tags"] == [*record.trained_tags]
    assert len(found["results"]) == len(record.results)
    assert {key: found[key] for key in record.to_dict()} == json.loads(json.dumps(record.to_dict()))


def test_every_command_has_an_example(command):
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        for one in {"listing": ("list", "info"), "probe": ("probe",)}.get(name, (name,)):
            code, out, _ = command(one, "--help")
            assert code == 0
            assert f"keras-recres {one} " in out.partition("example")[2], one


def test_a_closed_pipe_ends_in_order():
    done = subprocess.run(
        f"{sys.executable} -m keras_recres_cli list | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name\tfamily")
