"""The command in a process of its own, as a user starts it, and in this one, which is faster."""

import os
import pathlib
import subprocess
import sys

import pytest

from keras_recres.cli.main import main

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def start():
    """Starts `keras-recres` in a pipe; returns the finished process."""

    def run(*arguments, cwd=None, **env):
        return subprocess.run(
            [sys.executable, "-m", "keras_recres_cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd or ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def command(capsys):
    """Runs a command line here; returns exit code, stdout and stderr."""

    def run(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def table(text):
    """Rows of tab-separated values, dicts."""
    head, *lines = text.splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]
