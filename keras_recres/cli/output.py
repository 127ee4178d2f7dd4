"""Results: a table on a terminal, tab-separated values in a pipe, JSON where it is asked for."""

import dataclasses
import json
import sys
from collections.abc import Callable


def percent(value):
    """0.123 as "12.3 %"."""
    return f"{100 * value:.1f} %"


def count(value):
    """1234 as "1,234"."""
    return f"{value:,}"


def number(value):
    """Four digits of a measured number."""
    return f"{value:.4g}"


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: Its key in a row, and its name in a pipe.
        title: Its name on a terminal; None for the key.
        format: Function that spells a value on a terminal. Pipes get all its digits.
        right: Whether to align it to the right, as numbers are.
        whole: Whether a narrow terminal may not break its values, which somebody will copy.
        pipe_only: Whether terminals, which have less room, go without it.
    """

    key: str
    title: str | None = None
    format: Callable = str
    right: bool = False
    whole: bool = False
    pipe_only: bool = False


def show(rows, columns, as_json=False, title=None):
    """Writes rows to stdout.

    Args:
        rows: List of dicts of numbers, strings, lists of strings, None.
        columns: List of `Column`; JSON has all that is in the rows.
        as_json: Whether to write JSON, a list of objects.
        title: A line above the table on a terminal.
    """
    if as_json:
        print_json(rows)
    elif sys.stdout.isatty():
        _table(rows, [column for column in columns if not column.pipe_only], title)
    else:
        print("\t".join(column.key for column in columns))
        for row in rows:
            print("\t".join(_plain(row.get(column.key)) for column in columns))


def print_json(value):
    """Writes JSON to stdout; what is not finite becomes null, which JSON has a word for."""
    print(json.dumps(finite(value), indent=2, allow_nan=False))


def finite(value):
    """A value for JSON, in which what is not finite is None."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _plain(value):
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(map(_plain, value))
    return _printable(f"{value:.9g}" if isinstance(value, float) else str(value))


def _spelled(column, value):
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(_spelled(column, part) for part in value)
    return _printable(column.format(value))


def _printable(text):
    """Without tabs, line ends and what would command the terminal: names come from files."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _table(rows, columns, title):
    cells = [[_spelled(column, row.get(column.key)) for column in columns] for row in rows]
    titles = [column.key if column.title is None else column.title for column in columns]
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        _aligned(cells, columns, titles, title)
        return
    table = Table(title=title and Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for column, head in zip(columns, titles, strict=True):
        justify = "right" if column.right else "left"
        keep = column.right or column.whole
        table.add_column(Text(head), justify=justify, no_wrap=keep, overflow="fold")
    for row in cells:
        # As Text: square brackets in a name are not mark-up.
        table.add_row(*map(Text, row))
    Console().print(table)


def _aligned(cells, columns, titles, title):
    """The table without rich."""
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for line in [title] if title else []:
        print(line)
    for row in (titles, *cells):
        parts = (
            text.rjust(width) if column.right else text.ljust(width)
            for text, width, column in zip(row, widths, columns, strict=True)
        )
        print("  ".join(parts).rstrip())
