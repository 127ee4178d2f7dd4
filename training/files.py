"""Files: written whole or not at all, locked against other processes, known by their SHA-256."""

import contextlib
import hashlib
import os
import re
from pathlib import Path

from training.errors import UserError


@contextlib.contextmanager
def replacing(path):
    """Yields a path beside another, of the same ending; what is written there takes its place.

    After an error, or where the process is killed, the other is as it was.
    """
    path = Path(path)
    aside = path.with_name(f".part.{os.getpid()}.{path.name}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_aside(path, text):
    """Writes a text file whole or not at all."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_between(path, name, text):
    """Puts a text between the lines `<!-- NAME:begin -->` and `<!-- NAME:end -->` of a file."""
    begin, end = (f"<!-- {name}:{place} -->" for place in ("begin", "end"))
    try:
        parts = re.split(f"({begin}|{end})", Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    if parts[1::2] != [begin, end]:
        raise UserError(f"{path} needs the lines {begin} and {end}, the table goes between them.")
    parts[2] = f"\n{text.strip()}\n"
    write_aside(path, "".join(parts))


def markdown_table(columns, rows, words=1):
    """The lines of a table, a list of str; its columns after so many of words hold numbers."""
    rule = "|" + "---|" * words + "--:|" * (len(columns) - words)
    lines = [f"| {' | '.join(columns)} |", rule]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def digest(path):
    """SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(folder):
    """Locks the folder of a training against other processes.

    Returns:
        A context manager that holds the lock until it is closed or the process ends; an empty one
        where there are no locks: on some network disks, and without filelock, which a machine
        elsewhere may lack.

    Raises:
        UserError: another process has it.
    """
    held = contextlib.ExitStack()
    with contextlib.suppress(ImportError):
        import filelock

        try:
            held.enter_context(filelock.FileLock(Path(folder) / ".lock", blocking=False))
        except filelock.Timeout:
            raise UserError(
                f"another process is training in {folder}: wait for its end, or give another --out."
            ) from None
        except (OSError, NotImplementedError):
            pass
    return held
