"""The two CIFAR-10 tables: convolutional networks of full and of fewer parameters.

Trains the twelve networks of K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of
parameters of a neural network for image classification" (in Russian), sections 2.3 and 3.2, with
the paper's recipe: Adam 1e-3, batch 128, 20 epochs, pixels in [-1, 1], no augmentation.

The paper reports the best test accuracy of the 20 epochs, which chooses the epoch on the test
set; here that stands beside the accuracy after the last epoch.
"""

import math

from keras_recres import zoo
from training.ledger import cifar_zoo
from training.ledger.summary import BEST, EXACT, FINAL
from training.studies import drawings
from training.studies.forms import Form, columns
from training.studies.study import Study

SIZES = ("small", "medium", "residual")
VARIANTS = ("conv2d", "conv3d", "meta", "metahead")
# Colours apart for every kind of colour vision; markers differ too.
STYLES = {
    "conv2d": ("full", "o", "#000000"),
    "conv3d": ("3-D convolutions", "s", "#0072B2"),
    "meta": ("Meta convolutions", "^", "#D55E00"),
    "metahead": ("Meta head", "D", "#009E73"),
}


def name_of(size, variant):
    """A network's name in the zoo."""
    return f"cifar_{size}" + ("" if variant == "conv2d" else f"_{variant}")


def _record(row):
    return zoo.info(row.form.name)


def _size(row):
    return _record(row).arguments["size"]


def _variant(row):
    return _record(row).arguments.get("variant", "conv2d")


class CifarTables(Study):
    examples = ("--data-dir DIR --names 'cifar_small*'", "--report", "--record")
    recipe, choose, width = "cifar_tables", "names", 140
    columns = columns(
        "network",
        ("parameters", lambda row: f"{row.trainable:,}"),
        "multiply-adds",
        ("printed, best of 20", lambda row: f"{_record(row).paper.printed:.2f}"),
        ("measured, best of {epochs}", lambda row: row.measured.text(BEST) or "pending"),
        ("measured, last epoch", lambda row: row.measured.text(FINAL)),
        ("exact part, last epoch", lambda row: row.measured.text(EXACT)),
        "seeds",
    )
    facts = (
        ("name", lambda row: row.form.name),
        ("size", _size),
        ("variant", _variant),
        ("parameters", lambda row: row.trainable),
        ("multiply_adds", lambda row: row.multiply_adds),
        ("printed_percent", lambda row: str(_record(row).paper.printed)),
    )
    accuracies = (("best", BEST), ("last", FINAL), ("exact", EXACT))

    def stem(self, a):
        return "tables"

    def picture(self, a):
        return "accuracy"

    def forms(self, a):
        return [Form(name_of(s, v), name_of(s, v)) for s in SIZES for v in VARIANTS]

    def runs(self, a):
        """All networks of a size have one training before any has a second."""
        return sorted(super().runs(a), key=lambda run: SIZES.index(run.name.split("_")[1]))

    def file(self, runs, a):
        super().file(runs, a)
        return [
            f"filed {row['name']}.{row['tag']}: {row['value']} {row['metric']}, {row['dataset']}"
            for row in cifar_zoo.file(runs)
        ]

    def groups(self, table, a):
        return {
            f"CIFAR-10, {size} networks: top-1 accuracy, %": [
                row for row in table.values() if _size(row) == size
            ]
            for size in dict.fromkeys(map(_size, table.values()))
        }

    def heads(self, table):
        return [heading.format(epochs=_epochs(table)) for heading in self.columns]

    def notes(self, table, a):
        measured = _metrics(table)
        said = []
        if "cifar10_jpeg" in {m["settings"]["tag"] for m in measured}:
            said.append(
                "Trained and measured on CIFAR-10 re-encoded as JPEG (cifar10_jpeg): these are not "
                "the original pixels, and the printed numbers are from the original ones."
            )
        said.append(
            f"Printed, and measured as “best of {_epochs(table)}”, is the highest test accuracy of "
            "all epochs: the test set chose the epoch, so it does not estimate new images; “last "
            "epoch” is one. The paper printed one training; measured is the mean over the seeds ± "
            "their sample standard deviation."
        )
        if counts := {m["exact_images"] for m in measured if "exact_images" in m}:
            said.append(
                f"“Exact part” is the accuracy on the {max(counts):,} test images whose original "
                f"pixels are there: its standard error is {50 / math.sqrt(max(counts)):.1f} points "
                "or less for one training."
            )
        if limits := {m["settings"]["limit"] for m in measured} - {None}:
            said.append(f"A trial: only {min(limits):,} images of each split were used.")
        said.append("Parameters are the trainable ones; multiply-adds are those of one image.")
        return " ".join(said)

    def draw(self, table, path, a):
        """Accuracy against parameters, a panel a size: printed hollow, measured filled."""
        from matplotlib.lines import Line2D
        from matplotlib.ticker import FuncFormatter

        panels = list(self.groups(table, a).values())
        size = 2 + 3.7 * len(panels), 4.8
        with drawings.figure(path, size, 1, len(panels), squeeze=False) as (figure, grid):
            for axes, rows in zip(grid[0], panels, strict=True):
                for row in rows:
                    _draw_row(axes, row)
                axes.set(title=_size(rows[0]), xscale="log", xlabel="trainable parameters")
                axes.xaxis.set_major_formatter(FuncFormatter(_short))
                axes.minorticks_off()
                counts = sorted({row.trainable for row in rows})
                axes.set_xticks([counts[0], counts[-1]] if len(counts) > 1 else counts)
                axes.set_xlim(counts[0] / 1.3, counts[-1] * 1.3)
                axes.grid(alpha=0.3)
            grid[0, 0].set_ylabel("top-1 accuracy on the test set, %")
            marks = [(marker, colour, None, label) for label, marker, colour in STYLES.values()]
            marks.append(("o", "grey", "none", "printed (best of 20)"))
            marks.append(("o", "grey", "grey", "measured, best epoch"))
            marks.append(("_", "grey", "grey", "measured, last epoch"))
            figure.legend(
                handles=[
                    Line2D([], [], marker=m, color=c, markerfacecolor=face or c, label=label, ls="")
                    for m, c, face, label in marks
                ],
                loc="outside lower center",
                ncols=min(4, 1 + len(panels)),
                frameon=False,
                fontsize=9,
            )
            names = {"cifar10_jpeg": "its JPEG re-encoding"}
            tags = sorted({m["settings"]["tag"] for m in _metrics(table)})
            told = " and ".join(names.get(tag, tag) for tag in tags) or "nothing yet"
            figure.suptitle(f"Printed on CIFAR-10, measured on {told}")


def _draw_row(axes, row):
    _, marker, colour = STYLES[_variant(row)]
    hollow = {"markerfacecolor": "none", "linestyle": "none", "markersize": 9}
    axes.plot(row.trainable, _record(row).paper.printed, marker, color=colour, **hollow)
    for key, face, size in ((BEST, marker, 6), (FINAL, "_", 11)):
        if (mean := row.measured.mean(key)) is not None:
            style = {"marker": face, "markersize": size, "color": colour}
            error = row.measured.spread(key)
            axes.errorbar(row.trainable, mean, yerr=error, capsize=2, linewidth=0.8, **style)


def _metrics(table):
    return [m for row in table.values() for m in row.measured.metrics.values()]


def _epochs(table):
    """Epochs of the trainings in a table; the paper's 20 where there are none."""
    return max({m["epochs"] for m in _metrics(table)}, default=20)


def _short(count, _):
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.1f} k"


STUDY = CifarTables()
