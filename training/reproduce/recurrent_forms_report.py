"""Table, picture and claims of the comparison of forms of recurrence."""

import dataclasses
import sys

from keras_recres import zoo
from training.errors import output_folder
from training.fit.run_folder import write_aside
from training.reproduce import tables
from training.reproduce.cifar_summary import FINAL, Summary, remarks, summarize
from training.reproduce.effects import Cells, Effect, method, sentence
from training.reproduce.recurrent_forms import ONCE, PLAIN, Form

COLUMNS = (
    "form",
    "parameters",
    "multiply-adds",
    "top-1, %",
    "against all shared, points",
    "seeds",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A form, what its network has, what was measured, and that against the plain recurrence."""

    form: Form
    parameters: int
    multiply_adds: int
    measured: Summary
    against_plain: Effect


def rows(forms, runs, a):
    """A `Row` for every form.

    Args:
        forms: list of `training.reproduce.recurrent_forms.Form`.
        runs: list of their `training.jobs.many_runs.Run`.
        a: arguments, of which `blocks` and `dataset` are used.
    """
    from keras_recres.models import multiply_adds

    measured = {summary.label: summary for summary in summarize(runs)}
    cells, found = cells_of(measured.values()), []
    for form in forms:
        model = zoo.build(form.name(a.blocks), tag=a.dataset, **form.arguments)
        counts = (model.count_params(), multiply_adds(model).total)
        against = Effect() if form.label == PLAIN else cells.difference(form.label, PLAIN)
        found.append(Row(form, *counts, measured[form.label], against))
    return found


def cells_of(summaries):
    """The `Cells` of the forms."""
    return Cells({summary.label: summary.values(FINAL) for summary in summaries})


def sentences(table):
    """The claims in words, a list of str."""
    of = {row.form.label: row for row in table}
    recurrence = cells_of(row.measured for row in table).difference(PLAIN, ONCE)
    said = [sentence("Blocks that run several times against once, all shared", recurrence)]
    for row in table:
        if row.form.label in (ONCE, PLAIN):
            continue
        added = row.parameters / of[PLAIN].parameters - 1
        title = f"{row.form.what.capitalize()} ({added:+.2%} parameters) against all shared"
        said.append(sentence(title, row.against_plain))
    return said


def notes(table):
    """What the numbers are."""
    said = ["Top-1 after the last epoch, mean ± sample standard deviation over the seeds."]
    said.append(method(cells_of(row.measured for row in table)))
    return " ".join([*said, *remarks(row.measured for row in table)])


def cells(row):
    """The cells of a row, str."""
    return (
        row.form.what,
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        row.measured.text(FINAL) or "pending",
        str(row.against_plain),
        str(len(row.measured.metrics) or ""),
    )


def show(forms, runs, a):
    """Prints the table and the claims; writes recurrent_forms.md and .png into `a.out`."""
    table, title = rows(forms, runs, a), f"vit{a.blocks}_rec on {a.dataset}, {a.epochs} epochs"
    lines, said = [cells(row) for row in table], sentences(table)
    tables.show(title, COLUMNS, lines, [*said, notes(table)])
    output_folder(a.out)
    lines = tables.markdown(COLUMNS, lines, said)
    write_aside(a.out / "recurrent_forms.md", "\n".join([*lines, "", notes(table), ""]))
    draw(table, title, a.out / "recurrent_forms.png")
    print(f"Written to {a.out}: recurrent_forms.md, recurrent_forms.png.", file=sys.stderr)


def draw(table, title, path):
    """Draws a line a form: the accuracy of each seed, and their mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.4 * len(table)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(table)):
        values = list(row.measured.values(FINAL).values())
        axes.plot(values, [place] * len(values), "o", color="#0072B2", alpha=0.5)
        if values:
            axes.plot(row.measured.mean(FINAL), place, "|", color="#D55E00", markersize=22)
    axes.set_yticks(range(len(table)), [row.form.what for row in reversed(table)])
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set(xlabel="top-1 after the last epoch, %: each seed, and the mean", title=title)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
