"""Trained networks made recurrent in depth and trained on, against what costs as much.

Deeper: vit3's blocks run twice (`--deepen`), against vit3 trained on for as many multiply-adds.
Folded: blocks 2 to 6 of vit7 become one (`--fold`), its steps alike or differing by rank 16,
against the first of the five blocks alone, and low rank without a shared kernel; all of them are
taught by vit7 in the same way. Recipes: `deepen` and `fold`.
"""

import argparse
import sys
from pathlib import Path

from training import recipes
from training.errors import UserError
from training.jobs import many_runs
from training.reproduce import cifar_tables, tables
from training.reproduce.cifar_summary import FINAL, remarks, summarize
from training.reproduce.effects import Cells, method, sentence

# Epochs of the plain network for one of the deeper: 4 x 44.5 and 2 x (44.5 + 71.7) million
# multiply-adds of an image.
LONGER = 1.305
FOLD = recipes.load("fold").settings["fold"]
RANK_0 = FOLD.replace("=16", "=0")
# What each is called, its network, its recipe and its own options.
ARMS = {
    "dropped": ("vit7, 4 of 5 blocks dropped", "vit7", "fold", {"control": "dropped"}),
    "rank_0": ("vit7 folded, rank 0", "vit7", "fold", {"fold": RANK_0}),
    "rank_16": ("vit7 folded, rank 16", "vit7", "fold", {}),
    "low_rank": ("vit7, low rank alone", "vit7", "fold", {"control": "low_rank"}),
    "once": ("vit3 trained on", "vit3", "deepen", {"deepen": "*=1", "steps": "progressive(1,1)"}),
    "twice": ("vit3 twice as deep", "vit3", "deepen", {}),
}
COLUMNS = ("network", "trained parameters", "epochs", "top-1, %", "seeds")


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce in_depth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  KERAS_BACKEND=torch python -m training.reproduce in_depth --data-dir DIR\n"
        "  python -m training.reproduce in_depth --data-dir DIR --arms once twice --seeds 2\n\n"
        "Give the same command again to go on.",
    )
    p.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="default all")
    cifar_tables.add_arguments(p, Path("runs/in_depth"), None, "auto")
    p.set_defaults(seeds=2)
    return p


def runs_of(a):
    """The trainings, seed by seed."""
    runs = []
    for seed in range(a.seeds):
        for arm in a.arms:
            _, name, recipe, how = ARMS[arm]
            epochs = epochs_of(arm, a)
            runs.append(
                many_runs.Run(
                    label=arm,
                    name=name,
                    seed=seed,
                    path=a.out / arm / str(seed),
                    module="training.fit",
                    recipe=recipe,
                    how={**how, "epochs": epochs},
                )
            )
    return runs


def epochs_of(arm, a):
    """Epochs of an arm: its recipe's, or those that the command line asks for."""
    epochs = a.epochs or recipes.load(ARMS[arm][2]).settings["epochs"]
    return round(LONGER * epochs) if arm == "once" else epochs


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    cifar_tables.check(a)
    runs = runs_of(a)
    # Each run has epochs of its own; those of the command line would not be a number here.
    failed = cifar_tables.train(runs, argparse.Namespace(**{**vars(a), "epochs": a.epochs or 1}))
    summaries = summarize(runs)
    rows = [_row(summary, epochs_of(summary.label, a)) for summary in summaries]
    said = claims(Cells({summary.label: summary.values(FINAL) for summary in summaries}))
    said += remarks(summaries)
    tables.publish("Recurrent in depth, trained on", COLUMNS, rows, said, a.out / "in_depth.md")
    print(f"Written to {a.out}: in_depth.md.", file=sys.stderr)
    if failed:
        raise UserError(failed)
    return 0


def _row(summary, epochs):
    counts = {m["trainable_parameters"] for m in summary.metrics.values()}
    parameters = f"{counts.pop():,}" if counts else ""
    seeds = str(len(summary.metrics) or "")
    text = summary.text(FINAL) or "pending"
    return ARMS[summary.label][0], parameters, str(epochs), text, seeds


def claims(cells):
    """What the trainings say, a list of sentences.

    Args:
        cells: the arms' `Cells`.
    """
    pairs = (
        ("vit3 twice as deep against vit3 trained on for as much computation", "twice", "once"),
        ("vit7 folded at rank 16 against low rank alone", "rank_16", "low_rank"),
        ("vit7 folded at rank 16 against blocks dropped", "rank_16", "dropped"),
        ("vit7 folded at rank 0 against blocks dropped", "rank_0", "dropped"),
    )
    return [
        *(sentence(what, cells.difference(one, other)) for what, one, other in pairs),
        method(cells),
    ]
