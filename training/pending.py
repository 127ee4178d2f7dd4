"""Trains every row of the zoo that is pending, in order of value, and files the results.

    python -m training.pending --list --data-dir DIR
    python -m training.pending --budget-minutes 120 --data-dir DIR
    python -m training.pending --device-pack runs/device --names 'vit*'
    python -m training.pending --collect FOLDER

A row is NAME.TAG of a recipe (training/recipes/). It is pending until zoo/results.csv has as many
trainings of it as the recipe, as it is now, asks for, and the zoo its weights. In order of value: a
first result of a row before a second one of any row; then as `training.recipes.ORDER` has it.
"""

import argparse
import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from training import errors
from training.errors import UserError
from training.jobs import pending_rows, pending_trainings, scheduler
from training.provenance import cores, hardware, has_accelerator

OUT = Path("runs/pending")
DATA_DIR = "folder with the data sets, or with folders of them; default KERAS_RECRES_DATA or TFDS'"


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.pending",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Ctrl-C loses nothing but the epochs under way: the same command goes on. So does "
        "the next\none after a budget that was too short. See training/README.md.",
    )
    p.add_argument("--list", action="store_true", help="train nothing, only tell what is pending")
    p.add_argument("--names", nargs="+", default=["*"], help="wildcards on NAME or NAME.TAG")
    p.add_argument("--data-dir", type=Path, help=DATA_DIR)
    p.add_argument("--budget-minutes", type=float, help="begin and train only what fits into it")
    p.add_argument("--seeds", type=int, help="trainings a row; default what its recipe asks for")
    p.add_argument(
        "--jobs",
        type=int,
        default=min(4, cores()),
        help="trainings side by side; default one a core, at most 4 (an accelerator may take 8)",
    )
    p.add_argument("--out", type=Path, default=OUT, help=f"the trainings' folders, default {OUT}")
    p.add_argument("--epochs", type=int, help="a trial: so many epochs, nothing is filed")
    p.add_argument("--limit", type=int, help="a trial: so many images of each split")
    p.add_argument("--file", action=argparse.BooleanOptionalAction, default=True, help="in zoo/")
    p.add_argument("--accelerator", action="store_true", help="refuse to train on a processor")
    g = p.add_argument_group("a machine without network and TensorFlow")
    g.add_argument("--device-pack", type=Path, metavar="DIR", help="write what it needs")
    g.add_argument("--collect", type=Path, metavar="DIR", help="take its results, file them")
    g.add_argument("--part-mib", type=float, help="size of a part; default what a call can carry")
    g.add_argument("--wheels", action=argparse.BooleanOptionalAction, default=True)
    g.add_argument("--python-there", default="3.12", help="its Python (default 3.12)")
    g.add_argument("--backend-there", choices=("jax", "torch"), default="jax")
    return p


def check(a):
    """Raises a UserError for an argument out of its range."""
    for option in ("seeds", "jobs", "epochs", "limit"):
        value = getattr(a, option)
        if value is not None and not value >= 1:
            raise UserError(f"--{option} must be at least 1, found {value}.")
    if a.budget_minutes is not None and not 0 <= a.budget_minutes < 1e6:
        raise UserError(f"--budget-minutes must be from 0 to a million, found {a.budget_minutes}.")
    if a.data_dir and not a.data_dir.expanduser().exists():
        raise UserError(f"--data-dir {a.data_dir} is not there.")
    if bool(a.list) + bool(a.device_pack) + bool(a.collect) > 1:
        raise UserError("give only one of --list, --device-pack and --collect.")


def main(argv=None):
    """The command line."""
    begin = time.monotonic()
    a = parser().parse_args(argv)
    check(a)
    trial = a.epochs is not None or a.limit is not None
    rows = pending_rows.rows(a.names, a.data_dir, a.seeds)
    errors.output_folder(a.out)
    # The process that waits takes no accelerator's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if a.collect:
        return collect(a)
    if a.list:
        from training.jobs import pending_table

        return pending_table.show(rows, a)
    if a.device_pack:
        from training.travel import device_pack

        missing = [
            training for row in rows for training in pending_rows.needed(row, a, strict=False)
        ]
        ordered = list(dict.fromkeys(t.row for t in pending_rows.by_value(missing)))
        for line in device_pack.make(ordered, a):
            print(line)
        return 0
    if a.accelerator and not has_accelerator():
        raise UserError(
            f"there is no accelerator here, only {hardware()}: set another KERAS_BACKEND (of a "
            "pack: --backend), or leave out --accelerator (of a pack: give --cpu)."
        )
    deadline = None if a.budget_minutes is None else begin + 60 * a.budget_minutes
    problems = train(rows, a, deadline)
    if a.file and not trial:
        problems += file(rows, a.out)
    if problems:
        raise UserError("; ".join(problems))
    return 0


def train(rows, a, deadline):
    """Trains what is missing, and tells what became of it; returns the problems, sentences."""
    missing = []
    for row in rows:
        try:
            missing += pending_rows.needed(row, a)
        except UserError as error:
            _say(f"{row.label} waits: {error}")
    can = [training for training in missing if training.row.place]
    absent = sorted({t.row.recipe.dataset for t in missing if not t.row.place})
    if absent:
        _say(f"not here, so that rows wait for them: {', '.join(absent)}; see --data-dir")
    if not can:
        _say("nothing to train")
        return []
    _say(f"{len(can)} trainings on {hardware()}, {a.jobs} side by side, in {a.out}")
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        outcome = scheduler.train(pending_rows.by_value(can), a.jobs, _start, deadline)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"all whole epochs are kept in {a.out}, the same command goes on from there"
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    for training in outcome.stopped:
        done, epochs = training.epochs
        _say(f"{training}: {done} of {epochs} epochs, goes on next time")
    for training in outcome.waiting:
        seconds = training.seconds_left
        _say(f"{training}: did not fit{'' if seconds is None else f', {seconds / 60:.0f} min'}")
    return [
        f"{training} failed: {line.removeprefix('error: ')}" for training, line in outcome.failed
    ]


def _start(training):
    command = training.command(training.row.place.path)
    return command, training.arguments_of_fit().precision


def _stop(*_):
    raise KeyboardInterrupt


def file(rows, out):
    """Files what is finished; returns the problems, sentences."""
    from training.jobs import pending_filing

    said, problems = pending_filing.file(rows, out)
    for line in said:
        print(line)
    if any(line.startswith("filed") for line in said):
        _say("renew the tables of results with `python -m training.evaluate --readme`")
    return problems


def collect(a):
    """Takes the results of another machine back, and files what is finished."""
    from training.travel import collect as collecting

    rows = {row.label: row for row in pending_rows.rows(["*"], a.data_dir, a.seeds)}

    def asked(name):
        label, _, seed = name.partition("/")
        if label not in rows:
            return None
        row = dataclasses.replace(rows[label], seeds=int(seed) + 1)
        return pending_trainings.trainings(row, a.out)[-1].settings()

    taken, kept = collecting.collect(a.collect, a.out, asked)
    print(f"{len(taken)} trainings taken into {a.out}: {', '.join(taken) or 'none'}")
    if kept:
        print(f"{len(kept)} were there already, or are being trained: {', '.join(kept)}")
    if not a.file:
        return 0
    problems = file(pending_rows.rows(["*"], a.data_dir, a.seeds), a.out)
    if problems:
        raise UserError("; ".join(problems))
    return 0


def _say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(errors.run(main))
