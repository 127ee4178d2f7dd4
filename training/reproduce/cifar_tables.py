"""The two CIFAR-10 tables: convolutional networks of full and of fewer parameters.

Trains the twelve networks of K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of
parameters of a neural network for image classification" (in Russian), sections 2.3 and 3.2, with
the paper's recipe: Adam 1e-3, batch 128, 20 epochs, pixels in [-1, 1], no augmentation.

The paper reports the best test accuracy of the 20 epochs, which chooses the epoch on the test
set; here that stands beside the accuracy after the last epoch.
"""

import argparse
import fnmatch
import shlex
import sys
from pathlib import Path

from training import recipes
from training.errors import UserError, nearest
from training.fit.options import PRECISIONS
from training.jobs import many_runs
from training.ledger import filed_runs

SIZES = ("small", "medium", "residual")
VARIANTS = ("conv2d", "conv3d", "meta", "metahead")
EPOCHS = recipes.load("cifar_tables").settings["epochs"]


def name_of(size, variant):
    """A network's name in the zoo."""
    return f"cifar_{size}" + ("" if variant == "conv2d" else f"_{variant}")


NAMES = tuple(name_of(size, variant) for size in SIZES for variant in VARIANTS)


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce cifar_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.reproduce cifar_tables --data-dir DIR --names 'cifar_small*'\n"
        "  python -m training.reproduce cifar_tables --report\n"
        "  python -m training.reproduce cifar_tables --record\n\n"
        "Finished trainings are not done again, and interrupted ones go on at their last whole\n"
        "epoch, when the same command is given again. The data set is `cifar10`, see\n"
        "`python -m training.data list`; a copy whose images are JPEG is called cifar10_jpeg.",
    )
    p.add_argument(
        "--names", nargs="+", default=["*"], metavar="NAME", help="wildcards; default all twelve"
    )
    add_arguments(p, Path("runs/cifar_tables"))
    return p


def add_arguments(p, out, epochs=EPOCHS, precision="float32"):
    """The options that every experiment of many trainings has, with their defaults."""
    p.add_argument("--seeds", type=int, default=3, help="seeds of each network (default 3)")
    told = epochs or "what the recipe says"
    p.add_argument("--epochs", type=int, default=epochs, help=f"default {told}")
    p.add_argument("--data-dir", type=Path, help="folder with NAME/VERSION, or a packed .npz")
    p.add_argument("--limit", type=int, help="only so many images of each split, for a trial")
    p.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=precision,
        help=f"as of `training.fit` (default {precision})",
    )
    p.add_argument(
        "--jobs",
        type=int,
        default=min(4, many_runs.cores()),
        help="trainings side by side; default one a core, at most 4",
    )
    p.add_argument("--report", action="store_true", help="train nothing, only tell what is there")
    p.add_argument(
        "--adopt",
        metavar="TAG",
        help="count the trainings on the data set TAG that zoo/logs/trainings.jsonl holds as done",
    )
    p.add_argument("--record", action="store_true", help="file finished trainings in zoo/")
    p.add_argument("--out", type=Path, default=out, help=f"default {out}")


def parse(p, argv):
    """The arguments of a study, and `command`: the one that trains what its report misses."""
    a = p.parse_args(argv)
    # Argparse takes the beginning of an option for the option.
    given = [word for word in argv if not (len(word) > 4 and "--report".startswith(word))]
    a.command = shlex.join([*p.prog.split(), *given])
    return a


def tell_missing(missing, total, a):
    """Says how many trainings a report misses, and the command that trains them.

    Raises:
        UserError: it misses all.
    """
    if missing == total:
        raise UserError(
            f"no training is finished, nothing is filed or shown: `{a.command}` trains them."
        )
    if missing:
        told = f"{missing} of {total} trainings are missing: `{a.command}` trains them."
        print(told, file=sys.stderr)


def check(a):
    """Raises a UserError for an argument out of its range."""
    for option in ("seeds", "epochs", "jobs", "limit"):
        value = getattr(a, option)
        if value is not None and value < 1:
            raise UserError(f"--{option} must be at least 1, found {value}.")


def names_like(patterns, names=NAMES):
    """Those of the names that any of the wildcards means, in their order."""
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UserError(
                f"--names has {pattern!r}, which is none of {', '.join(names)}."
                f"{nearest(pattern, names)}"
            )
    return [n for n in names if any(fnmatch.fnmatch(n, pattern) for pattern in patterns)]


def train(runs, a):
    """Trains what is pending, unless only a report is asked for.

    Finished trainings that are filed elsewhere are adopted before, and filed after, if `a` asks so.

    Returns:
        A sentence on those that failed, or None.
    """
    if a.adopt:
        adopted = filed_runs.adopt(runs, a.adopt, a)
        print(f"{len(adopted)} trainings adopted from zoo/{filed_runs.FILE}", file=sys.stderr)
    if a.report:
        tell_missing(sum(run.metrics is None for run in runs), len(runs), a)
    failed = [] if a.report else many_runs.train(runs, a)
    if a.record:
        filed_runs.file(runs)
    if not failed:
        return None
    told = "; ".join(f"{run}: {line.removeprefix('error: ')}" for run, line in failed)
    return f"{len(failed)} of {len(runs)} trainings failed: {told}"


def main(argv=None):
    """The command line."""
    a = parse(parser(), argv)
    check(a)
    names = names_like(a.names)
    # Seed by seed: all networks of a size have one training before any has a second.
    runs = [
        many_runs.Run(name, name, seed, a.out / name / str(seed))
        for size in SIZES
        for seed in range(a.seeds)
        for name in names
        if name.startswith(f"cifar_{size}")
    ]
    failed = train(runs, a)
    # Matplotlib and rich take seconds to import: after all that may be refused.
    from training.reproduce import cifar_report, cifar_zoo

    filed = cifar_zoo.file(runs) if a.record else []
    cifar_report.show(cifar_report.rows(runs), a)
    for row in filed:
        print(f"filed {row['name']}.{row['tag']}: {row['value']} {row['metric']}, {row['dataset']}")
    if failed:
        raise UserError(failed)
    return 0
