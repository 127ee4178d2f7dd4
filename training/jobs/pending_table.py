"""What is pending, as a table on the terminal."""

import sys

from training.console import progress_bar
from training.jobs import pending_rows


def show(rows, a, rates):
    """Prints a line for every pending row, in order of value, with its estimate.

    Args:
        rows: list of `training.jobs.pending_rows.Row`.
        a: arguments `out`, `epochs`, `limit`, `jobs`.
        rates: a `training.jobs.rates.Rates`.
    """
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"pending, on {rates.here}")
    for heading in ("row", "data set", "recipe", "seeds", "minutes", "why"):
        right = heading in ("seeds", "minutes")
        shown.add_column(heading, justify="right" if right else "left", overflow="fold")
    pending = [row for row in rows if row.needs]
    needed = {row: pending_rows.needed(row, a, strict=False) for row in pending}
    ordered = pending_rows.by_value([training for row in pending for training in needed[row]])
    # Rows of which all is trained, or nothing can be, have no place in that order.
    order = list(dict.fromkeys([*(training.row for training in ordered), *pending]))
    total = 0.0
    with progress_bar("counting multiply-adds", len(order)) as advance:
        for row in order:
            minutes = sum(rates.seconds(training) for training in needed[row]) / 60
            total += minutes
            shown.add_row(*_cells(row, needed[row], minutes, rates))
            advance(1)
    Console(width=None if sys.stdout.isatty() else 120).print(shown)
    print(
        f"{len(pending)} of {len(rows)} rows are pending, {total / 60:,.1f} hours one after another"
        f" on {rates.here}; ~ is a guess until an epoch or --rate has told the rate."
    )


def _cells(row, needed, minutes, rates):
    here = row.place is not None
    why = row.needs if here or not row.exists else f"{row.needs}; no {row.recipe.dataset} here"
    done = row.seeds - len(needed) if row.exists else 0
    begun = sum(training.epochs[0] > 0 for training in needed)
    if row.exists and not needed:
        why += "; all trained, not filed"
    if begun:
        why += f"; {begun} half done"
    guess = "~" if needed and rates.is_guess(row) else ""
    time = f"{guess}{minutes:,.0f}" if needed else ""
    seeds = f"{max(done, row.filed)}/{row.seeds}"
    return row.label, row.recipe.dataset, row.recipe.name, seeds, time, why
