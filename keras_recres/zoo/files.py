"""Files that are written whole or not at all, also for another process that reads them now."""

import contextlib
import os
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """Yields a path beside another, of the same ending; what is written there takes its place.

    After an error the other is as it was.
    """
    path = Path(path)
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_aside(path, text):
    """Writes a text file whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")
