"""A file cut into pieces that travel, and made whole again; the standard library alone.

A call to the other machine takes files of at most 64 MiB together, and its way back files of at
most 16 MiB. `tarfile` writes one stream without such limits, so that a tar would be cut as well.

Nothing that comes back is believed: names are checked, and every piece and the whole against the
SHA-256 that a manifest gives.
"""

import json
import re
from pathlib import Path

from training.errors import UserError
from training.files import digest, replacing

MANIFEST = "manifest.json"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
MIB = 1 << 20


def describe(path):
    """{"name", "bytes", "sha256"} of a file."""
    return {"name": Path(path).name, "bytes": Path(path).stat().st_size, "sha256": digest(path)}


def cut(path, sizes):
    """Cuts a file.

    Args:
        path: the file; piece i is written beside what `sizes` says as NAME.00i.
        sizes: iterator of (folder, bytes at most) for each piece in turn.

    Returns:
        What `describe` says of the file, with "pieces": the same of each.
    """
    path, pieces = Path(path), []
    whole = describe(path)
    with open(path, "rb") as file:
        while file.tell() < whole["bytes"]:
            folder, most = next(sizes)
            piece = Path(folder) / f"{path.name}.{len(pieces):03d}"
            piece.write_bytes(file.read(most))
            pieces.append(describe(piece))
    return {**whole, "pieces": pieces}


def absent(whole, folder):
    """Names of the pieces that are not in a folder."""
    names = (piece["name"] for piece in whole["pieces"])
    return [name for name in names if not (Path(folder) / name).is_file()]


def join(whole, folder, target):
    """Makes a file whole again.

    Args:
        whole: what `cut` gave.
        folder: the folder that has all of its pieces.
        target: the file to write, whole or not at all.

    Raises:
        UserError: a piece is missing or damaged.
    """
    target = Path(target)
    try:
        with replacing(target) as aside:
            with open(aside, "wb") as file:
                for piece in whole["pieces"]:
                    path = Path(folder) / piece["name"]
                    verify(path, piece)
                    file.write(path.read_bytes())
            if (found := digest(aside)) != whole["sha256"]:
                raise UserError(f"{target.name} has the SHA-256 {found}, not {whole['sha256']}.")
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}).") from None


def verify(path, piece):
    """Raises a UserError where a file is not what `describe` said of it."""
    if not path.is_file() or path.is_symlink():
        raise UserError(f"{path.parent} has no file {path.name}, which its manifest names.")
    if path.stat().st_size != piece["bytes"] or digest(path) != piece["sha256"]:
        raise UserError(
            f"{path} is corrupt: it is not the {piece['bytes']:,} bytes that its manifest tells."
        )


def read_manifest(folder, form):
    """Reads and checks the manifest of a folder.

    Args:
        folder: the folder.
        form: the "format" that it must have.

    Returns:
        Its content, a dict; every name in it is a plain file name.

    Raises:
        UserError: there is none, it is another's, or a name in it leads elsewhere.
    """
    path = Path(folder) / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != form:
            raise UserError(f"{path} has the format {content['format']!r}, not {form!r}.")
        for whole in content["files"]:
            for entry in (whole, *whole["pieces"]):
                _check(entry, path)
    except FileNotFoundError:
        raise UserError(f"{folder} has no {MANIFEST}: give the folder that has it.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a manifest ({error!r}).") from None
    return content


def _check(entry, path):
    name = entry["name"]
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise UserError(f"{path} names {name!r}, which is not a plain file name.")
    if not (isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)):
        raise UserError(f"{path} has no size and SHA-256 of {name!r}.")
