"""The learning curve of a training, drawn."""


def draw(rows, path, title):
    """Writes a picture of loss and accuracy over the epochs.

    Args:
        rows: the log, ``training.run_folder.read_log``.
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
