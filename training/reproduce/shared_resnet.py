"""What recurrence buys convolutions: one residual block a stage on CIFAR-10, 31,000 parameters.

The block of each stage runs once; three times with the same weights and norms of every step's own;
three times with weights of every step's own, which is a plain network and an upper bound; and once,
trained for as many multiply-adds as those that run three times. ρ = (tied − once) / (untied − once)
is recurrence's share of what depth buys: 1 where three runs are worth three blocks, 0 where they
are worth nothing.
"""

import argparse
import sys
from pathlib import Path

from training import many_runs, recipes
from training.errors import UserError, output_folder
from training.reproduce import cifar_tables, tables
from training.reproduce.cifar_summary import FINAL, remarks, summarize
from training.reproduce.effects import Cells, method, sentence
from training.run_folder import write_aside

RECIPE, NAME = "shared_resnet", "shared_resnet"
ONCE, TIED, UNTIED, LONG = "once", "tied", "untied", "once_longer"
# Multiply-adds of an image with three runs, over those with one: 11.43 and 4.35 million.
LONGER = 2.6
ARMS = {
    ONCE: ("each block once", {"steps": 1}),
    TIED: ("three times, norms of every step's own", {}),
    UNTIED: ("three blocks of their own", {"unshare": ["norm", "conv1", "conv2"]}),
    LONG: (f"once, {LONGER:g} times the epochs", {"steps": 1}),
}
COLUMNS = ("network", "parameters", "multiply-adds", "epochs", "top-1, %", "seeds")


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce shared_resnet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  KERAS_BACKEND=torch python -m training.reproduce shared_resnet --data-dir DIR\n"
        "  python -m training.reproduce shared_resnet --data-dir DIR --arms once tied --seeds 1\n\n"
        "Give the same command again to go on.",
    )
    p.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="default all")
    cifar_tables.add_arguments(p, Path("runs/shared_resnet"), None)
    return p


def runs_of(arm, a):
    """The trainings of an arm."""
    return [
        many_runs.Run(
            label=arm,
            name=NAME,
            seed=seed,
            path=a.out / arm / str(seed),
            arguments=ARMS[arm][1],
            module="training.fit",
            recipe=RECIPE,
            how={"epochs": round(LONGER * a.epochs)} if arm == LONG else {},
        )
        for seed in range(a.seeds)
    ]


def main(argv=None):
    """The command line."""
    a = parser().parse_args(argv)
    a.epochs = a.epochs or recipes.load(RECIPE).settings["epochs"]
    cifar_tables.check(a)
    runs = [run for arm in a.arms for run in runs_of(arm, a)]
    failed = cifar_tables.train(runs, a)
    summaries = summarize(runs)
    epochs = {run.label: run.how.get("epochs", a.epochs) for run in runs}
    rows = [_row(summary, epochs[summary.label]) for summary in summaries]
    said = claims(Cells({summary.label: summary.values(FINAL) for summary in summaries}))
    said += remarks(summaries)
    tables.show(f"{NAME}, CIFAR-10", COLUMNS, rows, said)
    output_folder(a.out)
    text = "\n".join([*tables.markdown(COLUMNS, rows, said), ""])
    write_aside(a.out / "shared_resnet.md", text)
    print(f"Written to {a.out}: shared_resnet.md.", file=sys.stderr)
    if failed:
        raise UserError(failed)
    return 0


def _row(summary, epochs):
    from keras_recres import zoo
    from keras_recres.models import multiply_adds

    what, arguments = ARMS[summary.label]
    model = zoo.build(NAME, tag="cifar10", **arguments)
    counts = f"{model.count_params():,}", f"{multiply_adds(model).total:,}"
    seeds = str(len(summary.metrics) or "")
    return what, *counts, str(epochs), summary.text(FINAL) or "pending", seeds


def claims(cells):
    """What the trainings say, a list of sentences.

    Args:
        cells: the arms' `Cells`.
    """
    said = [
        sentence("Three runs of a block against one", cells.difference(TIED, ONCE)),
        sentence("Against one run trained for as long", cells.difference(TIED, LONG)),
        sentence("Three blocks against one", cells.difference(UNTIED, ONCE)),
    ]
    rho, interval = cells.share(TIED, ONCE, UNTIED)
    if rho is not None:
        told = (
            f"95 % interval {interval[0]:.2f} to {interval[1]:.2f}" if interval else "not decided"
        )
        said.append(f"Recurrence's share of what depth buys: ρ = {rho:.2f} ({told}).")
    return [*said, method(cells)]
