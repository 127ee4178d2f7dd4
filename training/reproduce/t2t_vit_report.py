"""What the trainings of table 2 say: the table, the claims in words, and a picture."""

from training.fit.run_folder import write_aside
from training.reproduce import tables
from training.reproduce.cifar_summary import FINAL
from training.reproduce.effects import method, sentence
from training.reproduce.t2t_vit import (
    IMPROVED,
    PAIRS,
    PAPERS,
    cells_of,
    claims,
    differences,
    settings_of,
    together,
)

COLUMNS = ("network", "parameters", "multiply-adds", "printed, %", "top-1, %", "seeds")


def show(table, more, tag, folder):
    """Prints table and claims, and writes t2t_vit.md and t2t_vit.png.

    Args:
        table: list of `training.reproduce.t2t_vit.Row`.
        more: sentences beside the claims, a list of str.
        tag: the data set's tag.
        folder: where they are written, it exists.
    """
    said = sentences(table) + more
    tables.show(f"T2T-ViT on {tag}", COLUMNS, [cells(row) for row in table], said)
    write_aside(folder / "t2t_vit.md", markdown(table, tag, said))
    draw(table, tag, folder / "t2t_vit.png")


def sentences(table):
    """The claims in words, a list of str."""
    said = []
    for plain, recurrent, found in claims(table):
        added = recurrent.parameters / plain.parameters - 1
        with_what = f"with {added:.2%} more parameters" if added else "with the same parameters"
        title = f"{recurrent.name} against {plain.name}, {with_what}{_otherwise(recurrent, plain)}"
        if recurrent.printed is not None:
            title += f" (printed {recurrent.printed - plain.printed:+.2f} on ImageNet)"
        said.append(sentence(title, found))
    both = together(table)
    if both.mean is not None:
        said.append(sentence("Recurrence, both depths together", both))
    trained = [settings_of(row) for row in table if row.name not in IMPROVED]
    for one, other, key in differences([settings for settings in trained if settings]):
        said.append(
            f"{one['name']} and {other['name']} say nothing of each other: they were trained with "
            f"{key} {one.get(key)!r} and {other.get(key)!r}."
        )
    said.append("Top-1 after the last epoch, mean ± sample standard deviation over the seeds.")
    said.append(method(cells_of(table, sum(PAPERS, ()))))
    return said


def _otherwise(one, other):
    """What has to be said of a network that was trained otherwise than the other, else ""."""
    settings = [settings_of(row) for row in (other, one)]
    if None in settings:
        return ""
    told = [
        f"{key} {new.get(key)!r} (not {old.get(key)!r})" for old, new, key in differences(settings)
    ]
    return f", trained with {' and '.join(told)}" if told else ""


def cells(row):
    """The cells of a row, str."""
    counts = (f"{row.parameters:,}", f"{row.multiply_adds:,}")
    seeds = len(row.measured.metrics)
    measured = row.measured.text(FINAL) or "pending"
    printed = "" if row.printed is None else f"{row.printed:.2f}"
    return (row.name, *counts, printed, measured, str(seeds or ""))


def markdown(table, tag, said):
    """Table and claims as Markdown."""
    lines = tables.markdown(COLUMNS, [cells(row) for row in table], said)
    return "\n".join([f"Data set: {tag}.", "", *lines, ""])


def draw(table, tag, path):
    """Accuracy against multiply-adds, an arrow from each network to what is made of it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    points = {}
    for row in table:
        if values := list(row.measured.values(FINAL).values()):
            points[row.name] = x, mean = row.multiply_adds / 1e6, row.measured.mean(FINAL)
            (mark,) = axes.plot(x, mean, "o", markersize=9, label=row.name)
            axes.plot([x] * len(values), values, "o", color=mark.get_color(), alpha=0.4)
    for plain, recurrent in PAIRS:
        if plain in points and recurrent in points:
            arrow = {"arrowstyle": "->", "color": "grey"}
            axes.annotate("", points[recurrent], points[plain], arrowprops=arrow)
    axes.set(xlabel="million multiply-adds", ylabel="top-1, %", title=f"{tag}: each seed and means")
    axes.grid(alpha=0.3)
    if points:
        axes.legend()
    figure.savefig(path, dpi=130)
