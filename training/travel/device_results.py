"""Folders of trainings as archives that travel; the standard library alone.

    manifest.json                       sizes and SHA-256 of all that follows
    results.zip.000, results.zip.001    one zip, cut: `cat results.zip.* > results.zip` joins it
        NAME.TAG/SEED.zip               the folder of one training

A finished training comes without its backup, and with weights only if it is the best seed of its
row; a half-done one comes with its backup, to go on elsewhere. What does not fit is left out and
said. What has not travelled before comes first.
"""

import csv
import io
import itertools
import json
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

from training import recipes
from training.errors import UserError
from training.files import lock, write_aside
from training.settings import Settings
from training.travel import pieces

FORMAT = "keras_recres.results.1"
ARCHIVE = "results.zip"
# What a way back with limits lets through: files of 16 MiB, 64 MiB together, and a log beside them.
PIECE, TOTAL = 15 * pieces.MIB, 60 * pieces.MIB
MEMBER = re.compile(r"([a-z][a-z0-9_]*\.[a-z][a-z0-9_]*)/(0|[1-9][0-9]{0,5})\.zip")
FILE = re.compile(r"(backup/)?[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")
LARGEST = 1 << 30
# What another machine may have otherwise.
_ELSEWHERE = ("backend",)


class Folder:
    """The folder of one training, ROW/SEED.

    Args:
        path: the folder.
    """

    def __init__(self, path):
        self.path, self.row, self.seed = path, path.parent.name, int(path.name)
        self.metrics, backup = _json(path / "metrics.json"), path / "backup"
        self.epochs = int(_json(backup / "training_metadata.json").get("epoch", 0))
        settings = _json(path / "settings.json")
        self.asked, self.begun = settings.get("epochs"), bool(settings)
        self.log = []
        if (path / "log.csv").exists():
            with open(path / "log.csv", newline="", encoding="utf-8") as file:
                self.log = list(csv.DictReader(file))

    @property
    def loss(self):
        """What the best seed has least of, as `training.ledger.recording.record` chooses it."""
        return self.metrics.get("train_set_loss", self.metrics.get("train_loss", float("inf")))

    @property
    def state(self):
        """Changes when there is something new to bring."""
        return "finished" if self.metrics else f"{self.epochs} epochs"


def _json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}


def folders(runs):
    """All trainings in a folder of ROW/SEED that were begun there, in order of value."""
    found = [Folder(p) for p in Path(runs).glob("*/*") if MEMBER.fullmatch(f"{_named(p)}.zip")]
    order = [name for recipe in recipes.in_order() for name in recipe.names]

    def rank(folder):
        name = folder.row.partition(".")[0]
        return folder.seed, order.index(name) if name in order else len(order), folder.row

    return sorted((folder for folder in found if folder.begun), key=rank)


def _named(path):
    return f"{path.parent.name}/{path.name}"


def tell(runs):
    """One line a training: how far it is and what it has reached."""
    for folder in folders(runs):
        line = f"{folder.row} seed {folder.seed}: "
        line += "finished" if folder.metrics else f"{folder.epochs} of {folder.asked} epochs"
        if folder.log:
            last = folder.log[-1]
            line += f", accuracy {float(last.get('val_accuracy') or 'nan'):.4f}"
            line += f", {float(last.get('images_per_second') or 'nan'):,.0f} examples/s"
        yield line


def pack(runs, out, brought=None, total=TOTAL):
    """Writes the archives of all trainings, see the module's docstring.

    Args:
        runs: the folder with ROW/SEED.
        out: the folder for the archives; those that are there are replaced.
        brought: a JSON file that keeps what has travelled before, None for no such file.
        total: bytes that the archives may have together.

    Returns:
        Sentences on what is in them.
    """
    before = _json(brought) if brought else {}
    found = folders(runs)
    # New things first: the finished, then those that lack the fewest epochs.
    found.sort(
        key=lambda f: (
            before.get(_named(f.path)) == f.state,
            not f.metrics,
            (f.asked or 0) - f.epochs,
        )
    )
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in (*out.glob(f"{ARCHIVE}.*"), out / pieces.MANIFEST):
            old.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            archive = Path(scratch) / ARCHIVE
            taken, left = _fill(archive, found, total)
            files = [pieces.cut(archive, itertools.repeat((out, PIECE)))] if taken else []
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}).") from None
    content = {"format": FORMAT, "trainings": [_named(f.path) for f in taken], "files": files}
    write_aside(out / pieces.MANIFEST, json.dumps(content, indent=2) + "\n")
    if brought:
        before |= {_named(folder.path): folder.state for folder in taken}
        write_aside(brought, json.dumps(before, indent=2) + "\n")
    size = sum(piece["bytes"] for file in files for piece in file["pieces"]) / pieces.MIB
    said = [f"{len(taken)} trainings are in {out}, {size:.1f} MiB"]
    if left:
        names = ", ".join(_named(folder.path) for folder in left)
        said.append(f"left out, since {total / pieces.MIB:.0f} MiB is the limit: {names}")
    return said


def _fill(archive, found, total):
    """Writes the zip of zips; returns what is in it, and what did not fit."""
    # Each training is packed for itself, since only its packed size tells whether it still fits.
    best = {}
    for folder in sorted((f for f in found if f.metrics), key=lambda f: (f.loss, f.seed)):
        best.setdefault(folder.row, folder)
    filed = {name for r in recipes.in_order() if r.weights for name in r.names}
    taken, left, size = [], [], 0
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as outer:
        for folder in found:
            keep = best.get(folder.row) is folder
            keep = keep and folder.row.partition(".")[0] in filed
            content = _zip(folder, keep)
            if size + len(content) > total:
                left.append(folder)
                continue
            outer.writestr(f"{_named(folder.path)}.zip", content)
            size += len(content) + 512  # What a zip adds for a member.
            taken.append(folder)
    return taken, left


def bundle(archive, found):
    """Writes half-done trainings, a list of `Folder`, as `unpack_runs` takes them."""
    _fill(archive, found, LARGEST)
    return archive


def _zip(folder, weights):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for path in sorted(p for p in folder.path.rglob("*") if p.is_file()):
            name = path.relative_to(folder.path).as_posix()
            if folder.metrics and (
                name.startswith("backup/") or (_is_weights(name) and not weights)
            ):
                continue
            if FILE.fullmatch(name):
                file.write(path, name)
    return buffer.getvalue()


def _is_weights(name):
    return name.endswith(".weights.h5")


def unpack_runs(archive, runs, asked=None):
    """Unpacks the zip of zips.

    A training that is finished in `runs`, as far there as in the archive, or being trained there,
    is left as it is. But one of an earlier recipe is put aside as ROW/SEED.earlier-N if the
    archive has one of the recipe as it is now.

    Args:
        archive: the zip.
        runs: the folder for ROW/SEED.
        asked: function that gives the settings that a training ROW/SEED is to have now, or None;
            without it none is put aside.

    Returns:
        (taken, kept): names ROW/SEED of what was unpacked, with a word on what was put aside, and
            of what was left as it is.

    Raises:
        UserError: the archive is broken, something in it is not a file of a training, or what would
            be put aside is being trained.
    """
    taken, kept = [], []
    try:
        with zipfile.ZipFile(archive) as outer:
            for member in outer.infolist():
                if not MEMBER.fullmatch(member.filename) or member.file_size > LARGEST:
                    raise UserError(f"{archive} has {member.filename!r}, which is not a training.")
                name = member.filename.removesuffix(".zip")
                with tempfile.TemporaryDirectory(dir=_made(runs)) as scratch:
                    new = Path(scratch) / name
                    new.mkdir(parents=True)
                    _unpack_one(io.BytesIO(outer.read(member)), name, new)
                    target, told = Path(runs) / name, name
                    if aside := _put_aside(target, new, asked(name) if asked else None):
                        told += f" (the one before, with other settings, is {aside.name} now)"
                    (taken if _take(Folder(new), target) else kept).append(told)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError) as error:
        raise UserError(f"{archive} is not an archive of trainings ({error}).") from None
    except OSError as error:
        raise UserError(f"{runs} cannot be written ({error.strerror}).") from None
    return taken, kept


def _made(path):
    Path(path).mkdir(parents=True, exist_ok=True)
    return path


def _unpack_one(content, name, target):
    with zipfile.ZipFile(content) as inner:
        members = inner.infolist()
        if sum(member.file_size for member in members) > LARGEST:
            raise UserError(f"the training {name} would unpack to more than a gigabyte.")
        for member in members:
            # Stricter than tarfile's filter="data", which knows neither these names nor a size.
            link = member.external_attr >> 16 & 0o170000 == 0o120000
            if not FILE.fullmatch(member.filename) or link:
                raise UserError(f"the training {name} has {member.filename!r}, not a file of one.")
            path = target / member.filename
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(inner.read(member))
    settings, folder = _json(target / "settings.json"), Folder(target)
    told = f"{settings.get('name')}.{settings.get('tag')}/{settings.get('seed')}"
    if told != name or (folder.metrics and folder.metrics.get("settings") != settings):
        raise UserError(f"the training {name} says in its settings that it is {told}.")


def _put_aside(target, new, asked):
    """Renames a training of an earlier recipe if the new one is of today's; where to, or None."""
    old = _settings(target)
    if asked is None or not old:
        return None
    asked = Settings.of(asked)
    if asked.differences(_settings(new), _ELSEWHERE) or not asked.differences(old, _ELSEWHERE):
        return None
    with lock(target):  # Nobody is to be training there.
        numbers = itertools.count(1)
        aside = next(p for n in numbers if not (p := Path(f"{target}.earlier-{n}")).exists())
        target.rename(aside)
    return aside


def _settings(folder):
    """Those of a training, which one that was adopted tells in its metrics alone; or {}."""
    found = _json(folder / "settings.json") or _json(folder / "metrics.json").get("settings")
    return found or {}


def _take(new, target):
    """Moves a training where it belongs; returns False if what is there is as far, or under way."""
    target.mkdir(parents=True, exist_ok=True)
    try:
        held = lock(target)
    except UserError:
        return False
    with held:
        old = Folder(target)
        if old.metrics or (old.epochs and not new.metrics and old.epochs >= new.epochs):
            return False
        shutil.rmtree(target / "backup", ignore_errors=True)
        # The metrics last: with them a training is whole, and nothing is taken after them.
        for path in sorted(new.path.iterdir(), key=lambda path: path.name == "metrics.json"):
            os.replace(path, target / path.name)
    return True
