"""What the guide shows of the repository without a copy: results, figures, a gallery, the API."""

import ast
import posixpath
import re
from pathlib import Path

import griffe
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent
# Under the names that they have in the repository, so that links between them hold.
SHOWN = ("RESULTS.md", "zoo/results.csv", "training/figures/*.png", "keras_recres/serve/README.md")
PICTURE = re.compile(r"!\[(.+?)\]\((.+?\.(?:png|webp))\)")


def on_files(files, config):
    """Adds files that lie elsewhere in the repository."""
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads links between docs/ and the rest of the repository; fills gallery and API."""
    markdown = markdown.replace("](../", "](").replace("](docs/", "](")
    markdown = markdown.replace("<!-- gallery -->", _gallery(files))
    return re.sub("<!-- names of (.+) -->", lambda match: _names(match[1]), markdown)


def _names(package):
    """What a package's `__init__.py` offers, each from where it is: a module may have its name."""
    init = ROOT / package / "__init__.py"
    sources = {
        name.name: f"{node.module}.{name.name}"
        for node in ast.walk(ast.parse(init.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_recres.")
        for name in node.names
    }
    return "\n\n".join(f"::: {sources[name]}" for name in sorted(sources, key=str.lower))


def _gallery(files):
    """Every picture of every page once, with its text and a link to the page."""
    shown = {}
    for file in sorted(files.documentation_pages(), key=lambda file: file.src_uri):
        for text, target in PICTURE.findall(file.content_string):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(file.src_uri), target))
            shown.setdefault(target, f"![{text}]({target})\n\n[{text}]({file.src_uri}).")
    return "\n\n".join(shown.values())


class Examples(griffe.Extension):
    """Sessions of docstrings as code: Keras does not indent them, as griffe would have it."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            session = re.compile(r"^(>>> (?:.+\n?)+)", re.MULTILINE)
            obj.docstring.value = session.sub(r"\n```pycon\n\1\n```\n", obj.docstring.value)
