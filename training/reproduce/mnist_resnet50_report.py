"""What the seven ResNet-50s measured: table, CSV, picture of the losses, rows of the zoo."""

import csv
import dataclasses
import io
import statistics
import sys

from keras_recres import zoo
from training.errors import UserError, output_folder
from training.fit.run_folder import write_aside
from training.ledger import recording
from training.ledger.filing import SUBSET
from training.reproduce.cifar_summary import FINAL, Summary, summarize
from training.reproduce.mnist_run import read_steps

PICTURES = ("losses.png", "losses.svg")
# Steps at either end of a training whose losses are averaged for "first" and "last".
ENDS = 20
HEAD = ("network", "activation", "initialiser", "in the slides, %", "measured, %")
HEAD += ("loss of the first steps", "of the last", "images/s", "seeds")
# What the slides plot and don't print.
PLOTTED = "98.5 to 98.7, off a plot"
# Okabe and Ito's colours, apart for every kind of colour vision; lines differ by initialiser too.
COLOURS = {"relu": "#000000", "tanh": "#0072B2", "alpha_relu": "#D55E00"}
COLOURS[0.1] = "#CC79A7"  # The slides' α.
LINES = {"he_normal": "-", "he_uniform": ":", "glorot_uniform": "--"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One network: what is known of it, what its seeds measured, and the losses by step."""

    name: str
    activation: str
    alpha: float | None
    initializer: str
    printed: float | None
    measured: Summary
    losses: tuple

    @property
    def rate(self):
        """Images a second in training, the mean over the seeds; None without any."""
        rates = [m["images_per_second"] for m in self.measured.metrics.values()]
        return statistics.mean(rates) if rates else None


def ends(losses):
    """Mean losses of the first and of the last steps of trainings; None without any."""
    losses = [found for found in losses if found]
    if not losses:
        return None
    return tuple(
        statistics.mean(statistics.mean(found[part]) for found in losses)
        for part in (slice(ENDS), slice(-ENDS, None))
    )


def rows(runs):
    """A `Row` for every network that `runs` has, in their order."""
    return [
        _row(summary, [run for run in runs if run.label == summary.label])
        for summary in summarize(runs)
    ]


def _row(summary, runs):
    record = zoo.info(runs[0].name)
    arguments = {**record.arguments_of(record.default_tag), **runs[0].arguments}
    return Row(
        summary.label,
        arguments["activation"],
        arguments.get("alpha"),
        arguments["initializer"],
        record.paper.printed,
        summary,
        tuple(read_steps(run.path / "steps.csv") for run in runs),
    )


def file(runs):
    """Files results and logs of finished trainings in the zoo, and no weights.

    A training with a limit on the images is filed as another metric, beside which that of a whole
    training finds its place.

    Returns:
        The rows of results, a list of dicts.

    Raises:
        UserError: nothing is finished.
    """
    filed = []
    # A network with other arguments than the zoo's is none of its names.
    for label in dict.fromkeys(run.label for run in runs if not run.arguments):
        finished = [run for run in runs if run.label == label and run.metrics]
        if not finished:
            continue
        part = finished[0].metrics["settings"]["limit"] is not None
        metric = f"{SUBSET if part else ''}top1_percent"
        paths = [run.path for run in finished]
        filed.append(recording.record(paths, _note(finished, part), weights=False, metric=metric))
    if not filed:
        raise UserError("no training is finished: nothing is filed.")
    return filed


def _note(finished, part):
    said = ["a trial on part of the training set, not the slides' recipe"] if part else []
    if precise := finished[0].metrics["settings"].get("precise_bn"):
        said.append(f"batch statistics averaged anew over {precise} training batches")
    record = zoo.info(finished[0].name)
    if "alpha" in record.arguments:
        alpha = record.arguments_of(record.default_tag)["alpha"]
        said.insert(0, f"alpha {alpha:g}, the slides' was {record.arguments['alpha']:g}")
    if found := ends([read_steps(run.path / "steps.csv") for run in finished]):
        said.append("loss {:.2f} in the first {n} steps, {:.2f} in the last".format(*found, n=ENDS))
    return "; ".join([*said, "weights are not kept"])


def show(table, a):
    """Prints the table and writes table.csv, table.md and the picture into `a.out`.

    Args:
        table: list of `Row`.
        a: arguments, of which `out` is used.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    shown = Table(title="mnist_resnet50: top-1 accuracy on the test set")
    for i, heading in enumerate(HEAD):
        shown.add_column(heading, justify="right" if i > 2 else "left", no_wrap=not i)
    for name, *others in _lines(table):
        shown.add_row(name.removeprefix("mnist_resnet50_"), *others)
    console.print(shown)
    console.print(notes(table), soft_wrap=True, highlight=False)
    output_folder(a.out)
    write_aside(a.out / "table.md", markdown(table))
    write_aside(a.out / "table.csv", as_csv(table))
    draw(table, [a.out / name for name in PICTURES])
    print(f"Written to {a.out}: table.md, table.csv, {', '.join(PICTURES)}.", file=sys.stderr)


def _lines(table):
    for row in table:
        losses = (f"{loss:.3f}" for loss in ends(row.losses) or ())
        yield (
            row.name,
            row.activation if row.alpha is None else f"{row.activation} {row.alpha:g}",
            row.initializer,
            _printed(row),
            row.measured.text(FINAL) or "pending",
            *(losses if any(row.losses) else ("", "")),
            "" if row.rate is None else f"{row.rate:,.0f}",
            str(len(row.measured.metrics) or ""),
        )


def _printed(row):
    if row.printed is None:
        return PLOTTED
    return f"{row.printed:.2f}" + ("" if row.alpha is None else ", loss NaN (α = 0.1)")


def markdown(table):
    """The table as Markdown, with what a reader must know of it."""
    cells = [f"| `{name}` | {' | '.join(others)} |" for name, *others in _lines(table)]
    rule = "|---|---|---|" + "--:|" * (len(HEAD) - 3)
    return "\n".join([f"| {' | '.join(HEAD)} |", rule, *cells, "", notes(table), ""])


def notes(table):
    """What the numbers are, in sentences."""
    said = ["SGD 0.01, batch 32, pixels in [0, 1]."]
    measured = [m for row in table for m in row.measured.metrics.values()]
    if measured:
        first = measured[0]
        count = "1 epoch" if first["epochs"] == 1 else f"{first['epochs']} epochs"
        said.append(
            f"Measured after {count} of {first['train_images']:,} images on "
            f"{first['eval_images']:,} test images; the slides' are after 5 epochs of 60,000."
        )
        if first["settings"]["limit"] is not None:
            said.append("It tells that all of these train, and does not rank them.")
    said.append(
        f"The losses are those of training batches, means of the first and of the last {ENDS} "
        "steps. In the slides the loss of the α-ReLU networks was NaN from the first batch."
    )
    return " ".join(said)


def as_csv(table):
    """One line a network, accuracy in percent; those of the seeds apart by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = "name activation alpha initializer printed_percent seeds percent by_seed"
    writer.writerow([*columns.split(), "first_loss", "last_loss", "images_per_second"])
    for row in table:
        values = row.measured.values(FINAL).values()
        line = [row.name, row.activation, row.alpha or "", row.initializer]
        line += ["" if row.printed is None else row.printed, len(row.measured.metrics)]
        numbers = [row.measured.mean(FINAL), *(ends(row.losses) or (None, None)), row.rate]
        mean, *others = ["" if number is None else f"{number:.4f}" for number in numbers]
        writer.writerow([*line, mean, " ".join(f"{value:.2f}" for value in values), *others])
    return text.getvalue()


def draw(table, paths):
    """Draws the loss of every network against the steps, means over a few steps.

    Args:
        table: list of `Row`.
        paths: the pictures to write.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for row in table:
        for i, losses in enumerate(found for found in row.losses if found):
            width = min(ENDS, len(losses))
            smooth = np.convolve(losses, np.full(width, 1 / width), mode="valid")
            axes.plot(
                np.arange(len(smooth)) + width,
                smooth,
                LINES[row.initializer],
                color=COLOURS.get(row.alpha, COLOURS[row.activation]),
                linewidth=1.4,
                label=None if i else row.name.removeprefix("mnist_resnet50_"),
            )
    axes.axhline(np.log(10), color="grey", linewidth=0.8)
    axes.annotate("guessing", (0.99, np.log(10)), xycoords=("axes fraction", "data"), ha="right")
    axes.set(
        xlabel="training step, 32 images each",
        ylabel=f"loss, mean of {ENDS} steps",
        yscale="log",
        title="ResNet-50 on MNIST with the slides' recipe",
    )
    axes.grid(alpha=0.3, which="both")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)
    for path in paths:
        figure.savefig(path, dpi=130)
