"""Initialisation by theory on MNIST: maps of accuracy over depth, and how deep one can go.

Dense residual networks without normalisation (arXiv 1712.08969; slides of G. B. Macedo, 2020) are
trained by plain SGD, briefly and all alike, so that what differs is their initial values.

maps    accuracy over σ_w² (tanh, ReLU), α (α-ReLU) or ρ² (tanh) and the depth, with the level
        curves of the quantity that theory says decides, and its rank correlation with accuracy
limits  `probes.mean_field.suggest` against He's and Glorot's initialisation, 10 to 200 layers

The seven ResNet-50s of the slides are `python -m training.reproduce mnist_resnet50`.
"""

import argparse
import sys
from pathlib import Path

from training.errors import UserError, nearest
from training.reproduce import cifar_tables

PARTS = ("maps", "limits")


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce mnist_init",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.reproduce mnist_init --data-dir DIR\n"
        "  python -m training.reproduce mnist_init --parts limits --seeds 5\n"
        "  python -m training.reproduce mnist_init --report\n\n"
        "What is trained is kept in OUT/cells.csv: the same command goes on after an interruption.",
    )
    p.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    p.add_argument("--data-dir", type=Path, help="folder with mnist/VERSION, or a packed .npz file")
    p.add_argument("--seeds", type=int, help="seeds of each network (default 2 maps, 3 limits)")
    p.add_argument("--steps", type=int, default=300, help="SGD steps (default 300)")
    p.add_argument("--width", type=int, default=64, help="neurons a layer (default 64)")
    p.add_argument("--limit", type=int, help="only so many images of each split, for a trial")
    p.add_argument("--report", action="store_true", help="train nothing, only tell what is there")
    p.add_argument("--out", type=Path, default=Path("runs/mnist_init"), help="default %(default)s")
    return p


def check(a):
    """Raises a UserError for an argument out of its range; returns the parts."""
    parts = a.parts.split(",")
    for part in parts:
        if part not in PARTS:
            raise UserError(
                f"--parts must be some of {', '.join(PARTS)}, found {part!r}.{nearest(part, PARTS)}"
            )
    for option in ("seeds", "steps", "width", "limit"):
        value = getattr(a, option)
        if value is not None and value < 1:
            raise UserError(f"--{option} must be at least 1, found {value}.")
    return parts


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    parts = check(a)
    # Matplotlib and rich take seconds to import: after the arguments are known to be good.
    from training.reproduce import mnist_init_limits, mnist_init_report
    from training.reproduce.mnist_init_cells import Cells
    from training.reproduce.mnist_init_maps import MAPS

    cells = Cells(a.out, {"width": a.width, "steps": a.steps, "limit": a.limit})
    maps = mnist_init_report.grids(MAPS, a.seeds or 2) if "maps" in parts else []
    limits = mnist_init_limits.grid(a.seeds or 3, a.width) if "limits" in parts else None
    stacks = [stack for grid in maps for stack in grid.stacks()]
    stacks += mnist_init_limits.stacks(limits) if limits else []
    if a.report:
        trained = [cells.get(run, rate) is not None for _, runs, rate in stacks for run in runs]
        cifar_tables.tell_missing(trained.count(False), len(trained), a)
    else:
        train(stacks, cells, a)
    if maps:
        mnist_init_report.maps(maps, cells, a)
    if limits:
        mnist_init_limits.show(limits, cells, a)
    return 0


def train(stacks, cells, a):
    """Trains what `cells` does not have.

    Args:
        stacks: list of (title, runs, learning rate).
        cells: `Cells`, which gets what was measured.
        a: arguments `data_dir`, `limit`, `width`, `steps`.
    """
    from training.reproduce import mnist_init_nets, planar_table

    pending = []
    for title, runs, rate in stacks:
        missing = [run for run in runs if cells.get(run, rate) is None]
        if missing:
            pending.append((title, missing, rate))
    if not pending:
        return
    data = mnist_init_nets.standardized(a.data_dir, a.limit, a.limit)
    # Work is layers times networks; a layer of an FRN has two products.
    work = [sum((1 + (run.kind == "frn")) * run.depth for run in runs) for _, runs, _ in pending]
    with planar_table.progress(sum(work), "layers") as progress:
        for (title, runs, rate), amount in zip(pending, work, strict=True):
            progress.describe(f"{title}, {len(runs)} networks of {runs[0].depth} layers")
            cells.add(runs, rate, mnist_init_nets.train(runs, data, a.width, a.steps, rate))
            progress.advance(amount)
    print(f"All trainings are in {cells.path}.", file=sys.stderr)
