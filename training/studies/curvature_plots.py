"""Pictures of curvature against depth and accuracy."""

import numpy as np

from training.studies.curvature_claims import KAPPA, MEASURES, RATE

LABELS = {
    KAPPA: "curvature κ, 1 / unit of output",
    RATE: "turning rate κ|v|/|ẋ|, rad / unit of input",
}
# Okabe and Ito's colours, apart for every kind of colour vision; markers differ too.
STYLES = {
    "planar_shallow": ("shallow, 4 layers", "s", "#000000"),
    "planar_rec": ("recurrent, 1 layer × 13", "o", "#D55E00"),
    "planar_deep": ("deep, 13 layers", "^", "#0072B2"),
    "vit3": ("vit3, 3 blocks", "s", "#000000"),
    "vit3_rec": ("vit3_rec, 3 blocks × 2, 4, 2", "o", "#D55E00"),
    "vit7": ("vit7, 7 blocks", "^", "#0072B2"),
    "vit7_rec": ("vit7_rec, 7 blocks × 2", "D", "#009E73"),
}


def planar(trained, names, correlations, path):
    """Figure 1: both measures against depth, and accuracy against both in the last layer.

    Args:
        trained: `Probed` networks with trained weights, all seeds.
        names: Names of the curves.
        correlations: {measure: `Correlation` over all networks}.
        path: Where to write, without ending.
    """
    figure, panels = _figure()
    for (left, right), (measure, correlation) in zip(panels, correlations.items(), strict=True):
        for name, kind in _kinds(trained):
            _depth(left, name, kind, names, measure)
            _, marker, colour = STYLES[name]
            right.plot(
                [MEASURES[measure](one, names) for one in kind],
                [100 * one.accuracy for one in kind],
                marker,
                color=colour,
                markersize=6,
                alpha=0.7,
                markeredgewidth=0,
            )
        left.set_xticks((1, 4, 7, 10, 13))
        left.set_xlabel("depth: layers or recurrent steps done")
        right.set(xscale="log", xlabel=f"{LABELS[measure]}, last layer", ylabel="accuracy, %")
        right.set_title(
            f"Spearman's ρ = {correlation.value:.2f} ({correlation.low:.2f} to "
            f"{correlation.high:.2f}), {correlation.count} networks",
            fontsize=10,
        )
        plain_numbers(right.xaxis)
        right.grid(alpha=0.3)
    seeds = len(trained) // len(_kinds(trained))
    panels[0][0].set_title(f"median of {seeds} seeds; quartiles over seeds and θ", fontsize=10)
    _finish(figure, panels, path)


def vit(probed, names, path):
    """Figure 3: both measures against depth, with trained and with random weights.

    Args:
        probed: `Probed` networks.
        names: Names of the curves.
        path: Where to write, without ending.
    """
    kinds = [w for w in ("trained", "random") if any(one.weights == w for one in probed)]
    figure, panels = _figure(len(kinds))
    for row, measure in zip(panels, LABELS, strict=True):
        for axes, weights in zip(row, kinds, strict=True):
            some = [one for one in probed if one.weights == weights]
            for name, kind in _kinds(some):
                _depth(axes, name, kind, names, measure)
            each = len(some) // len(_kinds(some))
            axes.set_title(
                f"{weights} weights, {each} of each; quartiles over {len(names)} curves",
                fontsize=10,
            )
            axes.set_xlabel("depth: blocks or recurrent steps done")
    _finish(figure, panels, path)


def _depth(axes, name, kind, names, measure):
    label, marker, colour = STYLES[name]
    values = [one.kappa(names) if measure == KAPPA else one.rate(names) for one in kind]
    low, high = np.quantile(np.concatenate(values, axis=1), (0.25, 0.75), axis=1)
    # As in the table: of each network the median over θ, of these the median over the networks.
    median = np.median([np.median(one, axis=1) for one in values], axis=0)
    depth = np.arange(1, len(median) + 1)
    axes.fill_between(depth, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(depth, median, color=colour, linewidth=1.5)
    # Hollow where the same layer is about to run again.
    for x, y, last in zip(depth, median, kind[0].last_steps, strict=True):
        face = colour if last else "white"
        axes.plot(x, y, marker, color=colour, markerfacecolor=face, markersize=5.5)
    axes.plot([], [], marker=marker, color=colour, label=label)
    axes.set(yscale="log", ylabel=LABELS[measure])
    axes.xaxis.get_major_locator().set_params(integer=True)
    plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)


def _kinds(probed):
    names = dict.fromkeys(one.network for one in probed)
    return [(name, [one for one in probed if one.network == name]) for name in names]


def plain_numbers(axis):
    """Numbers such as 0.3 on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 8 * low else (1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _figure(columns=2):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.4 + 4.8 * columns, 7.6), layout="constrained")
    return figure, figure.subplots(2, columns, squeeze=False)


def _finish(figure, panels, path):
    found = {}
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    columns = len(found) if len(found) < 4 else 2
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside upper center",
        ncols=columns,
        frameon=False,
    )
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=110)
