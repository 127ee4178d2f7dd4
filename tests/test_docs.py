"""Every code block of the guide runs: what a user copies works."""

import argparse
import pathlib
import re
import shlex

import pytest

from keras_recres.cli import main as command

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def blocks(page, language):
    """The code blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code in blocks(page, "python"):
        exec(compile(code, page.name, "exec"), names)


@pytest.mark.neutral
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_a_page_are_those_of_the_command_line(page):
    lines = [line for code in blocks(page, "bash") for line in code.splitlines()]
    given = [shlex.split(line) for line in lines if line.startswith("keras-recres ")]
    for _, *arguments in given:
        parsed = command.parser().parse_args(arguments)
        assert isinstance(parsed, argparse.Namespace)
