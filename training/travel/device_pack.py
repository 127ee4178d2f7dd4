"""Writes what a machine without network and TensorFlow needs to train pending rows.

Into one folder: parts that each fit beside the working tree into what a call to that machine may
carry, with the packed data sets, the wheels that it lacks, half-done trainings, and a README with
the commands.
"""

import contextlib
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from training import data
from training.console import progress_bar
from training.data import packed, places
from training.errors import UserError
from training.fit.run_folder import lock
from training.fit.watchers import EXACT
from training.jobs import pending_trainings
from training.provenance import ROOT, commit
from training.travel import device, device_results, pieces

# What Keras needs that a machine with PyTorch and JAX has not.
WHEELS = ("keras", "namex", "optree")
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
# What a call carries by default, the working tree included; and the most that a part may have.
CALL, MOST = 64 * pieces.MIB, 60 * pieces.MIB
# What stays at home meanwhile: nothing there needs it, and it grows with every row.
HOME = "zoo/weights"
RUN = """#!/usr/bin/env bash
# In the root of the working tree: bash PACK/1/run.sh --minutes 9 --jobs 8
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec "${PYTHON:-python3}" -u -m training.device --part "$here" "$@"
"""


def make(rows, a):
    """Writes a pack.

    Args:
        rows: the rows to train there, those first whose data shall be there first.
        a: arguments `device_pack` (the folder), `data_dir`, `out`, `wheels`, `part_mib`,
            `python_there`, `backend_there`.

    Returns:
        Sentences on what was written.
    """
    folder = a.device_pack
    tree = _tree_bytes(folder)
    part = _part_bytes(a.part_mib, tree)
    rows = [row for row in rows if row.needs and row.exists and row.place]
    apart = {row: done for row in rows if (done := _finished_otherwise(row, a))}
    for row, done in apart.items():
        yield (
            f"{row.label} stays here: {done.path} was trained on {done.begun_with['backend']}, and "
            f"others on {a.backend_there} would not count with it; give another --backend-there, "
            "or another --out"
        )
    rows = [row for row in rows if row not in apart]
    if not rows:
        raise UserError("nothing is pending that the data sets here can train: no pack is written.")
    _check_replaceable(folder)
    manifest = {
        "format": device.FORMAT,
        "commit": commit(),
        "code": device.code_digest(),
        "backend": a.backend_there,
    }
    # Whole or not at all: an earlier pack stays until all parts of this one are there.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        new = Path(scratch) / "parts"
        new.mkdir()
        files = list(_files(rows, a, Path(scratch)))
        try:
            space = _space(new, part)
            manifest["files"] = wholes = [pieces.cut(path, space) for path in files]
            text = json.dumps(manifest, indent=1) + "\n"
            for path in new.iterdir():
                (path / pieces.MANIFEST).write_text(text, encoding="utf-8")
                (path / "run.sh").write_text(RUN, encoding="utf-8")
            parts = _replace(folder, new)
        except OSError as error:
            raise UserError(f"{folder} cannot be written ({error.strerror}).") from None
    completes = {path.name: _completes(wholes, parts, path) for path in parts}
    (folder / "README.md").write_text(
        _readme(folder, rows, completes, a.backend_there), encoding="utf-8"
    )
    for path in parts:
        size = sum(file.stat().st_size for file in path.iterdir()) / pieces.MIB
        yield f"{path}: {size:.1f} MiB; whole with it: {', '.join(completes[path.name]) or '-'}"
    yield f"the commands are in {folder / 'README.md'}"


def _tree_bytes(folder):
    """Bytes of the working tree without `HOME`, which travel with every call."""
    names = _git("ls-files", "-coz", "--exclude-standard").split("\0")
    inside = folder.resolve().is_relative_to(ROOT)
    if inside and names != [""] and not _git("check-ignore", str(folder.resolve())):
        raise UserError(
            f"{folder} is in the working tree and not ignored, so that it would travel with every "
            "call: take a folder such as runs/device."
        )
    paths = [ROOT / name for name in names if not name.startswith(f"{HOME}/")]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _git(*arguments):
    command = ["git", "-C", str(ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip("\n") if done.returncode == 0 else ""


def _part_bytes(asked, tree):
    if asked is not None and not 1 <= asked <= MOST / pieces.MIB:
        raise UserError(f"--part-mib must be from 1 to {MOST // pieces.MIB}, found {asked:g}.")
    most = min(MOST, CALL - tree - pieces.MIB)
    size = most if asked is None else int(asked * pieces.MIB)
    if size < pieces.MIB:
        raise UserError(
            f"the working tree has {tree / pieces.MIB:.0f} MiB without {HOME}: nothing fits beside "
            f"it into the {CALL // pieces.MIB} MiB of a call; give --part-mib for a "
            "machine without that limit."
        )
    return size


def _check_replaceable(folder):
    """Makes the folder; raises a UserError if a number there is not a part of a pack."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}).") from None
    for part in folder.glob("[0-9]*"):
        pieces.read_manifest(part, device.FORMAT)


def _replace(folder, new):
    """Moves the parts in `new` into the folder, in place of those there; returns them in order."""
    for part in folder.glob("[0-9]*"):
        shutil.rmtree(part)
    return [path.rename(folder / path.name) for path in sorted(new.iterdir(), key=_number)]


def _number(path):
    return int(path.name)


def _space(folder, size):
    """Where the next piece goes and how long it may be: the parts in turn."""
    reserve = 256 * 1024  # Manifest and run.sh.
    for number in itertools.count(1):
        path = folder / str(number)
        path.mkdir()
        while (left := size - reserve - sum(f.stat().st_size for f in path.iterdir())) > 1 << 16:
            yield path, left


def _files(rows, a, scratch):
    """Writes what the pack consists of; gives the paths, the first needed first."""
    if a.wheels:
        yield from _wheels(scratch / "wheels", a.python_there)
    halves = _half_done(rows, a, scratch / "earlier.zip")
    if halves:
        yield halves
    datasets = list(dict.fromkeys(row.recipe.dataset for row in rows))
    with progress_bar("packing data sets", len(datasets)) as advance:
        for dataset in datasets:
            yield from _data(dataset, a.data_dir, scratch)
            advance(1)


def _wheels(folder, python):
    """Fetches the wheels with pip."""
    folder.mkdir()
    names = [f"{WHEELS[0]}=={version(WHEELS[0])}", *WHEELS[1:]]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    command += [f"--python-version={python}", "--implementation=cp", f"--dest={folder}"]
    command += [f"--platform={platform}_x86_64" for platform in PLATFORMS]
    done = subprocess.run([*command, *names], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise UserError(
            f"pip could not fetch {', '.join(names)} for Python {python} "
            f"({lines[-1] if lines else 'no reason given'}): give --no-wheels for a machine that "
            "has them."
        )
    return sorted(folder.glob("*.whl"))


def _finished_otherwise(row, a):
    """A training of a row that is finished here as its recipe says, on another backend; or None."""
    for training in pending_trainings.trainings(row, a.out):
        settings = training.begun_with
        if training.metrics is None or settings["backend"] == a.backend_there:
            continue
        if pending_trainings.as_its_recipe_says(training, settings):
            return training
    return None


def _half_done(rows, a, target):
    """Half-done trainings that can go on there; None where there are none."""
    found = []
    with contextlib.ExitStack() as locks:
        for row in rows:
            for training in pending_trainings.trainings(row, a.out):
                settings = training.begun_with
                if training.metrics is not None or settings is None:
                    continue
                # Another backend, or what the recipe was once, cannot go on there.
                alike = pending_trainings.as_its_recipe_says(training, settings)
                if not alike or settings["backend"] != a.backend_there:
                    continue
                try:
                    locks.enter_context(lock(training.path))
                except UserError:
                    continue  # It is going on here.
                found.append(device_results.Folder(training.path))
        return device_results.bundle(target, found) if found else None


def _data(dataset, data_dir, scratch):
    """Packs a data set, and with CIFAR-10 the test images whose original pixels are there."""
    for name, splits in ((dataset, ("train", "evaluation")), (EXACT, ("evaluation",))):
        place = places.find(name, data_dir)
        if name == EXACT and (dataset != "cifar10" or place is None):
            continue
        parts = [data.read_encoded(name, split, place.path) for split in splits]
        packed.write(scratch / f"{name}.npz", parts, compress=True)
        yield scratch / f"{name}.npz"


def _completes(wholes, parts, last):
    """Names of the files whose last piece is in a part."""
    names = {file.name for file in last.iterdir()}
    return [whole["name"] for whole in wholes if whole["pieces"][-1]["name"] in names]


def _readme(folder, rows, completes, backend):
    try:
        carried = folder.resolve().relative_to(ROOT).as_posix()
    except ValueError:
        carried = "PACK"  # It is outside: to be copied into an ignored folder of the checkout.
    datasets = {f"{row.recipe.dataset}.npz" for row in rows}
    lines = [
        "# A device pack",
        "",
        "For a machine with an accelerator, Python, JAX or PyTorch, and neither network nor",
        "TensorFlow. One call a part, in this order and without a pause, since what a call leaves",
        "there is gone with the machine. Each carries its part and runs its line in the root of",
        f"the working tree{' (PACK: the copy of this folder there)' if carried == 'PACK' else ''}.",
        "",
        "There is room for that without the zoo's weights: before the first call give the first of",
        "these, after the last one the second.",
        "",
        "```bash",
        f"mkdir -p runs && mv {HOME} runs/at_home",
        f"mv runs/at_home {HOME}",
        "```",
        "",
        "| call | carries | command | data sets that are whole then |",
        "|--:|---|---|---|",
    ]
    whole = set()
    for number, names in completes.items():
        new = {name for name in names if name in datasets}
        whole |= new
        minutes = 9 if whole else 0
        command = f"bash {carried}/{number}/run.sh --minutes {minutes} --jobs 8"
        told = ", ".join(sorted(name.removesuffix(".npz") for name in whole)) or "none yet"
        lines.append(f"| {number} | `{carried}/{number}` | `{command}` | {told} |")
    lines += [
        "",
        "Then, to go on with what is not finished, as often as there is time, carrying nothing:",
        "",
        "```bash",
        "python3 -m training.device --minutes 9 --jobs 8",
        "```",
        "",
        "Also for each call: `--names 'vit*'` (wildcards) for certain rows only, `--seeds 2` for",
        "fewer seeds, `--backend torch`, `--minutes 0` for nothing but the results. What comes",
        "back of every call:",
        "",
        "```bash",
        "python -m training.pending --collect FOLDER_OF_THE_RESULTS",
        "```",
        "",
        "checks it, unpacks it into runs/pending and files in zoo/ what is finished. A later",
        "`--device-pack` takes half-done trainings along. What comes back has a limit, and a",
        "half-done T2T-ViT has 20 to 50 MiB: in the last call give `--jobs 2`, or the epochs of",
        "others are lost with the machine. The code is that of the working tree, which travels",
        "too: commit before, or the results are filed as of a changed commit.",
        "",
        "For anything else there, such as `python3 -m training.benchmark train`, set",
        "",
        "```bash",
        f"export PYTHONPATH={device.STAGE}/site KERAS_BACKEND={backend}",
        "```",
        "",
        "Rows:",
        "",
        *(f"- {row.label}: {row.needs}, recipe {row.recipe.name}" for row in rows),
        "",
    ]
    return "\n".join(lines)
