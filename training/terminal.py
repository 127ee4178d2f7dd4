"""A progress bar where there is a terminal, nothing where there is none."""

import contextlib
import sys


@contextlib.contextmanager
def progress_bar(text, total, enabled=True):
    """Shows how far a long piece of work is, on stderr.

    Args:
        text: what is going on.
        total: units of work in all.
        enabled: False shows nothing; nor does a stderr that is no terminal.

    Yields:
        A function ``advance(count)``.
    """
    if not (enabled and sys.stderr.isatty()):
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda count: bar.advance(task, count)
