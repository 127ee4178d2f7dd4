"""Whether residual networks suit recurrence more than plain ones, in the plane, at 72 parameters.

Networks x ← x + 0.3 · tanh(W x + b) and x ← tanh(W x + b) separate two curves, as in `planar`.
Their 12 steps share one layer of 8 neurons (tied), or have a layer of 2 neurons each (untied): 72
parameters both. Two controls for each: 2 neurons tied, 6 parameters, as wide as the untied; and
the 8 neurons run once. Points of the plane have zeros beside them where there are more neurons; the
first two neurons are the logits; weights begin at N(0, 0.7² · 2/n). Adam 1e-2 for 3,000 full-batch
steps, for all alike: none was given a rate of its own. The curves are spiral arms of one and a half
turns, chosen after a trial of 8 seeds: those of `planar` 8 neurons separate within 200 steps.

All seeds of an arm train in one `fit()`, and no seed knows of another.
"""

import dataclasses

import numpy as np

from training.ledger.summary import FINAL, Summary
from training.studies import planar_curves, tying
from training.studies.forms import Form, Table, columns
from training.studies.measured import MeasuredStudy
from training.studies.planar_nets import SCALE, STEPS
from training.studies.progress import progress
from training.studies.study import LEAST


@dataclasses.dataclass(frozen=True)
class Arm:
    """Layers of some neurons, each run some times."""

    neurons: int
    depth: int
    steps: int

    @property
    def parameters(self):
        """Of all layers."""
        return self.depth * self.neurons * (self.neurons + 1)


ARMS = {
    tying.TIED: Arm(8, 1, 12),
    tying.UNTIED: Arm(2, 12, 1),
    tying.NARROW: Arm(2, 1, 12),
    tying.ONCE: Arm(8, 1, 1),
}
SHORTCUTS = {"residual": ("add", SCALE), "plain": ("none", None)}


def _arm(row):
    return ARMS[row.form.name]


def _median(row, key):
    return np.median(list(row.measured.values(key).values()))


class TiedPlanar(MeasuredStudy):
    examples = ("", "--curves moons --seeds 5", "--report")
    least = LEAST | {"steps": 1}
    columns = columns(
        "network",
        ("neurons", lambda row: str(_arm(row).neurons)),
        ("layers × steps", lambda row: f"{_arm(row).depth} × {_arm(row).steps}"),
        ("parameters", lambda row: str(_arm(row).parameters)),
        ("accuracy, %", lambda row: row.measured.text(FINAL)),
        ("median", lambda row: f"{_median(row, FINAL):.2f}"),
        ("loss, median", lambda row: f"{_median(row, 'loss'):.3f}"),
        "seeds",
    )

    def options(self, p):
        p.add_argument("--seeds", type=int, default=20, help="of each network (default 20)")
        told = f"optimiser steps (default {STEPS})"
        p.add_argument("--steps", type=int, default=STEPS, help=told)
        told = f"one of: {'; '.join(planar_curves.FAMILIES)} (default long spiral)"
        p.add_argument("--curves", default="long spiral", help=told)

    def check(self, a):
        planar_curves.check(a.curves)
        super().check(a)

    def title(self, a):
        return f"Two curves ({a.curves}), {a.steps:,} steps"

    def forms(self, a):
        return [
            Form(tying.label(arm, net), arm, f"{arm}, {told}")
            for net, told in tying.NETS.items()
            for arm in ARMS
        ]

    def claims(self, table, a):
        return tying.claims(table)

    def measure(self, a):
        from training.studies import planar_nets  # Keras, which takes seconds.

        x, y = planar_curves.points(a.curves)
        labels, measured = np.repeat(y[:, None], a.seeds, axis=1), []
        with progress(2 * len(ARMS) * a.steps) as shown:
            for form in self.forms(a):
                shown.describe(f"{form.what}, {a.seeds} seeds")
                arm, (shortcut, scale) = ARMS[form.name], SHORTCUTS[form.label.split("_")[1]]
                wide = np.pad(x, ((0, 0), (0, arm.neurons - x.shape[1])))
                many = np.repeat(wide[:, None], a.seeds, axis=1)
                found = planar_nets.train(
                    arm, many, labels, a.steps, scale, advance=shown.advance, shortcut=shortcut
                )
                pairs = zip(found.accuracy.tolist(), found.loss.tolist(), strict=True)
                by_seed = {s: {FINAL: acc, "loss": loss} for s, (acc, loss) in enumerate(pairs)}
                measured.append(Summary(form.label, by_seed))
        self.tell(Table(self.forms(a), measured), a)

    def table(self, runs, a):
        return runs  # What `measure` made of its own trainings.

    def notes(self, table, a):
        return [tying.NOTE]


STUDY = TiedPlanar()
