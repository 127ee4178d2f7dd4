"""Progress and table of the planar experiment in the terminal."""

import contextlib
import sys

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

VERDICTS = {
    "holds": "The paper's ordering holds here: shallow < recurrent < deep, by the medians.",
    "saturated": "All three networks separate the curves: there is nothing to order here.",
    "fails": "The paper's ordering does not hold here.",
}


@contextlib.contextmanager
def progress(total, unit="steps"):
    """A progress bar in optimiser steps, or another unit, on a terminal; elsewhere a line a stage.

    Yields:
        An object with `describe(text)` and `advance(steps)`.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    with bar:
        yield _Stage(bar, bar.add_task("compiling", total=total), console.is_terminal)


class _Stage:
    def __init__(self, bar, task, terminal):
        self.bar, self.task, self.terminal = bar, task, terminal

    def describe(self, text):
        self.bar.update(self.task, description=text)
        if not self.terminal:
            print(text, file=sys.stderr)

    def advance(self, steps):
        self.bar.advance(self.task, steps)


def show(results, verdict):
    """Prints loss and accuracy of all networks beside the paper's numbers."""
    table = Table(title="Planar experiment, table 1: loss / accuracy")
    for heading in ("network", "parameters", "paper", "best", "median", "mean ± sd"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for result in results:
        network, loss, accuracy = result.network, result.loss, 100 * result.accuracy
        table.add_row(
            network.name,
            str(network.parameters),
            f"{network.printed_loss:.2f} / {100 * network.printed_accuracy:.0f} %",
            f"{loss.min():.2f} / {accuracy.max():.1f} %",
            f"{np.median(loss):.2f} / {np.median(accuracy):.1f} %",
            f"{loss.mean():.2f} ± {loss.std():.2f} / "
            f"{accuracy.mean():.1f} ± {accuracy.std():.1f} %",
        )
    width = None if sys.stdout.isatty() else 110
    console = Console(width=width)
    console.print(table)
    seeds = len(results[0].loss)
    console.print(
        f"{VERDICTS[verdict]} {seeds} seed{'s' if seeds > 1 else ''}, none left out; sd over seeds."
    )
