"""Takes the results of a machine elsewhere back: checked first, then unpacked."""

import tempfile
from pathlib import Path

from training.errors import UserError
from training.travel import device_results, pieces


def collect(folder, out, asked=None):
    """Unpacks what `training.travel.device_results.pack` wrote.

    Every piece is checked against the manifest's size and SHA-256, and every file against what the
    folder of a training may hold, before anything is written into `out`.

    Args:
        folder: the folder that came back.
        out: the folder with the trainings' folders.
        asked: see `training.travel.device_results.unpack_runs`.

    Returns:
        (taken, kept): names ROW/SEED of what was unpacked, and of what `out` had already.

    Raises:
        UserError: the folder is missing, or something in it is damaged or does not belong there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} with results.")
    manifest = pieces.read_manifest(folder, device_results.FORMAT)
    taken, kept = [], []
    for whole in manifest["files"]:
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / whole["name"]
            pieces.join(whole, folder, archive)
            new, old = device_results.unpack_runs(archive, out, asked)
            taken, kept = taken + new, kept + old
    return taken, kept
