"""Tables of what was measured, and sentences on them, on the terminal."""

import sys


def show(title, columns, rows, words=1, width=120):
    """Prints a table.

    Args:
        title: of the table.
        columns: the headings.
        rows: list of tuples of str.
        words: how many columns have words, the others numbers.
        width: characters of a line where stdout is not a terminal.
    """
    from rich.table import Table

    shown = Table(title=title)
    for i, heading in enumerate(columns):
        shown.add_column(heading, justify="left" if i < words else "right", no_wrap=not i)
    for row in rows:
        shown.add_row(*row)
    console(width).print(shown)


def say(sentences):
    """Prints sentences, a line each."""
    for line in sentences:
        console().print(line, soft_wrap=True, highlight=False)


def console(width=120):
    """Standard output, so wide where it is not a terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width)
