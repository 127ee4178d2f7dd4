"""The convolutional line: a table and a picture of its networks, from the zoo's records.

    KERAS_BACKEND=torch python -m training.line     renew docs/convolutional_line.md and .png

Every network is built, without its weights, to count its layers; the rest is what the records say.
"""

import argparse
import dataclasses
import math
from pathlib import Path

from keras_recres import models, zoo
from keras_recres.backend import keras_private
from keras_recres.layers import Highway, RecurrentResidual
from training.files import write_aside

PAGE = Path(__file__).resolve().parents[1] / "docs" / "convolutional_line.md"
BEGIN, END = "<!-- line:begin -->", "<!-- line:end -->"
HEAD = (
    *("name", "year", "depth", "parameters", "convolutions / dense"),
    *("multiply-adds", "convolutions / dense", "published error", "on", "where"),
)
# Okabe and Ito's colours, apart for every kind of colour vision; markers differ too.
STYLES = {"imagenet": ("o", "#0072B2"), "cifar10": ("s", "#D55E00"), "mnist": ("^", "#009E73")}
OTHER = ("D", "#000000")


@dataclasses.dataclass(frozen=True)
class Row:
    """What the table says of one network; shares are those of (convolutions, dense layers)."""

    record: zoo.record.Record
    year: float | None
    depth: int
    parameters: tuple[float, float]
    multiply_adds: tuple[float, float]

    @property
    def cells(self):
        record, paper = self.record, self.record.paper
        error = "" if paper.printed is None else f"{round(100 - paper.printed, 2):g} %"
        return (
            f"`{record.name}`",
            "" if self.year is None else str(int(self.year)),
            str(self.depth),
            f"{record.parameters.total:,}",
            _percent(self.parameters),
            f"{record.multiply_adds:,}",
            _percent(self.multiply_adds),
            error,
            paper.dataset,
            paper.where,
        )


def _percent(shares):
    return " / ".join(f"{100 * share:.1f}" for share in shares) + " %"


def records():
    """The records of the line: of every builder in `models.convnets`, the oldest first."""
    found = [
        record
        for record in zoo.list()
        if ".convnets." in getattr(models, record.builder).__module__
    ]
    return sorted(found, key=lambda record: (year_of(record.paper) or 0, record.parameters.total))


def year_of(paper):
    """When a paper appeared, in years, from what its record says; None where that is not said."""
    source = paper.architecture or ""
    number = source.rpartition("arXiv:")[2].strip("() ") if "arXiv:" in source else paper.arxiv
    if paper.year is not None:
        return float(paper.year)
    if number is None:
        return None
    return 2000 + int(number[:2]) + (int(number[2:4]) - 0.5) / 12


def row(record):
    """The `Row` of a record, of the network of its paper."""
    with keras_private.values_given_later():
        model = zoo.build(record.name)
    kernels = {id(w): w.shape for w in model.trainable_weights if len(w.shape) > 1}.values()
    # Of convolutions kernels have four axes, of those with a table of connections three.
    in_convolutions = sum(math.prod(shape) for shape in kernels if len(shape) > 2)
    # In this line each is used once an image, so that it has as many products as weights.
    in_dense = sum(math.prod(shape) for shape in kernels if len(shape) == 2)
    of_dense = in_dense / models.multiply_adds(model).total
    count = model.count_params()
    return Row(
        record,
        year_of(record.paper),
        depth(model, first_output=True),
        (in_convolutions / count, in_dense / count),
        (1 - of_dense, of_dense),
    )


def depth(layer, first_output=False):
    """Layers with trained kernels on the longest way through a layer or model."""
    if isinstance(layer, RecurrentResidual):
        return layer.steps * depth(layer.branch)
    if isinstance(layer, Highway):
        return depth(layer.transform)
    function = keras_private.function_of(layer)
    if function is None:
        # Of a separable convolution the two kernels are one layer.
        return int(any(len(w.shape) > 1 for w in getattr(layer, "trainable_weights", ())))
    longest = {id(x): 0 for x in function.inputs}
    for node in keras_private.nodes_of(function):
        if node.is_input:
            continue
        before = max(longest[id(x)] for x in node.input_tensors)
        longest |= {id(y): before + depth(node.operation) for y in node.outputs}
    outputs = function.outputs[:1] if first_output else function.outputs
    return max(longest[id(y)] for y in outputs)


def table(rows):
    """The table, Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|--:|--:|--:|--:|--:|--:|--:|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row.cells)} |" for row in rows)]) + "\n"


def draw(rows, path):
    """Depth, a column a network and the oldest first, areas of parameters."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6, 0.28 * len(rows)), 6), layout="constrained")
    axes = figure.subplots()
    years = ["" if row.year is None else int(row.year) for row in rows]
    for column, row in enumerate(rows):
        marker, colour = STYLES.get(row.record.paper.dataset, OTHER)
        area = 4 * row.record.parameters.total**0.3
        axes.scatter(column, row.depth, area, color=colour, marker=marker, alpha=0.6, lw=0)
        if column and years[column] != years[column - 1]:
            axes.axvline(column - 0.5, color="0.8", lw=0.8)
    for year in dict.fromkeys(years):
        middle = (len(years) - 1 - years[::-1].index(year) + years.index(year)) / 2
        axes.text(middle, 1.01, year, transform=axes.get_xaxis_transform(), ha="center", fontsize=8)
    for name, (marker, colour) in (*STYLES.items(), ("other images", OTHER)):
        axes.scatter([], [], color=colour, marker=marker, alpha=0.6, lw=0, label=name)
    axes.set(yscale="log", ylabel="layers with trained kernels, one after another")
    axes.set_xticks(range(len(rows)), [row.record.name for row in rows], rotation=90, fontsize=8)
    axes.set_xlim(-0.7, len(rows) - 0.3)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(title="areas grow with parameters", frameon=False, loc="upper left")
    figure.savefig(path, dpi=110)


def main(argv=None):
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m training.line", description=__doc__.split("\n")[0])
    p.add_argument("--page", type=Path, default=PAGE, help="a Markdown page with the two marks")
    page = p.parse_args(argv).page
    rows = [row(record) for record in records()]
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    draw(rows, page.with_suffix(".png"))
    write_aside(page, f"{before}{BEGIN}\n{table(rows)}{END}{after}")
    print(f"{len(rows)} networks: {page} and {page.with_suffix('.png').name}")


if __name__ == "__main__":
    main()
