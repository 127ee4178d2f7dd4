"""How far what is measured within one process is: a bar on a terminal, lines elsewhere."""

import contextlib
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


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
