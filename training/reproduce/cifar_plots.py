"""Pictures of accuracy against parameters."""

from training.reproduce.cifar_summary import BEST, FINAL

# Okabe and Ito's colours, apart for every kind of colour vision; markers differ too.
STYLES = {
    "conv2d": ("full", "o", "#000000"),
    "conv3d": ("3-D convolutions", "s", "#0072B2"),
    "meta": ("Meta convolutions", "^", "#D55E00"),
    "metahead": ("Meta head", "D", "#009E73"),
}


def accuracy(table, path):
    """Draws a panel a size: printed hollow, measured filled, the last epoch below it.

    Args:
        table: list of `training.reproduce.cifar_report.Row`.
        path: the picture to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    sizes = list(dict.fromkeys(row.size for row in table))
    figure = Figure(figsize=(1.5 + 3.7 * len(sizes), 4.8), layout="constrained")
    panels = figure.subplots(1, len(sizes), squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        for row in (row for row in table if row.size == size):
            _, marker, colour = STYLES[row.variant]
            hollow = {"markerfacecolor": "none", "linestyle": "none", "markersize": 9}
            axes.plot(row.parameters, row.printed, marker, color=colour, **hollow)
            for key, face in ((BEST, marker), (FINAL, "_")):
                if (mean := row.measured.mean(key)) is not None:
                    axes.errorbar(
                        row.parameters,
                        mean,
                        yerr=row.measured.spread(key),
                        marker=face,
                        markersize=11 if face == "_" else 6,
                        color=colour,
                        capsize=2,
                        linewidth=0.8,
                    )
        axes.set(title=size, xscale="log", xlabel="trainable parameters")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.minorticks_off()
        counts = sorted({row.parameters for row in table if row.size == size})
        axes.set_xticks([counts[0], counts[-1]] if len(counts) > 1 else counts)
        axes.set_xlim(counts[0] / 1.3, counts[-1] * 1.3)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("top-1 accuracy on the test set, %")
    handles = [
        Line2D([], [], marker=marker, color=colour, linestyle="none", label=label)
        for label, marker, colour in STYLES.values()
    ]
    for marker, face, label in (
        ("o", "none", "printed (best of 20)"),
        ("o", "grey", "measured, best epoch"),
        ("_", "grey", "measured, last epoch"),
    ):
        handles.append(
            Line2D([], [], marker=marker, color="grey", markerfacecolor=face, label=label, ls="")
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle("Printed on CIFAR-10, measured on " + _data(table))
    figure.savefig(path, dpi=130)


def _data(table):
    tags = {m["settings"]["tag"] for row in table for m in row.measured.metrics.values()}
    names = {"cifar10_jpeg": "its JPEG re-encoding"}
    return " and ".join(names.get(tag, tag) for tag in sorted(tags)) or "nothing yet"


def _short(count, _):
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.1f} k"
