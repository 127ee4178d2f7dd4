"""Recurrence against longer training: T2T-ViTs whose blocks run once, for as much computation.

Blocks that run twice cost twice as much to train. Here vit3 is trained for 2.0 and vit7 for 1.8
times the epochs of their recipe, which costs what vit3_rec, vit7_rec and vit7_rec_plus cost. Where
the recurrent network is the more accurate one still, recurrence pays; where it is not, a longer
training does as much. Its networks are those of table 2 as they are filed (`t2t_vit`); with
--bridge one float32 seed of vit3 and vit3_rec shows whether the precision moves the accuracy.
"""

import argparse
import collections
import sys
from pathlib import Path

from training import recipes
from training.errors import UserError
from training.fit import steps
from training.jobs import many_runs
from training.reproduce import cifar_tables, t2t_vit, tables
from training.reproduce.cifar_summary import FINAL, remarks, summarize
from training.reproduce.effects import Cells, method, sentence
from training.reproduce.recurrent_forms import RECIPES

# Multiply-adds of an image of the recurrent network, over those of the plain one.
LONGER = {"vit3": 2.0, "vit7": 1.8}
# Each with the plain network that is trained for as much computation.
PAIRS = (("vit3_rec", "vit3"), ("vit7_rec", "vit7"), ("vit7_rec_plus", "vit7"))
BRIDGE = ("vit3", "vit3_rec")
COLUMNS = ("network", "epochs", "billion multiply-adds", "top-1, %", "seeds", "precision")


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce equal_computation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  KERAS_BACKEND=torch python -m training.reproduce equal_computation --data-dir DIR\n"
        "  python -m training.reproduce equal_computation --names vit3 --seeds 1 --bridge\n\n"
        "Give the same command again to go on.",
    )
    p.add_argument(
        "--names", nargs="+", choices=LONGER, default=list(LONGER), help="default vit3 vit7"
    )
    p.add_argument("--dataset", choices=tuple(RECIPES), default="cifar10", help="default cifar10")
    p.add_argument("--bridge", action="store_true", help="train in float32 as the recipe says, too")
    cifar_tables.add_arguments(p, Path("runs/equal_computation"), None, "auto")
    p.set_defaults(seeds=2)
    return p


def runs_of(a):
    """The trainings, seed by seed."""
    forms = [
        (f"{name}, longer", name, seed, {"epochs": round(LONGER[name] * a.epochs)})
        for seed in range(a.seeds)
        for name in a.names
    ]
    if a.bridge:
        forms += [(f"{name}, float32", name, 0, {"precision": "float32"}) for name in BRIDGE]
    return [
        many_runs.Run(
            label=label,
            name=name,
            seed=seed,
            path=a.out / a.dataset / label.replace(", ", "_") / str(seed),
            module="training.fit",
            dataset=a.dataset,
            recipe=RECIPES[a.dataset],
            how=how,
        )
        for label, name, seed, how in forms
    ]


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    recipe = recipes.load(RECIPES[a.dataset])
    a.epochs = a.epochs or recipe.settings["epochs"]
    cifar_tables.check(a)
    runs = runs_of(a)
    failed = cifar_tables.train(runs, a)
    filed = t2t_vit.rows(recipe.tag)
    summaries = [*(row.measured for row in filed), *summarize(runs)]
    lines = [_line(summary) for summary in summaries]
    said = claims(Cells({summary.label: summary.values(FINAL) for summary in summaries}), a.bridge)
    said += remarks(summaries)
    title = f"Equal computation on {recipe.tag}"
    tables.publish(title, COLUMNS, lines, said, a.out / "equal_computation.md")
    draw(summaries, a.out / "equal_computation.png")
    print(f"Written to {a.out}: equal_computation.md, equal_computation.png.", file=sys.stderr)
    if todo := t2t_vit.todo(filed, recipe.tag):
        print(todo, file=sys.stderr)
    if failed:
        raise UserError(failed)
    return 0


def _line(summary):
    if not summary.metrics:
        return summary.label, "", "", "pending", "", ""
    settings = next(iter(summary.metrics.values()))["settings"]
    return (
        summary.label,
        str(settings["epochs"]),
        f"{computation(settings) / 1e9:.3f}",
        summary.text(FINAL),
        str(len(summary.metrics)),
        settings["precision"],
    )


def computation(settings):
    """Multiply-adds of a training, forward, for each of its images: those of all epochs."""
    from keras_recres import zoo
    from keras_recres.models import multiply_adds

    drawn = steps.parse(settings.get("steps"))
    # Epoch by epoch: a depth may grow.
    depths = collections.Counter(
        drawn.draw(0, epoch, 0, settings["epochs"]) if drawn else None
        for epoch in range(settings["epochs"])
    )
    return sum(
        epochs
        * multiply_adds(
            zoo.build(settings["name"], tag=settings["tag"], **({"steps": depth} if depth else {}))
        ).total
        for depth, epochs in depths.items()
    )


def claims(cells, bridge):
    """What the trainings say, a list of sentences.

    Args:
        cells: the networks' `Cells`.
        bridge: whether to tell what float32 does.
    """
    said = [
        sentence(
            f"{recurrent} against {plain} trained for as much computation",
            cells.difference(recurrent, f"{plain}, longer"),
        )
        for recurrent, plain in PAIRS
    ]
    said += [
        sentence(
            f"{name} trained {LONGER[name]:g} times as long against {name}",
            cells.difference(f"{name}, longer", name),
        )
        for name in LONGER
    ]
    if bridge:
        said += [
            sentence(f"{name} in float32", cells.difference(f"{name}, float32", name))
            for name in BRIDGE
        ]
    return [*said, method(cells)]


def draw(summaries, path):
    """Accuracy against the computation of the training, a line from a network to the longer one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    points = {}
    for summary in summaries:
        if values := list(summary.values(FINAL).values()):
            x = computation(next(iter(summary.metrics.values()))["settings"]) / 1e9
            points[summary.label] = x, summary.mean(FINAL)
            (mark,) = axes.plot(*points[summary.label], "o", markersize=9, label=summary.label)
            axes.plot([x] * len(values), values, "o", color=mark.get_color(), alpha=0.4)
    for name in LONGER:
        if f"{name}, longer" in points and name in points:
            axes.plot(*zip(points[name], points[f"{name}, longer"], strict=True), "-", color="grey")
    axes.set(xlabel="billion multiply-adds of training, for each image", ylabel="top-1, %")
    axes.grid(alpha=0.3)
    if points:
        axes.legend()
    figure.savefig(path, dpi=130)
