"""Pictures that several studies have."""

import contextlib

from training.ledger.summary import FINAL

# Endings of a picture that may be enlarged.
BOTH = (".png", ".svg")
# Okabe and Ito's colours, apart for every kind of colour vision.
BLUE, ORANGE = "#0072B2", "#D55E00"


@contextlib.contextmanager
def figure(path, size, *grid, endings=(".png",), dpi=130, layout="constrained", **options):
    """Yields a figure and its axes, and writes it.

    Args:
        path: the picture.
        size: width and height, inches.
        *grid: rows and columns of its panels; one panel if there are none.
        endings: what else than the path's own ending to write.
        dpi: dots an inch.
        layout: what places the panels.
        **options: of `Figure.subplots`.
    """
    # It takes a second to import: after all that may be refused.
    from matplotlib.figure import Figure

    made = Figure(figsize=size, layout=layout)
    yield made, made.subplots(*grid, **options)
    for ending in endings:
        made.savefig(path.with_suffix(ending), dpi=dpi)


def seeds(table, path, title):
    """A line a form: the accuracy of each seed, and their mean.

    Args:
        table: a `training.studies.study.Table`.
        path: the picture.
        title: its title.
    """
    with figure(path, (8, 1.2 + 0.4 * len(table))) as (_, axes):
        lines(axes, table)
        axes.set(xlabel="top-1 after the last epoch, %: each seed, and the mean", title=title)


def lines(axes, table, key=FINAL):
    """Draws a line a form into axes: a number of each seed's training, and their mean."""
    for place, row in enumerate(reversed(table.values())):
        values = list(row.measured.values(key).values())
        axes.plot(values, [place] * len(values), "o", color=BLUE, alpha=0.5)
        if values:
            axes.plot(row.measured.mean(key), place, "|", color=ORANGE, markersize=22)
    axes.set_yticks(range(len(table)), [row.form.what for row in reversed(table.values())])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.grid(alpha=0.3)


def logarithmic(axes, values):
    """Makes the axis of x logarithmic, with marks at these values alone."""
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.minorticks_off()


def seeds_at(axes, table, x):
    """Draws each seed and the mean of every form that was measured, with a legend.

    Args:
        axes: where.
        table: a `training.studies.study.Table`.
        x: its place, a function of a `Row`.

    Returns:
        {label: (place, mean)}.
    """
    points = {}
    for label, row in table.items():
        if values := list(row.measured.values(FINAL).values()):
            points[label] = x(row), row.measured.mean(FINAL)
            (mark,) = axes.plot(*points[label], "o", markersize=9, label=label)
            axes.plot(
                [points[label][0]] * len(values), values, "o", color=mark.get_color(), alpha=0.4
            )
    axes.grid(alpha=0.3)
    if points:
        axes.legend()
    return points
