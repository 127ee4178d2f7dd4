"""Pictures of curvature against depth and accuracy."""

import numpy as np

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


def planar(trained, names, correlation, path):
    """Figure 1: κ against depth, and accuracy against κ in the last layer.

    Args:
        trained: `Probed` networks with trained weights, all seeds.
        names: Names of the curves.
        correlation: `Correlation` over all networks.
        path: Where to write, without ending.
    """
    figure, (left, right) = _figure(2)
    for name, kind in _kinds(trained):
        _depth(left, name, kind, names)
        label, marker, colour = STYLES[name]
        right.plot(
            [one.median(names) for one in kind],
            [100 * one.accuracy for one in kind],
            marker,
            color=colour,
            markersize=6,
            alpha=0.7,
            markeredgewidth=0,
            label=label,
        )
    seeds = len(trained) // len(_kinds(trained))
    left.set_xticks((1, 4, 7, 10, 13))
    left.set_title(f"trained, {seeds} seeds: median, and quartiles over seeds and θ", fontsize=10)
    right.set(xscale="log", xlabel="median curvature κ in the last layer, 1 / unit of output")
    right.set_ylabel("accuracy, %")
    right.set_title(
        f"ρ = {correlation.value:.2f} ({correlation.low:.2f} to {correlation.high:.2f}), "
        f"{correlation.count} networks",
        fontsize=10,
    )
    _plain(right.xaxis)
    right.grid(alpha=0.3)
    right.legend(frameon=False, fontsize=9, loc="lower right")
    _write(figure, path)


def vit(probed, names, path):
    """Figure 3: κ against depth, with trained and with random weights.

    Args:
        probed: `Probed` networks.
        names: Names of the curves.
        path: Where to write, without ending.
    """
    kinds = [w for w in ("trained", "random") if any(one.weights == w for one in probed)]
    figure, panels = _figure(len(kinds))
    for axes, weights in zip(panels, kinds, strict=True):
        some = [one for one in probed if one.weights == weights]
        for name, kind in _kinds(some):
            _depth(axes, name, kind, names)
        axes.set_title(
            f"{weights} weights: median, and quartiles over {len(names)} curves", fontsize=10
        )
        axes.set_xlabel("block evaluations (each recurrent step is one)")
    panels[-1].legend(*_legend(panels), frameon=False, fontsize=9)
    _write(figure, path)


def _depth(axes, name, kind, names):
    label, marker, colour = STYLES[name]
    kappa = np.concatenate([one.kappa(names) for one in kind], axis=1)
    low, high = np.quantile(kappa, (0.25, 0.75), axis=1)
    # As in the table: of each network the median over θ, of these the median over the networks.
    median = np.median([np.median(one.kappa(names), axis=1) for one in kind], axis=0)
    depth = np.arange(1, len(median) + 1)
    axes.fill_between(depth, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(depth, median, marker=marker, color=colour, markersize=5, label=label)
    axes.set(yscale="log", xlabel="depth: layer or recurrent step")
    axes.set_ylabel("curvature κ, 1 / unit of output")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _plain(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)


def _kinds(probed):
    names = dict.fromkeys(one.network for one in probed)
    return [(name, [one for one in probed if one.network == name]) for name in names]


def _legend(panels):
    """Handles and labels of all panels, each once."""
    found = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
        if axes.get_legend():
            axes.get_legend().remove()
    return list(found.values()), list(found)


def _plain(axis):
    """Numbers such as 0.3 on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _figure(panels):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.6 + 4.9 * panels, 4.4), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _write(figure, path):
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=120)
