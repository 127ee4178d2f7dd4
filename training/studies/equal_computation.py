"""Recurrence against longer training: T2T-ViTs whose blocks run once, for as much computation.

Blocks that run twice cost twice as much to train. Here vit3 is trained for 2.0 and vit7 for 1.8
times the epochs of their recipe, which costs what vit3_rec, vit7_rec and vit7_rec_plus cost. Where
the recurrent network is the more accurate one still, recurrence pays; where it is not, a longer
training does as much. Its networks are those of table 2 as they are filed (`t2t_vit`); with
--bridge one float32 seed of vit3 and vit3_rec shows whether the precision moves the accuracy.
"""

import collections
import sys

from training import recipes
from training.fit import steps
from training.ledger.summary import summarize
from training.studies import drawings, vits
from training.studies.forms import Form, Table, columns
from training.studies.study import Study

# Multiply-adds of an image of the recurrent network, over those of the plain one.
LONGER = {"vit3": 2.0, "vit7": 1.8}
# Each with the plain network that is trained for as much computation.
PAIRS = (("vit3_rec", "vit3"), ("vit7_rec", "vit7"), ("vit7_rec_plus", "vit7"))
BRIDGE = ("vit3", "vit3_rec")


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


def _of_settings(text):
    return lambda row: text(row.measured.settings) if row.measured.settings else ""


class EqualComputation(Study):
    examples = ("--data-dir DIR", "--names vit3 --seeds 1 --bridge")
    recipe, precision, seeds = vits.RECIPES, "auto", 2
    columns = columns(
        "network",
        ("epochs", _of_settings(lambda found: str(found["epochs"]))),
        ("billion multiply-adds", _of_settings(lambda found: f"{computation(found) / 1e9:.3f}")),
        *("top-1, %", "seeds"),
        ("precision", _of_settings(lambda found: found["precision"])),
    )

    def options(self, p):
        p.add_argument("--names", nargs="+", choices=LONGER, default=[*LONGER], help="default both")
        told = "train in float32 as the recipe says, too"
        p.add_argument("--bridge", action="store_true", help=told)

    def folder(self, a):
        return a.dataset

    def title(self, a):
        return f"Equal computation on {self.tag(a)}"

    def tag(self, a):
        return recipes.load(self.recipe_of(a)).tag

    def forms(self, a):
        epochs = {name: round(LONGER[name] * a.epochs) for name in a.names}
        found = [Form(f"{n}, longer", n, how={"epochs": epochs[n]}) for n in a.names]
        if a.bridge:
            how = {"precision": "float32"}
            found += [Form(f"{n}, float32", n, how=how, seeds=1) for n in BRIDGE]
        return found

    def table(self, runs, a):
        filed = vits.measured(self.tag(a))
        return Table([*vits.FORMS, *self.forms(a)], [*filed, *summarize(runs)], self.tag(a))

    def claims(self, table, a):
        for recurrent, plain in PAIRS:
            title = f"{recurrent} against {plain} trained for as much computation"
            yield title, table[recurrent].against(f"{plain}, longer")
        for name in LONGER:
            title = f"{name} trained {LONGER[name]:g} times as long against {name}"
            yield title, table.difference(f"{name}, longer", name)
        for name in BRIDGE if a.bridge else ():
            yield f"{name} in float32", table.difference(f"{name}, float32", name)

    def draw(self, table, path, a):
        """Accuracy against the training's computation, a line to the longer one's."""
        with drawings.figure(path, (6, 4)) as (_, axes):
            points = drawings.seeds_at(
                axes, table, lambda row: computation(row.measured.settings) / 1e9
            )
            for name in LONGER:
                if f"{name}, longer" in points and name in points:
                    pair = points[name], points[f"{name}, longer"]
                    axes.plot(*zip(*pair, strict=True), "-", color="grey")
            axes.set(xlabel="billion multiply-adds of training, for each image", ylabel="top-1, %")

    def tell(self, runs, a):
        super().tell(runs, a)
        if missing := vits.todo(vits.measured(self.tag(a)), self.tag(a)):
            print(missing, file=sys.stderr)


STUDY = EqualComputation()
