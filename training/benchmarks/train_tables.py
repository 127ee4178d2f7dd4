"""The tables and verdicts of `python -m training.benchmark train`."""

from rich.console import Console
from rich.table import Table

# Our step over the best one written by hand.
BAR = 1.1
FORMS = ("torch, eager", "torch.compile", "jax.jit")


def report(rows):
    """Prints the families, the comparisons, and for each whether the bar is met."""
    console = Console(width=120)
    console.print(_families([row for row in rows if "network" in row]))
    compared = [row for row in rows if "by_hand" in row]
    console.print(_compared(compared))
    for row in compared:
        far = max(row["differences"].values())
        console.print(
            f"{_name(row)} on {row['backend']}: {ratio(row):.2f} of the best step by hand "
            f"({best(row)}); {_bar(ratio(row))}; loss and gradients differ by {far:.0e} at most"
        )
        for form, why in row["failed"].items():
            console.print(f"  {form} was left out, it failed: {why}")
    for name in dict.fromkeys(map(_name, compared)):
        row = min((row for row in compared if _name(row) == name), key=ratio)
        console.print(f"{name}: at best, on {row['backend']}, {ratio(row):.2f}; {_bar(ratio(row))}")


def best(row):
    """The fastest form by hand of a comparison."""
    return min(row["differences"], key=row["seconds"].get)


def ratio(row):
    """Our step over the best one by hand."""
    return row["seconds"]["ours"] / row["seconds"][best(row)]


def fraction(row, seconds, processors=1):
    """The rate of a step's FLOPs over that of a plain matrix product."""
    return row["flops"] / seconds / (row["matmul_rate"] * processors)


def _families(rows):
    table = Table(title="One training step by fit()")
    for heading in (
        "backend",
        "network",
        "precision",
        "devices",
        "batch",
        "step, ms",
        "images/s",
        "GFLOP a step",
        "of matmul",
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        for devices, seconds in row["seconds"].items():
            processors = row["processors"] if devices == "several" else 1
            virtual = " virtual" if processors < row["replicas"] else ""
            table.add_row(
                row["backend"],
                row["network"],
                row["policy"],
                f"{row['replicas']}{virtual}" if devices == "several" else "1",
                str(row["batch"]),
                f"{1e3 * seconds:.2f}",
                f"{row['batch'] / seconds:,.0f}",
                f"{row['flops'] / 1e9:.3g}",
                f"{100 * fraction(row, seconds, processors):.1f} %",
            )
    return table


def _compared(rows):
    table = Table(title="One training step, ours and by hand, ms")
    for heading in ("backend", "network", "precision", "ours", *FORMS, "ours / best", "of matmul"):
        table.add_column(heading, justify="right")
    for row in rows:
        by_hand = (row["seconds"].get(form) for form in FORMS)
        table.add_row(
            row["backend"],
            row["by_hand"],
            row["policy"],
            f"{1e3 * row['seconds']['ours']:.2f}",
            *("–" if s is None else f"{1e3 * s:.2f}" for s in by_hand),
            f"{ratio(row):.2f}",
            f"{100 * fraction(row, row['seconds']['ours']):.1f} %",
        )
    return table


def _name(row):
    return f"{row['by_hand']}, {row['policy']}"


def _bar(value):
    return f"the bar of {BAR:g} is {'met' if value <= BAR else 'MISSED'}"
