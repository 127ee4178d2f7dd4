"""Pictures of a training: learning curve, confusion matrix, mistakes."""

import math

from keras_recres.zoo import pictures

# Of more classes a cell is too small for its number.
NUMBERED = 20
COLUMNS, MISTAKES = 6, 24


def draw(rows, path, title):
    """Writes a picture of loss and accuracy over the epochs.

    Args:
        rows: dicts with `epoch` from 0, `loss`, `accuracy`, `val_loss` and `val_accuracy`.
        path: the picture to write, PNG.
        title: its title.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title)
    epochs = [row["epoch"] + 1 for row in rows]
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name, label in ((key, "training"), (f"val_{key}", "evaluation")):
            values = [row[name] for row in rows]
            # The last value stands in the legend: beside the curves two would lie on one another.
            last = f"{values[-1]:.1%}" if key == "accuracy" else f"{values[-1]:.3f}"
            axes.plot(epochs, values, marker="o", markersize=3.5, label=f"{label}, {last}")
        axes.set(xlabel="epoch", ylabel=key)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        if key == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.savefig(path, dpi=120)


def confusion(matrix, names, path):
    """Writes a picture of which classes are taken for which.

    Args:
        matrix: Counts, a row for each true class, a column for each predicted one.
        names: Names of the classes.
        path: The picture to write, PNG.
    """
    from matplotlib.figure import Figure

    side = min(24.0, 3 + 0.45 * len(names))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    # Shares of a row: a class with few images is as visible as one with many.
    shares = [[count / max(1, sum(row)) for count in row] for row in matrix]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the class", shrink=0.8)
    axes.set_xticks(range(len(names)), names, rotation=90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    if len(names) <= NUMBERED:
        for i, row in enumerate(matrix):
            for j, count in enumerate(row):
                color = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, count, ha="center", va="center", color=color)
    figure.savefig(path, dpi=120)


def mistakes(predictions, path):
    """Writes a sheet of the images that a network is wrong and most sure of.

    Args:
        predictions: `predictions` of what `zoo.fine_tune` tells.
        path: The picture to write, PNG.
    """
    from matplotlib.figure import Figure

    wrong = [one for one in predictions if one["label"] != one["predicted"]]
    worst = sorted(wrong, key=lambda one: -one["probability"])[:MISTAKES]
    rows = max(1, math.ceil(len(worst) / COLUMNS))
    figure = Figure(figsize=(2 * COLUMNS, 2.5 * rows + 0.5), layout="constrained")
    figure.suptitle(f"{len(wrong):,} of {len(predictions):,} held-out images are wrong")
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, one in zip(grid, worst, strict=False):
        with pictures.pillow().open(one["path"]) as image:
            image.draft("RGB", (256, 256))
            axes.imshow(image.convert("RGB"))
        label, predicted = (_short(one[key]) for key in ("label", "predicted"))
        said = f"{label}, taken for\n{predicted} ({one['probability']:.0%})"
        axes.set_title(said, fontsize=9, parse_math=False)
    figure.savefig(path, dpi=120)


def _short(name):
    return name if len(name) <= 20 else f"{name[:19]}…"
