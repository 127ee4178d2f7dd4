"""Tables of what was measured, with sentences on them: on the terminal and as Markdown."""

import sys

from training.errors import output_folder
from training.fit.run_folder import write_aside


def show(title, columns, rows, said=(), width=120):
    """Prints a table and what is said of it.

    Args:
        title: of the table.
        columns: the headings, the first of a column of words, the others of numbers.
        rows: list of tuples of str.
        said: sentences, a list of str.
        width: characters of a line where stdout is not a terminal.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else width)
    shown = Table(title=title)
    for i, heading in enumerate(columns):
        shown.add_column(heading, justify="right" if i else "left", no_wrap=not i)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    for line in said:
        console.print(line, soft_wrap=True, highlight=False)


def publish(title, columns, rows, said, path):
    """Prints a table and what is said of it, and writes both as Markdown to `path`."""
    show(title, columns, rows, said)
    output_folder(path.parent)
    write_aside(path, "\n".join([*markdown(columns, rows, said), ""]))


def markdown(columns, rows, said):
    """The lines of such a table, its sentences as a list below it; a list of str."""
    lines = [f"| {' | '.join(columns)} |", "|---|" + "--:|" * (len(columns) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return [*lines, "", *(f"- {line}" for line in said)]
