"""Pictures of `mnist_init`."""

import numpy as np

from training.studies import drawings

COLOURS = {"He": "#D55E00", "Xavier": "#E69F00", "suggested": "#0072B2"}
MARKERS = {"He": "^", "Xavier": "s", "suggested": "o"}


def maps(drawn, path):
    """Heat maps of accuracy with the level curves of theory's predictor.

    Args:
        drawn: list of (`Map`, mean accuracy (depths, values), seeds in trouble alike, depths).
        path: where to write, without ending.
    """
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    size = (4.3 * columns, 3.9 * rows)
    both = {"endings": drawings.BOTH, "squeeze": False}
    with drawings.figure(path, size, rows, columns, **both) as (figure, axes):
        for axis in axes.flat[len(drawn) :]:
            axis.set_visible(False)
        for axis, (of, means, trouble, depths) in zip(axes.flat, drawn, strict=False):
            _map(figure, axis, of, means, trouble, depths)
        figure.suptitle(
            "MNIST test accuracy by initialisation and depth; × numerical trouble; ○ best"
        )


def _map(figure, axis, of, means, trouble, depths):
    from matplotlib import colormaps

    clean = 100 * np.where(trouble > 0, np.nan, means)
    x, y = np.arange(len(of.values)), np.arange(len(depths))
    shades = colormaps["cividis"].with_extremes(bad="#e6e6e6")
    low = np.nanpercentile(clean, 5) if np.isfinite(clean).any() else 0
    image = axis.imshow(clean, origin="lower", aspect="auto", cmap=shades, vmin=low)
    figure.colorbar(image, ax=axis, label="accuracy, %", shrink=0.9)
    rows, columns = np.nonzero(np.isnan(clean))
    axis.plot(columns, rows, "x", color="#808080", markersize=5)
    best = np.where(np.isnan(clean), -1, clean).argmax(axis=1)
    axis.plot(best, y, "o", markerfacecolor="none", markeredgecolor="white", markersize=11)
    predicted = np.stack([of.predicted(depth) for depth in depths])
    if len(y) > 1 and np.ptp(predicted) > 0:
        lines = axis.contour(x, y, predicted, levels=6, colors="white", linewidths=1)
        texts = axis.clabel(lines, fontsize=8, fmt="%.3g")
        for text in texts:
            text.set_bbox({"facecolor": "black", "alpha": 0.45, "pad": 1, "edgecolor": "none"})
    axis.set_xticks(x, [f"{value:g}" for value in of.values], rotation=45)
    axis.set_yticks(y, [str(depth) for depth in depths])
    axis.set(xlabel=of.axis, ylabel="layers L")
    axis.set_title(f"{of.title}; level curves: {of.symbol}", fontsize=10)


def limits(rows, path):
    """Accuracy over depth for every method, one panel a network.

    Args:
        rows: what `mnist_init_limits.results` gives.
        path: where to write, without ending.
    """
    from matplotlib.lines import Line2D

    networks = list(dict.fromkeys(row["network"] for row in rows))
    size, both = (3.3 * len(networks), 3.6), {"endings": drawings.BOTH, "squeeze": False}
    with drawings.figure(path, size, 1, len(networks), sharey=True, **both) as (figure, axes):
        depths = sorted({row["depth"] for row in rows})
        for axis, network in zip(axes[0], networks, strict=True):
            for i, method in enumerate(COLOURS):
                chosen = {
                    row["depth"]: row
                    for row in rows
                    if (row["network"], row["method"]) == (network, method)
                }
                for depth, row in chosen.items():
                    values = 100 * np.nan_to_num(row["accuracies"])
                    # Beside one another: the methods often agree.
                    at = np.full(len(values), depths.index(depth) + 0.16 * (i - 1))
                    axis.plot(at, values, MARKERS[method], color=COLOURS[method], label=method)
            axis.axhline(10, color="#808080", linewidth=1, linestyle=":")
            axis.set_xticks(range(len(depths)), [str(depth) for depth in depths])
            axis.set(xlabel="layers", title=network, ylim=(-4, 100))
            axis.grid(axis="y", alpha=0.3)
        axes[0, 0].set_ylabel("test accuracy, % (0: diverged)")
        handles = [
            Line2D([], [], marker=MARKERS[m], color=COLOURS[m], linestyle="", label=m)
            for m in COLOURS
        ]
        handles.append(Line2D([], [], color="#808080", linestyle=":", label="chance"))
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
