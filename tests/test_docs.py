"""Every code block of the guide runs and prints what the page says; the site has all there is."""

import argparse
import contextlib
import doctest
import importlib
import io
import pathlib
import re
import shlex

import keras
import pytest

from keras_recres.cli import main as command

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CODE = re.compile(r"^```python\n(.*?)^```\n(?:\n```output\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
FAST = ("reproduce", "substitute", "weights")
MODULES = ("layers", "models", "probes", "zoo", "serve", "distribute")


def name(page):
    return page.relative_to(ROOT / "docs").with_suffix("").as_posix()


def blocks(page, language):
    """The code blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def pages_with_python():
    for page in PAGES:
        if CODE.search(page.read_text(encoding="utf-8")):
            marks = () if page.stem in FAST else pytest.mark.slow
            yield pytest.param(page, id=name(page), marks=marks)


@pytest.mark.parametrize("page", pages_with_python())
def test_python_of_a_page_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code, output in CODE.findall(page.read_text(encoding="utf-8")):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, page.name, "exec"), names)
        # Pages show what TensorFlow computes; the others have other last digits and methods.
        if output and keras.backend.backend() == "tensorflow":
            same = doctest.OutputChecker().check_output
            assert same(output, printed.getvalue(), doctest.NORMALIZE_WHITESPACE), (
                printed.getvalue()
            )


@pytest.mark.slow
@pytest.mark.neutral
def test_the_site_has_every_public_name_and_every_figure(tmp_path):
    pytest.importorskip("mkdocstrings_handlers.python")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    for module in MODULES:
        page = (tmp_path / "api" / module / "index.html").read_text(encoding="utf-8")
        library = importlib.import_module(f"keras_recres.{module}")
        for public in getattr(library, "__all__", ("scope", "kinds", "Devices")):
            assert re.search(rf'id="keras_recres\.{module}[.\w]*\.{public}"', page), public
    gallery = (tmp_path / "gallery" / "index.html").read_text(encoding="utf-8")
    for figure in (ROOT / "training" / "figures").glob("*.png"):
        assert f"training/figures/{figure.name}" in gallery
        assert (tmp_path / "training" / "figures" / figure.name).is_file()


@pytest.mark.neutral
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_of_a_page_are_those_of_the_command_line(page):
    lines = [line for code in blocks(page, "bash") for line in code.splitlines()]
    given = [shlex.split(line) for line in lines if line.startswith("keras-recres ")]
    for _, *arguments in given:
        parsed = command.parser().parse_args(arguments)
        assert isinstance(parsed, argparse.Namespace)
