"""The tables of the CIFAR-10 networks: on the terminal, as CSV, as Markdown."""

import csv
import dataclasses
import io
import math
import sys

from keras_recres import zoo
from keras_recres.models.multiply_adds import multiply_adds
from training.errors import output_folder
from training.fit.run_folder import write_aside
from training.reproduce import tables
from training.reproduce.cifar_summary import BEST, EXACT, FINAL, Summary, summarize

PICTURE = "accuracy.png"
HEAD = (
    "network",
    "parameters",
    "multiply-adds",
    "printed, best of 20",
    "measured, best of {epochs}",
    "measured, last epoch",
    "exact part, last epoch",
    "seeds",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One network: what is known of it, and what was measured."""

    name: str
    size: str
    variant: str
    parameters: int
    multiply_adds: int
    printed: float
    measured: Summary


def rows(runs):
    """A `Row` for every network that `runs` has, in their order."""
    return [_row(summary) for summary in summarize(runs)]


def _row(summary):
    record = zoo.info(summary.label)
    return Row(
        summary.label,
        record.arguments["size"],
        record.arguments.get("variant", "conv2d"),
        record.parameters.trainable,
        products(summary.label),
        record.paper.printed,
        summary,
    )


def products(name, **arguments):
    """Multiply-adds of a name of the zoo on one image."""
    return multiply_adds(zoo.build(name, **arguments)).total


def show(table, a):
    """Prints the tables and writes tables.csv, tables.md and the picture into `a.out`.

    Args:
        table: list of `Row`.
        a: arguments, of which `out` is used.
    """
    from training.reproduce import cifar_plots

    for title, head, lines in _tables(table):
        tables.show(title, head, lines, width=140)
    print(notes(table))
    output_folder(a.out)
    write_aside(a.out / "tables.md", markdown(table))
    write_aside(a.out / "tables.csv", as_csv(table))
    cifar_plots.accuracy(table, a.out / PICTURE)
    print(f"Written to {a.out}: tables.md, tables.csv, {PICTURE}.", file=sys.stderr)


def _tables(table):
    """For each size a title, the headings and the cells."""
    head = [heading.format(epochs=epochs(table)) for heading in HEAD]
    for size in dict.fromkeys(row.size for row in table):
        lines = [
            (
                row.name,
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
                f"{row.printed:.2f}",
                row.measured.text(BEST) or "pending",
                row.measured.text(FINAL),
                row.measured.text(EXACT),
                str(len(row.measured.metrics) or ""),
            )
            for row in table
            if row.size == size
        ]
        yield f"CIFAR-10, {size} networks: top-1 accuracy, %", head, lines


def markdown(table):
    """The tables as Markdown, one a size, with what a reader must know of them."""
    parts = []
    for title, head, lines in _tables(table):
        rule = "|---|" + "--:|" * (len(head) - 1)
        cells = [f"| `{name}` | {' | '.join(others)} |" for name, *others in lines]
        parts += [f"**{title}**", "", f"| {' | '.join(head)} |", rule, *cells, ""]
    return "\n".join([*parts, notes(table), ""])


def notes(table):
    """What the numbers are, in sentences."""
    measured = [m for row in table for m in row.measured.metrics.values()]
    tags = {m["settings"]["tag"] for m in measured}
    said = []
    if "cifar10_jpeg" in tags:
        said.append(
            "Trained and measured on CIFAR-10 re-encoded as JPEG (cifar10_jpeg): these are not the "
            "original pixels, and the printed numbers are from the original ones."
        )
    said.append(
        f"Printed, and measured as “best of {epochs(table)}”, is the highest test accuracy of all "
        "epochs: the test set chose the epoch, so it does not estimate new images; “last epoch” "
        "is one. The paper printed one training; measured is the mean over the seeds ± their "
        "sample standard deviation."
    )
    if counts := {m["exact_images"] for m in measured if "exact_images" in m}:
        said.append(
            f"“Exact part” is the accuracy on the {max(counts):,} test images whose original "
            f"pixels are there: its standard error is {50 / math.sqrt(max(counts)):.1f} points or "
            "less for one training."
        )
    if limits := {m["settings"]["limit"] for m in measured} - {None}:
        said.append(f"A trial: only {min(limits):,} images of each split were used.")
    said.append("Parameters are the trainable ones; multiply-adds are those of one image.")
    return " ".join(said)


def epochs(table):
    """Epochs of the trainings in a table; the paper's 20 where there are none."""
    found = {m["epochs"] for row in table for m in row.measured.metrics.values()}
    return max(found, default=20)


def as_csv(table):
    """One line a network, accuracies in percent; those of the seeds apart by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = {"best": BEST, "last": FINAL, "exact": EXACT}
    writer.writerow(
        ["name", "size", "variant", "parameters", "multiply_adds", "printed_percent", "seeds"]
        + [f"{key}_{kind}" for key in keys for kind in ("percent", "std", "by_seed")]
    )
    for row in table:
        line = [row.name, row.size, row.variant, row.parameters, row.multiply_adds, row.printed]
        line.append(len(row.measured.metrics))
        for key in keys.values():
            values = row.measured.values(key).values()
            numbers = (row.measured.mean(key), row.measured.spread(key))
            line += ["" if number is None else f"{number:.4f}" for number in numbers]
            line.append(" ".join(f"{value:.2f}" for value in values))
        writer.writerow(line)
    return text.getvalue()
