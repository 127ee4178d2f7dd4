"""Tables and verdicts of the curvature experiment in the terminal."""

import numpy as np

from keras_recres import zoo
from training.studies import curvature_claims as claims
from training.studies import tables


def networks(probed, names, title):
    """Prints a row a network: accuracy, κ, turning and stretch in the last block.

    Args:
        probed: `Probed` networks, trained and random.
        names: Names of the curves.
        title: The table's title.
    """
    heads = ("network", "accuracy (paper)", "weights", "κ", "turning rate", "stretch", "~ depth")
    lines = []
    for name in dict.fromkeys(one.network for one in probed):
        of_name = [one for one in probed if one.network == name]
        known = [one.accuracy for one in of_name if one.accuracy is not None]
        measured = f"{100 * np.median(known):.1f}" if known else "-"
        cells = [name, f"{measured} ({zoo.info(name).paper.printed:g})"]
        for weights in ("trained", "random"):
            some = [one for one in of_name if one.weights == weights]
            if some:
                cells += [
                    f"{weights} ({len(some)})",
                    _spread([claims.MEASURES[claims.KAPPA](one, names) for one in some]),
                    _spread([claims.MEASURES[claims.RATE](one, names) for one in some]),
                    _short(np.median([one.stretch(names) for one in some])),
                    f"{_growth(o.kappa(names) for o in some)}, "
                    f"{_growth(o.rate(names) for o in some)}",
                ]
                lines.append(cells)
                cells = ["", ""]
    tables.show(title, heads, lines)
    tables.say(
        [
            "Accuracy in %. In the last block, median (quartiles) over the networks: κ and turning "
            "rate κ|v|/|ẋ| in radians per unit of input, medians over θ; length over the input's. "
            "A dilation of the output by c divides κ by c and leaves the turning rate. ~ depth: "
            "Spearman's ρ of the blocks' κ and turning rate with their depth.\n"
        ]
    )


def features(rows, title):
    """Prints what `curvature_zoo.run` found, the most accurate network first."""
    lines = []
    for row in sorted(rows, key=lambda row: -row["accuracy"]):
        cells = [_short(row[key]) for key in (claims.KAPPA, claims.RATE, "stretch")]
        lines.append((row["network"], f"{100 * row['accuracy']:.2f}", *cells))
    tables.show(title, ("network", "accuracy, %", claims.KAPPA, claims.RATE, "stretch"), lines)
    print()


def correlations(found, title):
    """Prints the rank correlations with accuracy that `curvature_claims.correlations` found."""
    kinds = list(next(iter(found.values())))
    lines = [
        (measure, *(f"{c.value:.2f} ({c.low:.2f} … {c.high:.2f})" for c in row.values()))
        for measure, row in found.items()
    ]
    tables.show(title, ("ρ with accuracy", *kinds), lines)
    print()


def orders(found, title):
    """Prints `Order`s, each with its verdict."""
    tables.say([title, *(f"  {one}" for one in found)])


def growth(probed, names):
    """A sentence: whether κ grows with depth in each kind of trained network."""
    found = []
    for kind in dict.fromkeys(one.network for one in probed):
        rho = _growth(one.kappa(names) for one in probed if one.network == kind)
        if rho != "-":
            found.append(f"{kind} {rho}")
    if not found:
        return []
    return [f"Spearman's ρ of κ with depth, trained, median of the seeds: {', '.join(found)}."]


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
    for kind, one in found[claims.KAPPA].items():
        which = "over all networks" if kind == "all" else f"within {kind}"
        sentences.append(f"κ and accuracy, {which}: {one.verdict}, {one}.")
    return sentences


def _growth(some):
    found = [claims.growth(values) for values in some]
    return "-" if np.isnan(found).any() else f"{np.median(found):.2f}"


def _spread(values):
    low, median, high = (_short(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
    return median if len(values) == 1 else f"{median} ({low}–{high})"


def _short(value):
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
