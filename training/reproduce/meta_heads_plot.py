"""The picture of the comparison of grouped heads."""

from training.reproduce.cifar_summary import FINAL
from training.reproduce.meta_heads import DENSE, FORMS

# Okabe and Ito's colours, apart for every kind of colour vision; markers differ too.
STYLES = {
    "raw": ("D", "#009E73"),
    "preserving": ("s", "#0072B2"),
    "softmax": ("^", "#D55E00"),
    DENSE: ("o", "#000000"),
}
# The forms of one number of groups have the same parameters: set apart, or their bars hide one
# another.
SHIFT = {"raw": 0.9985, "softmax": 1.0015}


def draw(table, path):
    """Draws accuracy after the last epoch against trainable parameters, a line a form.

    Args:
        table: list of `training.reproduce.meta_heads_report.Row`.
        path: the picture to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(10, 5), layout="constrained")
    # The grouped heads lie close together, far from the dense one: each range its own panel.
    grouped, dense = figure.subplots(1, 2, sharey=True, width_ratios=(5, 1))
    for form, (marker, colour) in STYLES.items():
        axes = dense if form == DENSE else grouped
        points = [
            row for row in table if row.head.form == form and row.measured.mean(FINAL) is not None
        ]
        if not points:
            continue
        means = [row.measured.mean(FINAL) for row in points]
        axes.errorbar(
            [SHIFT.get(form, 1) * row.parameters for row in points],
            means,
            yerr=[row.measured.spread(FINAL) or 0 for row in points],
            marker=marker,
            color=colour,
            capsize=2,
            linewidth=1,
            label=FORMS.get(form, "dense head"),
        )
        if form == DENSE:
            grouped.axhline(means[0], color=colour, linewidth=0.8, linestyle=":")
            dense.axhline(means[0], color=colour, linewidth=0.8, linestyle=":")
    counts = {row.head.groups: row.parameters for row in table}
    full = counts.pop(0)
    grouped.set_xscale("log")
    grouped.minorticks_off()
    labels = {parameters: f"N = {groups}\n{parameters:,}" for groups, parameters in counts.items()}
    grouped.set_xticks(list(labels), list(labels.values()), fontsize=8)
    for label, side in zip(grouped.get_xticklabels(), ("right", "left"), strict=False):
        label.set_horizontalalignment(side)  # The first two are next to each other.
    grouped.set(xlabel="trainable parameters", ylabel="top-1 accuracy after the last epoch, %")
    dense.set_xlim(full - 1, full + 1)
    dense.set_xticks([full], [f"dense\n{full:,}"], fontsize=8)
    for axes in (grouped, dense):
        axes.grid(alpha=0.3)
    grouped.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
    figure.suptitle("Small CIFAR-10 network: grouped heads, mean ± standard deviation over seeds")
    handles, names = [], []
    for axes in (grouped, dense):
        found = axes.get_legend_handles_labels()
        handles, names = handles + found[0], names + found[1]
    if handles:
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)
