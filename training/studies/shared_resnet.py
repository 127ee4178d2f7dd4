"""What recurrence buys convolutions: one residual block a stage on CIFAR-10, 31,000 parameters.

The block of each stage runs once; three times with the same weights and norms of every step's own;
three times with weights of every step's own, which is a plain network and an upper bound; and once,
trained for as many multiply-adds as those that run three times. ρ = (tied − once) / (untied − once)
is recurrence's share of what depth buys: 1 where three runs are worth three blocks, 0 where they
are worth nothing. Two arms more ask what sharing needs: three runs with one set of norms, and the
form of several states, in which all stages step at once, five times, with norms of every step's own
(how the paper's networks of this form were connected could not be read). These, and three runs
again beside them, see images of 16 x 16 pixels, means over 2 x 2.

Each training writes the curvature of an ellipse through the images in every layer, epoch by epoch;
the picture shows that of the last stage, which the form of several states does not have.
"""

import csv

from training.fit.run_folder import read_log
from training.studies import drawings
from training.studies.forms import Form, columns
from training.studies.study import Study

NAME = "shared_resnet"
ONCE, TIED, UNTIED, LONG = "once", "tied", "untied", "once_longer"
TIED_16, ONE_NORM, STATES = "tied_16", "one_norm", "states"
# Each state from itself and from the one before: the third is first reached in the third step.
CHAIN = ((1, 0, 0), (1, 1, 0), (0, 1, 1))
SMALL = {"input_shape": (16, 16, 3)}
# Multiply-adds of an image with three runs, over those with one: 11.43 and 4.35 million.
LONGER = 2.6
# The last stage's block; its last step is the last of its rows.
LAST = "stage2"
KAPPA, KINKS, STRETCH, ACCURACY = "median of κ", "kinks", "stretch", "accuracy, %"
DRAWN = {KAPPA: "log", KINKS: "log", STRETCH: "log", ACCURACY: "linear"}


class SharedResnet(Study):
    examples = ("--data-dir DIR", "--data-dir DIR --arms once tied --seeds 1")
    recipe, choose = "shared_resnet", "arms"
    columns = columns(
        *("network", "parameters", "multiply-adds"),
        ("epochs", lambda row: str(row.epochs)),
        *("top-1, %", "seeds"),
    )

    def title(self, a):
        return f"{NAME}, CIFAR-10"

    def forms(self, a):
        own, once = {"unshare": ["norm", "conv1", "conv2"]}, {"steps": 1}
        states = {**SMALL, "transitions": CHAIN, "steps": 5}
        longer = {"epochs": round(LONGER * a.epochs)}
        return [
            Form(ONCE, NAME, "each block once", once),
            Form(TIED, NAME, "three times, norms of every step's own"),
            Form(UNTIED, NAME, "three blocks of their own", own),
            Form(LONG, NAME, f"once, {LONGER:g} times the epochs", once, longer),
            Form(TIED_16, NAME, "16 x 16: three times, norms of every step's own", SMALL),
            Form(ONE_NORM, NAME, "16 x 16: three times, one norm", {**SMALL, "unshare": []}),
            Form(STATES, NAME, "16 x 16: several states, five steps", states),
        ]

    def claims(self, table, a):
        yield "Three runs of a block against one", table.difference(TIED, ONCE)
        yield "Against one run trained for as long", table.difference(TIED, LONG)
        yield "Three blocks against one", table.difference(UNTIED, ONCE)
        yield "Norms of every step's own against one for all", table.difference(TIED_16, ONE_NORM)
        yield "Several states against stages in a row", table.difference(STATES, TIED_16)
        rho, interval = table.cells.share(TIED, ONCE, UNTIED)
        if rho is not None:
            told = "not decided"
            if interval:
                told = f"95 % interval {interval[0]:.2f} to {interval[1]:.2f}"
            yield f"Recurrence's share of what depth buys: ρ = {rho:.2f} ({told})."

    def draw(self, table, path, a):
        """κ, kinks and stretch in the last stage and accuracy, by epoch, a line a training."""
        arms = [form.label for form in self.forms(a)]
        with drawings.figure(path, (16, 4), 1, len(DRAWN)) as (_, panels):
            for run in table.runs:
                rows = by_epoch(run.path)
                for axes, label in zip(panels, DRAWN, strict=True):
                    if rows:
                        line = zip(*((row["epoch"], row[label]) for row in rows), strict=True)
                        colour = f"C{arms.index(run.label)}"
                        axes.plot(*line, color=colour, label=None if run.seed else run.label)
            for axes, (label, scale) in zip(panels, DRAWN.items(), strict=True):
                axes.set(xlabel="epochs", ylabel=label, yscale=scale)
                axes.grid(alpha=0.3)
            if panels[0].lines:
                panels[0].legend()


def by_epoch(folder):
    """Curvature in the last stage and accuracy after each epoch of a training.

    Returns:
        Dicts with "epoch" and the keys of `DRAWN`; none without a measured curvature.
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


STUDY = SharedResnet()
