"""The manifest: sha256 and size of every file of the zoo, checked before a file is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from keras_recres.zoo.files import write_aside

FOLDERS = ("configs", "configs/bases", "weights", "golden", "vocabularies")


def read(folder):
    """The entries of `folder/manifest.json`, {"weights/…": {"sha256": …, "bytes": …}}.

    A folder without a manifest has no entries.
    """
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a zoo manifest, a JSON object with the key 'files' ({error})."
        ) from None


def entry_of(path):
    """The entry that a file must have: its sha256 and its size."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": Path(path).stat().st_size}


def describe(folder):
    """The entries that the files in `folder` have now, sorted by name."""
    folder = Path(folder)
    paths = [p for sub in FOLDERS for p in (folder / sub).glob("*") if p.is_file()]
    # A name that starts with a dot only keeps an empty folder in the repository.
    paths = sorted(p for p in paths if not p.name.startswith("."))
    return {path.relative_to(folder).as_posix(): entry_of(path) for path in paths}


def write(folder):
    """Writes `folder/manifest.json` anew from the files that are there, and returns its path."""
    path = Path(folder) / "manifest.json"
    text = json.dumps({"files": describe(folder)}, indent=2) + "\n"
    write_aside(path, text)
    return path


def check(path, expected, advice, called=None):
    """Raises a ValueError unless the file has the expected size and sha256.

    Args:
        path: The file.
        expected: Its entry in the manifest.
        advice: What the user can do about a corrupt file, the end of the error's sentence.
        called: What the error calls the file; default its path.
    """
    # Nearly always a truncated file: the size tells without reading it.
    found = {"bytes": Path(path).stat().st_size}
    if found["bytes"] == expected["bytes"]:
        found = entry_of(path)
    if found != {key: expected[key] for key in found}:
        raise ValueError(
            f"{called or path} is corrupt: expected {_spell(expected)}, "
            f"found {_spell(found)}; {advice}."
        )


def _spell(entry):
    digest = f" with sha256 {entry['sha256']}" if "sha256" in entry else ""
    return f"{entry['bytes']:,} bytes{digest}"
