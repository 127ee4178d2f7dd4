"""Trains pending rows on a machine without network and TensorFlow, out of a device pack.

    bash PACK/1/run.sh --minutes 9 --jobs 8              brings a part, as PACK/README.md tells
    python3 -m training.device --minutes 9 --jobs 8      goes on with what was brought

`training.pending --device-pack` writes the pack's parts. Each call brings a part, keeps it in a
folder that outlasts the call, makes whole what has all of its pieces, trains what is pending on
the data sets that are there, and writes all results into a few archives, see `device_results.py`.
Keras may be missing until the wheels of the pack are installed: this file needs Python alone.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from training.errors import UserError
from training.files import digest
from training.travel import device_results, pieces

ROOT = Path(__file__).resolve().parents[2]
FORMAT = "keras_recres.device_pack.1"
STAGE = "/tmp/keras_recres_device"
# Where a file of the pack belongs, by the end of its name.
FOLDERS = {".npz": "data", ".whl": "wheels", ".zip": "zip"}
# Seconds that are kept back for ending the trainings and packing the results.
RESERVE, PACKING = 45, 5


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="bash PART/run.sh",
        description="Train pending rows out of a device pack; what is not known here goes to "
        "`python -m training.pending`.",
    )
    p.add_argument(
        "--part", type=Path, help="the folder of a part; default what was brought before"
    )
    p.add_argument("--minutes", type=float, default=9.0, help="in all, 0 only unpacks (default 9)")
    p.add_argument("--jobs", type=int, default=8, help="trainings side by side (default 8)")
    p.add_argument("--backend", choices=("jax", "torch"), help="default that of the pack")
    p.add_argument("--cpu", action="store_true", help="train also where there is no accelerator")
    p.add_argument("--stage", type=Path, default=Path(STAGE), help=f"default {STAGE}")
    p.add_argument("--results", type=Path, help="default the folder OUT, else STAGE/results")
    return p


def main(argv=None):
    """The command line."""
    begin = time.monotonic()
    a, others = parser().parse_known_args(argv)
    results = a.results or Path(os.environ.get("OUT") or a.stage / "results")
    part = a.part or a.stage
    manifest = pieces.read_manifest(part, FORMAT)
    lacking = unpack(part, manifest, a.stage)
    for name, names in lacking.items():
        print(f"{name} is not whole yet: {', '.join(names)} to come", flush=True)
    code = 0
    if a.minutes > 0:
        environment = environment_of(a, manifest, lacking)
        budget = 60 * a.minutes - (time.monotonic() - begin) - RESERVE
        code = train(a, others, environment, max(budget, 1.0))
    for line in device_results.tell(a.stage / "runs"):
        print(line)
    for line in device_results.pack(a.stage / "runs", results, a.stage / "brought.json"):
        print(line)
    print(f"{time.monotonic() - begin:.0f} s in all", flush=True)
    return code


def unpack(part, manifest, stage):
    """Keeps a part's pieces, and makes whole the files whose pieces are all there.

    Returns:
        {name of a file that is not whole yet: names of its missing pieces}.
    """
    kept, lacking = stage / "pieces", {}
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for folder in FOLDERS.values():
            (stage / folder).mkdir(exist_ok=True)
        if part != stage:
            shutil.copy(part / pieces.MANIFEST, stage / pieces.MANIFEST)
        for whole in manifest["files"]:
            for piece in whole["pieces"]:
                if (part / piece["name"]).exists():
                    shutil.copy(part / piece["name"], kept / piece["name"])
    except OSError as error:
        raise UserError(f"{stage} cannot be written ({error.strerror}).") from None
    for whole in manifest["files"]:
        suffix = Path(whole["name"]).suffix
        if suffix not in FOLDERS:
            raise UserError(f"the pack has {whole['name']!r}, for which there is no place.")
        target = stage / FOLDERS[suffix] / whole["name"]
        if target.exists() and digest(target) == whole["sha256"]:
            continue
        if names := pieces.absent(whole, kept):
            lacking[whole["name"]] = names
            continue
        pieces.join(whole, kept, target)
        if suffix == ".zip":
            device_results.unpack_runs(target, stage / "runs")
    return lacking


def environment_of(a, manifest, lacking=()):
    """Installs the pack's wheels; returns the environment variables of the trainings."""
    if absent := [name for name in lacking if name.endswith(".whl")]:
        raise UserError(
            f"training needs {', '.join(sorted(absent))} whole: bring the first part again, since "
            "what an earlier call left here is gone with its machine."
        )
    wheels = sorted((a.stage / "wheels").glob("*.whl"))
    site = (a.stage / "site").resolve()
    if wheels and not site.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        command += ["--no-compile", "--no-cache-dir", "--target", str(site), *map(str, wheels)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(site, ignore_errors=True)
            raise UserError(f"the wheels could not be installed: {_last_line(done.stderr)}")
    path = [str(site)] if wheels else []
    path += [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    commit = manifest.get("commit", "")
    if commit and not commit.endswith("-dirty") and code_digest() != manifest.get("code"):
        commit += "-dirty"
    return {
        **os.environ,
        "KERAS_BACKEND": a.backend or manifest.get("backend", "jax"),
        "KERAS_RECRES_COMMIT": commit,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
        # The process that waits for the trainings takes no memory from them.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # Seeds of a network are compiled once.
        "JAX_COMPILATION_CACHE_DIR": str((a.stage / "jax_cache").resolve()),
    }


def train(a, others, environment, budget):
    """Runs `training.pending` for so many seconds; returns its exit code."""
    command = [sys.executable, "-m", "training.pending", "--no-file", f"--jobs={a.jobs}"]
    command += [f"--data-dir={a.stage / 'data'}", f"--out={a.stage / 'runs'}"]
    command += [f"--budget-minutes={budget / 60:.3f}", *([] if a.cpu else ["--accelerator"])]
    process = subprocess.Popen([*command, *others], cwd=ROOT, env=environment)
    try:
        return process.wait(budget + RESERVE - PACKING)
    except KeyboardInterrupt:
        return process.wait() or 130  # What is done is packed all the same.
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        time.sleep(5)  # Its trainings end once it has ended.
        print("training.pending did not end in time and was killed", flush=True)
        return 1


def code_digest(root=ROOT):
    """SHA-256 of the code and configs that a result depends on."""
    total = hashlib.sha256()
    for pattern in ("keras_recres/**/*.py", "training/**/*.py", "zoo/configs/**/*.json"):
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"
