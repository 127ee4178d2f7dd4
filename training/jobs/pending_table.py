"""What is pending, as a table on the terminal."""

import sys

from training.jobs import pending_rows
from training.provenance import hardware


def show(rows, a):
    """Prints a line for every pending row, in order of value, and how long it takes, if known.

    Args:
        rows: list of `training.jobs.pending_rows.Row`.
        a: arguments `out`, `epochs`, `limit`, `jobs`.
    """
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"pending, on {hardware()}")
    for heading in ("row", "data set", "recipe", "seeds", "minutes", "why"):
        right = heading in ("seeds", "minutes")
        shown.add_column(heading, justify="right" if right else "left", overflow="fold")
    pending = [row for row in rows if row.needs]
    needed = {row: pending_rows.needed(row, a, strict=False) for row in pending}
    ordered = pending_rows.by_value([training for row in pending for training in needed[row]])
    # Rows without a training to begin come last: all is trained, or none can be.
    order = list(dict.fromkeys([*(training.row for training in ordered), *pending]))
    for row in order:
        shown.add_row(*_cells(row, needed[row]))
    Console(width=None if sys.stdout.isatty() else 120).print(shown)
    known = [seconds for row in order for t in needed[row] if (seconds := t.seconds_left)]
    hours = f"; those begun here take {sum(known) / 3600:,.1f} hours more" if known else ""
    print(f"{len(pending)} of {len(rows)} rows are pending{hours}.")


def _cells(row, needed):
    here = row.place is not None
    why = row.needs if here or not row.exists else f"{row.needs}; no {row.recipe.dataset} here"
    done = row.seeds - len(needed) if row.exists else 0
    begun = sum(training.epochs[0] > 0 for training in needed)
    if row.exists and not needed:
        why += "; all trained, not filed"
    if begun:
        why += f"; {begun} half done"
    left = [training.seconds_left for training in needed]
    time = f"{sum(left) / 60:,.0f}" if left and None not in left else ""
    seeds = f"{max(done, row.filed)}/{row.seeds}"
    return row.label, row.recipe.dataset, row.recipe.name, seeds, time, why
