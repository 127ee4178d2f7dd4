"""Table 2 of the recurrence paper: T2T-ViTs whose blocks run once, and several times.

Jiang, Cui, Wang, "Residual network with recurrent structures": on ImageNet 3 blocks have 61.53 %
top-1 and 67.16 % when they run several times, 7 blocks 71.63 and 74.57 %, with no parameter added.
`vit7_rec_plus`, ours, has norms and a learned vector for every step besides. The trainings are
those of `training.pending`, which files them in zoo/logs/trainings.jsonl; this trains nothing. It
compares what is filed, trained alike but for what a recipe of `vit7_rec_plus`' own asks for, which
is told. With --data-dir it compares the zoo's weights, too, image by image.
"""

import sys

from keras_recres import zoo
from training.errors import UserError
from training.studies import by_image, drawings, vits
from training.studies.effects import method
from training.studies.forms import Table, columns
from training.studies.study import Study
from training.studies.vits import PAIRS, PAPERS

# Those that a recipe of their own may train.
IMPROVED = ("vit7_rec_plus",)


def _printed(row):
    return zoo.info(row.form.name).paper.printed


class T2tVit(Study):
    examples = ("--report", "--tag cifar10_jpeg --data-dir DIR")
    common, least = ("data-dir", "limit", "report", "out"), {"limit": 2}
    columns = columns(
        *("network", "parameters", "multiply-adds"),
        ("printed, %", lambda row: "" if _printed(row) is None else f"{_printed(row):.2f}"),
        *("top-1, %", "seeds"),
    )

    def options(self, p):
        p.add_argument("--tag", default="tiny_imagenet80", help="data set (default %(default)s)")

    def check(self, a):
        super().check(a)
        if a.limit is not None and not a.data_dir:
            raise UserError("--limit is for the images of --data-dir: give that, too.")

    def title(self, a):
        return f"T2T-ViT on {a.tag}"

    def runs(self, a):
        return vits.measured(a.tag)

    def train(self, summaries, a):
        """Trains nothing: raises a UserError where there is nothing to compare."""
        if not (a.data_dir or any(summary.metrics for summary in summaries)):
            told = vits.todo(summaries, a.tag)
            raise UserError(f"none of the networks is trained on {a.tag} yet: {told}")

    report = train

    def table(self, summaries, a):
        return Table(vits.FORMS, summaries, a.tag)

    def claims(self, table, a):
        # The paper's four networks tell the spread of their seeds; what is compared with them
        # besides tells its own, too.
        papers = table.cells_of(sum(PAPERS, ()))
        for plain, recurrent in PAIRS:
            one, other = table[recurrent], table[plain]
            added = one.parameters / other.parameters - 1
            with_what = f"with {added:.2%} more parameters" if added else "with the same parameters"
            title = f"{recurrent} against {plain}, {with_what}{_otherwise(one, other)}"
            if _printed(one) is not None:
                title += f" (printed {_printed(one) - _printed(other):+.2f} on ImageNet)"
            cells = papers if (plain, recurrent) in PAPERS else table.cells
            yield title, cells.difference(recurrent, plain)
        both = papers.mean_difference([(recurrent, plain) for plain, recurrent in PAPERS])
        if both.mean is not None:
            yield "Recurrence, both depths together", both
        trained = [row.measured.settings for name, row in table.items() if name not in IMPROVED]
        for one, other, key in vits.differences([settings for settings in trained if settings]):
            yield (
                f"{one['name']} and {other['name']} say nothing of each other: they were trained "
                f"with {key} {one.get(key)!r} and {other.get(key)!r}."
            )

    def notes(self, table, a):
        said = ["Top-1 after the last epoch, mean ± sample standard deviation over the seeds."]
        said.append(method(table.cells_of(sum(PAPERS, ()))))
        if a.data_dir:
            found = by_image.rights(vits.NAMES, a.tag, a.data_dir, a.limit)
            said += by_image.sentences(PAIRS, found)
        return said

    def draw(self, table, path, a):
        """Accuracy against multiply-adds, an arrow from each network to what is made of it."""
        with drawings.figure(path, (6, 4)) as (_, axes):
            points = drawings.seeds_at(axes, table, lambda row: row.multiply_adds / 1e6)
            for plain, recurrent in PAIRS:
                if plain in points and recurrent in points:
                    arrow = {"arrowstyle": "->", "color": "grey"}
                    axes.annotate("", points[recurrent], points[plain], arrowprops=arrow)
            axes.set(xlabel="million multiply-adds", ylabel="top-1, %")
            axes.set_title(f"{a.tag}: each seed and means")

    def tell(self, summaries, a):
        super().tell(summaries, a)
        if missing := vits.todo(summaries, a.tag):
            print(missing, file=sys.stderr)


def _otherwise(one, other):
    """What has to be said of a network that was trained otherwise than the other, else ""."""
    settings = [row.measured.settings for row in (other, one)]
    if None in settings:
        return ""
    told = [f"{k} {y.get(k)!r} (not {x.get(k)!r})" for x, y, k in vits.differences(settings)]
    return f", trained with {' and '.join(told)}" if told else ""


STUDY = T2tVit()
