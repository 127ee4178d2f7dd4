"""How far several trainings are: bars on a terminal, lines elsewhere."""

import re
import sys

EPOCH = re.compile(r"epoch (\d+)/(\d+)(:?)")


class Board:
    """Shows what trainings tell on their standard error.

    Args:
        total: number of trainings.
        done: how many are finished already.
    """

    def __init__(self, total, done):
        self._total, self._done = total, done
        self._tasks = {}
        self._bar = None
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=20),
                progress.TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                progress.TextColumn("{task.fields[state]}"),
                console=Console(stderr=True),
            )
            self._all = self._bar.add_task("trainings", total=total, completed=done, state="")
            self._bar.start()

    def begin(self, name):
        """A training begins."""
        if self._bar:
            self._tasks[name] = self._bar.add_task(name, total=1, state="reading data")

    def tell(self, name, line):
        """A training wrote a line; only one about an epoch is shown."""
        if not (epoch := EPOCH.match(line)):
            return
        if self._bar is None:
            print(f"{name}: {line}", file=sys.stderr, flush=True)
            return
        number, total = int(epoch[1]), int(epoch[2])
        self._bar.update(
            self._tasks[name],
            # Within an epoch the line names the step, and the epoch is not done.
            completed=number if epoch[3] else number - 1,
            total=total,
            state=line.partition(": ")[2],
        )

    def end(self, name, problem=None):
        """A training has ended, with a problem or without."""
        self._done += problem is None
        if self._bar:
            self._bar.update(self._all, completed=self._done)
            self._bar.remove_task(self._tasks.pop(name))
        state = f"failed: {problem}" if problem else "done"
        self._print(f"{name}: {state}, {self._done} of {self._total} trainings are finished")

    def close(self):
        """Takes the bars off the terminal."""
        if self._bar:
            self._bar.stop()

    def _print(self, line):
        if self._bar:
            self._bar.console.print(line, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)
