"""What recurrence buys convolutions: one residual block a stage on CIFAR-10, 31,000 parameters.

The block of each stage runs once; three times with the same weights and norms of every step's own;
three times with weights of every step's own, which is a plain network and an upper bound; and once,
trained for as many multiply-adds as those that run three times. ρ = (tied − once) / (untied − once)
is recurrence's share of what depth buys: 1 where three runs are worth three blocks, 0 where they
are worth nothing. Each training writes the curvature of an ellipse through the images in every
layer, epoch by epoch; the picture shows that of the last stage.
"""

import argparse
import csv
import sys
from pathlib import Path

from training import recipes
from training.errors import UserError
from training.fit.run_folder import read_log
from training.jobs import many_runs
from training.reproduce import cifar_tables, tables
from training.reproduce.cifar_summary import FINAL, remarks, summarize
from training.reproduce.effects import Cells, method, sentence

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
# The last stage's block; its last step is the last of its rows.
LAST = "stage2"
KAPPA, KINKS, STRETCH, ACCURACY = "median of κ", "kinks", "stretch", "accuracy, %"
DRAWN = {KAPPA: "log", KINKS: "log", STRETCH: "log", ACCURACY: "linear"}
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
    a = cifar_tables.parse(parser(), argv)
    a.epochs = a.epochs or recipes.load(RECIPE).settings["epochs"]
    cifar_tables.check(a)
    runs = [run for arm in a.arms for run in runs_of(arm, a)]
    failed = cifar_tables.train(runs, a)
    summaries = summarize(runs)
    epochs = {run.label: run.how.get("epochs", a.epochs) for run in runs}
    rows = [_row(summary, epochs[summary.label]) for summary in summaries]
    said = claims(Cells({summary.label: summary.values(FINAL) for summary in summaries}))
    said += remarks(summaries)
    tables.publish(f"{NAME}, CIFAR-10", COLUMNS, rows, said, a.out / "shared_resnet.md")
    draw(runs, a.out / "shared_resnet.png")
    print(f"Written to {a.out}: shared_resnet.md, shared_resnet.png.", file=sys.stderr)
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


def draw(runs, path):
    """κ, kinks and stretch in the last stage and accuracy, by epoch, a line a training.

    Args:
        runs: list of `many_runs.Run`; those whose folder has no curvature are left out.
        path: the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 4), layout="constrained")
    panels = figure.subplots(1, len(DRAWN))
    for run in runs:
        rows = by_epoch(run.path)
        for axes, label in zip(panels, DRAWN, strict=True):
            if rows:
                epochs, values = zip(*((row["epoch"], row[label]) for row in rows), strict=True)
                colour = f"C{list(ARMS).index(run.label)}"
                axes.plot(epochs, values, color=colour, label=run.label if run.seed == 0 else None)
    for axes, (label, scale) in zip(panels, DRAWN.items(), strict=True):
        axes.set(xlabel="epochs", ylabel=label, yscale=scale)
        axes.grid(alpha=0.3)
    if panels[0].lines:
        panels[0].legend()
    figure.savefig(path, dpi=130)


def by_epoch(folder):
    """Curvature in the last stage and accuracy after each epoch of a training.

    Returns:
        Dicts with "epoch" and the keys of `DRAWN`; none where the curvature was not measured.
    """
    file = folder / "curvature.csv"
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    accuracy = {
        1 + int(row["epoch"]): 100 * row["val_accuracy"] for row in read_log(folder / "log.csv")
    }
    length = {row["epoch"]: float(row["arc_length"]) for row in rows if row["layer"] == "input"}
    last = {row["epoch"]: row for row in rows if row["layer"] == LAST}
    return [
        {
            "epoch": int(epoch),
            KAPPA: float(row["kappa_median"]),
            KINKS: int(row["kinks"]),
            STRETCH: float(row["arc_length"]) / length[epoch],
            ACCURACY: accuracy.get(int(epoch), float("nan")),
        }
        for epoch, row in last.items()
    ]


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
