"""`python -m training.benchmark NAME`: measures speed and memory on this machine.

Every number that is compared is measured in the same run, and each in a process of its own, so
that compilation, caches and peak memory are not those of the one before.
"""

import argparse
import fnmatch
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

from training import errors
from training.errors import UserError, nearest
from training.files import write_aside, write_between

BACKENDS = ("tensorflow", "jax", "torch")
BENCHMARKS = {
    "recurrence": "RecurrentResidual unrolled against scanned: first step, later steps, memory",
    "cells": "recurrent cells: tokens a processor second, forward and training, beside Keras' own",
    "mean_field": "the mean-field recursions, and their kernel beside neural-tangents",
    "param_savers": "GroupedDense, MetaConv2D, Conv3dSubstitute against Keras' own layers",
    "norms": "training steps with our BatchNormalization and with Keras' own",
    "curvature": "the curvature probe's methods in plain forward passes, dense network and vit7",
    "t2t": "T2T-ViT-7 at 224 pixels: forward and training step, against plain PyTorch",
    "feed": "batches of the ImageNet recipe: images a second, of one thread and of many",
    "train": "training steps of every family, and against networks written in PyTorch and JAX",
    "convnets": "the convolutional line: forward and training step, against plain PyTorch",
    "fold": "ResNet50 folded: seconds of folding, forward pass and file beside the model's",
    "formats": "which formats the zoo's networks can be exported in, and how large the files are",
    "serve": "exported models: latency, throughput, cold start, size, beside Keras and others",
}
ROOT = Path(__file__).resolve().parents[1]


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="benchmarks:\n"
        + "\n".join(f"  {name:14} {what}" for name, what in BENCHMARKS.items())
        + "\n\nexamples:\n  python -m training.benchmark recurrence --backends jax,torch\n"
        "  python -m training.benchmark train --only 'vit7*' float32 --json vit7.json\n"
        "  python -m training.benchmark formats --table keras_recres/serve/README.md "
        "--json formats.json --resume",
    )
    p.add_argument("name", help=", ".join(BENCHMARKS))
    p.add_argument("--backends", default=",".join(BACKENDS), help="default: all that are installed")
    p.add_argument("--quick", action="store_true", help="fewer cases and repetitions")
    p.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="VALUE",
        help="wildcards, or several between commas, of which any counts: the cases that have a "
        "value like each VALUE (they are named on the way)",
    )
    p.add_argument(
        "--table",
        type=Path,
        metavar="FILE.md",
        help="formats, serve, convnets, fold, t2t: put the table into this file, between its lines "
        "<!-- NAME:begin --> and <!-- NAME:end -->",
    )
    p.add_argument("--json", type=Path, help="write the measurements to this file, one by one")
    p.add_argument(
        "--resume",
        action="store_true",
        help="keep what --json has, and measure what it lacks: after an interruption, or in parts",
    )
    return p


def main(argv=None):
    """The command line."""
    a = parser().parse_args(argv)
    if a.name not in BENCHMARKS:
        raise UserError(
            f"there is no benchmark {a.name!r}.{nearest(a.name, BENCHMARKS)} "
            f"The benchmarks are: {', '.join(BENCHMARKS)}."
        )
    backends = a.backends.split(",")
    for backend in backends:
        if backend not in BACKENDS:
            raise UserError(f"--backends must be some of {', '.join(BACKENDS)}, found {backend!r}.")
    installed = [b for b in backends if importlib.util.find_spec(b)]
    if not installed:
        raise UserError(f"none of {', '.join(backends)} is installed: install a backend first.")
    if a.json:
        target = a.json if a.json.exists() else a.json.absolute().parent
        if a.json.is_dir() or not os.access(target, os.W_OK):
            raise UserError(f"--json {a.json} cannot be written.")
    module = importlib.import_module(f"training.benchmarks.{a.name}")
    if a.table and not hasattr(module, "markdown"):
        raise UserError(
            f"{a.name} has no table for --table: formats, serve, convnets, fold and t2t have."
        )
    if a.resume and not a.json:
        raise UserError("--resume keeps what the file of --json has: give --json FILE, too.")
    rows = earlier(a.json) if a.resume else []
    cases = [
        (b, case)
        for b in installed
        for case in module.cases(b, a.quick)
        if all(like(case, wanted.split(",")) for wanted in a.only)
    ]
    if not cases:
        raise UserError(f"--only {' '.join(a.only)} leaves no case of {a.name}.")
    cases = [
        (backend, case)
        for backend, case in cases
        if not any({**row, "backend": backend, **case} == row for row in rows)
    ]
    for i, (backend, case) in enumerate(cases):
        print(f"[{i + 1}/{len(cases)}] {backend} {case}", file=sys.stderr, flush=True)
        rows.append({"backend": backend, **case, **in_process(a.name, backend, case)})
        if a.json:
            write_aside(a.json, json.dumps(rows, indent=1) + "\n")
    module.report(rows)
    if a.table:
        write_between(a.table, a.name, module.markdown(rows))
    return 0


def like(case, patterns):
    """Whether a value of a case is like any of several wildcards."""
    return any(fnmatch.filter(map(str, case.values()), pattern) for pattern in patterns)


def earlier(path):
    """The measurements in a file of --json, or none where there is no file."""
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        if all("backend" in row for row in rows):
            return rows
    except (ValueError, TypeError):
        pass
    raise UserError(f"--json {path} does not hold measurements: give another file.")


def in_process(name, backend, case):
    """Measures one case in a fresh process with a backend.

    Args:
        name: Benchmark.
        backend: "tensorflow", "jax" or "torch".
        case: dict of str to numbers and strings, for the benchmark's `measure`.

    Returns:
        What `measure(**case)` returned, a dict.
    """
    code = (
        "import json, sys; from training.benchmarks import " + name + " as m; "
        "print('\\n' + json.dumps(m.measure(**json.loads(sys.argv[1]))))"
    )
    env = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(case)],
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{name} with {backend} and {case} failed: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(errors.run(main))
