"""Tables and verdicts of the curvature experiment in the terminal."""

import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_recres import zoo
from training.reproduce import curvature_claims as claims


def console():
    """Standard output, wide enough for the tables where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 118, highlight=False)


def networks(probed, names, title):
    """Prints a row a network: accuracy, κ, turning and stretch in the last block.

    Args:
        probed: `Probed` networks, trained and random.
        names: Names of the curves.
        title: The table's title.
    """
    table = Table(title=title)
    table.add_column("network")
    for heading in ("printed", "measured", "weights", "κ", "turning, rad", "stretch", "κ ~ depth"):
        table.add_column(heading, justify="right")
    for name in dict.fromkeys(one.network for one in probed):
        for weights in ("trained", "random"):
            some = [one for one in probed if (one.network, one.weights) == (name, weights)]
            if not some:
                continue
            known = [one.accuracy for one in some if one.accuracy is not None]
            paper = zoo.info(name).paper
            table.add_row(
                name if weights == "trained" or len(_weights(probed, name)) == 1 else "",
                f"{paper.printed:g} %" if weights == "trained" or not known else "",
                f"{100 * np.median(known):.1f} %" if known else "",
                f"{weights} ({len(some)})",
                _spread([one.median(names) for one in some]),
                _spread([one.turning(names) for one in some]),
                _spread([one.stretch(names) for one in some]),
                f"{np.median([claims.growth(one, names) for one in some]):.2f}",
            )
    out = console()
    out.print(table)
    out.print(
        "Last block: median of κ over θ, total turning ∫ κ |v| dθ, length over the input's length; "
        "median over the networks (quartiles). κ ~ depth: rank correlation of the layers' κ with "
        "their depth.\n",
    )


def correlations(found, title):
    """Prints the rank correlations with accuracy that `curvature_claims.correlations` found."""
    kinds = list(next(iter(found.values())))
    table = Table(title=title)
    table.add_column("Spearman's ρ with accuracy")
    for kind in kinds:
        table.add_column(kind, justify="right")
    for measure, row in found.items():
        cells = [f"{c.value:.2f} ({c.low:.2f} to {c.high:.2f})" for c in row.values()]
        table.add_row(measure, *cells)
    console().print(table)


def orders(found, title):
    """Prints `Order`s, each with its verdict."""
    out = console()
    out.print(title)
    for one in found:
        out.print(f"  {one}")


def planar_verdict(arms, ellipse, found):
    """Sentences about the planar claims: what holds, and what does not.

    Args:
        arms: {measure: `Order`s along the data's own curves}.
        ellipse: The same across the classes.
        found: What `curvature_claims.correlations` found along the data's curves.
    """
    sentences = []
    for where, by_measure in (("along the data's curves", arms), ("on the ellipse", ellipse)):
        for measure, some in by_measure.items():
            verdicts = [one.verdict for one in some]
            if all(verdict == "holds" for verdict in verdicts):
                sentences.append(f"deep > recurrent > shallow holds {where}, by the {measure}.")
            else:
                weak = [f"{o.more} > {o.less} {o.verdict}" for o in some if o.verdict != "holds"]
                sentences.append(
                    f"deep > recurrent > shallow does NOT hold {where}, by the {measure}: "
                    f"{', '.join(weak)}."
                )
    for kind, one in found["median of κ"].items():
        which = "over all networks" if kind == "all" else f"within {kind}"
        sentences.append(f"κ and accuracy, {which}: {one.verdict}, {one}.")
    return sentences


def _weights(probed, name):
    return {one.weights for one in probed if one.network == name}


def _spread(values):
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    text = f"{median:.3g}"
    return text if len(values) == 1 else f"{text} ({low:.3g} … {high:.3g})"
