"""Pictures of the planar experiment."""

import contextlib

import keras
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from training.studies import drawings

# Markers differ, too.
COLOURS = (drawings.BLUE, drawings.ORANGE)
PALE = ("#cfe3f2", "#f7dccb")
MARKERS = ("o", "^")
TITLES = {
    "planar_shallow": "shallow: 4 layers",
    "planar_rec": "recurrent: 1 layer × 13 steps",
    "planar_deep": "deep: 13 layers",
}


def coordinates(results, x, y, path):
    """Figure 2: the points in each network's last coordinates, with the separating line.

    Args:
        results: `Result`s; the seed of median loss is drawn.
        x: Points, (points, 2).
        y: Classes, (points,).
        path: Where to write, without ending.
    """
    title = "Coordinates in the last layer, seed of median loss"
    with _panels(path, len(results), title) as axes:
        for axis, result in zip(axes, results, strict=True):
            seed = result.median_seed
            z = keras.ops.convert_to_numpy(result.model(seed)(x))
            low, high = z.min() - 0.5, z.max() + 0.5
            axis.plot([low, high], [low, high], color="black", linewidth=1, label="separating line")
            _scatter(axis, z, y)
            axis.set(xlim=(low, high), ylim=(low, high), xlabel="neuron 1 (logit of class 0)")
            axis.set_title(_title(result, seed), fontsize=10)
            axis.set_aspect("equal")
        axes[0].set_ylabel("neuron 2 (logit of class 1)")


def regions(results, x, y, path):
    """The points in the plane, and what each network decides there; arguments as above."""
    span = np.abs(x).max() * 1.15
    ticks = np.linspace(-span, span, 301)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2).astype("float32")
    with _panels(path, len(results), "Decision regions, seed of median loss") as axes:
        for axis, result in zip(axes, results, strict=True):
            seed = result.median_seed
            logits = keras.ops.convert_to_numpy(result.model(seed)(grid))
            decided = logits.argmax(axis=-1).reshape(len(ticks), len(ticks))
            axis.imshow(
                decided,
                extent=(-span, span, -span, span),
                origin="lower",
                cmap=ListedColormap(PALE),
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            _scatter(axis, x, y)
            axis.set_title(_title(result, seed), fontsize=10)
            axis.set_xlabel("x₁")
        axes[0].set_ylabel("x₂")


def ordering_map(cells, families, scales, path):
    """Where shallow < recurrent < deep holds, over curves and residual scales.

    Args:
        cells: {(family, scale): (verdict, three median accuracies)}.
        families: Names of curve families, the rows.
        scales: Residual scales, the columns.
        path: Where to write, without ending.
    """
    shades = {"holds": "#0072B2", "saturated": "#d9d9d9", "fails": "#E69F00"}
    ink = {"holds": "white", "saturated": "black", "fails": "black"}
    size = (2.2 + 1.35 * len(scales), 1.6 + 0.55 * len(families))
    with drawings.figure(path, size, endings=drawings.BOTH, dpi=150) as (figure, axis):
        for row, family in enumerate(families):
            for column, scale in enumerate(scales):
                verdict, accuracies = cells[family, scale]
                axis.add_patch(
                    Rectangle((column, row), 1, 1, facecolor=shades[verdict], edgecolor="white")
                )
                text = " ".join(f"{100 * accuracy:.0f}" for accuracy in accuracies)
                axis.text(
                    column + 0.5, row + 0.5, text, ha="center", va="center", color=ink[verdict]
                )
        axis.set(xlim=(0, len(scales)), ylim=(len(families), 0), xlabel="residual scale s")
        axis.set_xticks(np.arange(len(scales)) + 0.5, [f"{scale:g}" for scale in scales])
        axis.set_yticks(np.arange(len(families)) + 0.5, families)
        axis.tick_params(length=0)
        for side in axis.spines.values():
            side.set_visible(False)
        handles = [Rectangle((0, 0), 1, 1, color=shades[verdict]) for verdict in shades]
        names = ["shallow < recurrent < deep", "all three at 100 %", "ordering fails"]
        figure.legend(
            handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9
        )
        figure.suptitle("Median accuracy, %: shallow, recurrent, deep", fontsize=12)


@contextlib.contextmanager
def _panels(path, count, title):
    # "compressed" is the constrained layout for axes of equal aspect.
    how = {"endings": drawings.BOTH, "dpi": 150, "layout": "compressed", "squeeze": False}
    with drawings.figure(path, (4 * count, 4.9), 1, count, **how) as (figure, grid):
        yield grid[0]
        handles, labels = grid[0, 0].get_legend_handles_labels()
        place = {"loc": "outside lower center", "ncols": len(labels), "frameon": False}
        figure.legend(handles, labels, **place)
        figure.suptitle(title, fontsize=12)


def _scatter(axis, z, y):
    for label in (0, 1):
        axis.scatter(
            *z[y == label].T, s=14, color=COLOURS[label], marker=MARKERS[label],
            label=f"class {label}", linewidths=0,
        )  # fmt: skip


def _title(result, seed):
    return (
        f"{TITLES[result.network.name]}\n{result.network.parameters} parameters, "
        f"loss {result.loss[seed]:.2f}, accuracy {100 * result.accuracy[seed]:.1f} %"
    )
