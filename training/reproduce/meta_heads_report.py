"""Table, picture and claims of the comparison of grouped heads."""

import csv
import dataclasses
import io
import math
import sys

from keras_recres import zoo
from training.errors import output_folder
from training.fit.run_folder import write_aside
from training.reproduce import tables
from training.reproduce.cifar_summary import BEST, FINAL, Summary, remarks, summarize
from training.reproduce.effects import Cells, Effect, method, sentence
from training.reproduce.meta_heads import DENSE, FORMS, GROUPS, HEADS, Head

COLUMNS = (
    "head",
    "groups",
    "parameters",
    "last epoch, %",
    "best epoch, %",
    "against dense, points",
    "seeds",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A head, its network's trainable parameters, what was measured, and that against dense."""

    head: Head
    parameters: int
    measured: Summary
    against_dense: Effect


def rows(runs):
    """A `Row` for every head, in the order of `HEADS`."""
    summaries = {summary.label: summary for summary in summarize(runs)}
    cells = cells_of(summaries.values())
    return [
        Row(
            head,
            parameters(head),
            summaries[head.label],
            cells.difference(head.label, DENSE) if head.groups else Effect(),
        )
        for head in HEADS
    ]


def cells_of(summaries):
    """The `Cells` of the heads."""
    return Cells({summary.label: summary.values(FINAL) for summary in summaries})


def parameters(head):
    """Trainable parameters of the small network with a head."""
    model = zoo.build(head.name, **head.arguments)
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def claims(table):
    """What the trainings say of each claim: pairs of a (title, `Effect`).

    The first is the paper's. Compared are heads with the same number of groups or the same form
    where these are not what differs.
    """
    of = {row.head.label: row for row in table}
    dense, published = of[DENSE], of["raw_4"]
    share = published.parameters / dense.parameters
    most, fewest = max(GROUPS), min(GROUPS)
    cells = cells_of(row.measured for row in table)

    def over_groups(form, other):
        pairs = [(Head(form, n).label, Head(other, n).label) for n in GROUPS]
        return cells.mean_difference(pairs)

    return [
        (
            f"The published Meta head (4 groups, raw weights, N(0, 1)) against the dense head, "
            f"with {share:.0%} of the network's parameters",
            published.against_dense,
        ),
        (
            "Softmax against raw weights, both from N(0, 1), over all numbers of groups",
            over_groups("softmax", "raw"),
        ),
        (
            "Weights from N(0, 1/N) against N(0, 1), over all numbers of groups",
            over_groups("preserving", "raw"),
        ),
        (
            f"{most} groups against {fewest}, over all forms",
            cells.mean_difference(
                [(Head(form, most).label, Head(form, fewest).label) for form in FORMS]
            ),
        ),
    ]


def sentences(table):
    """The claims in words, a list of str."""
    said = [sentence(title, found) for title, found in claims(table)]
    kept = [row for row in table if row.head.groups and row.against_dense.interval]
    if kept:
        worst = [row.head.label for row in kept if row.against_dense.interval[1] < 0]
        better = [row.head.label for row in kept if row.against_dense.interval[0] > 0]
        said.append(
            f"Of {len(kept)} grouped heads {len(better)} are more accurate than the dense one "
            f"({', '.join(better) or 'none'}) and {len(worst)} less ({', '.join(worst) or 'none'}) "
            "by their own 95 % intervals; the others are not told apart from it. With so many "
            "comparisons one in twenty would differ by chance."
        )
    return said


def notes(table):
    """What the numbers are."""
    said = [
        "Mean ± sample standard deviation over the seeds; differences are of the last epoch's "
        "accuracy. Each group has 10 units, and M = N.",
        method(cells_of(row.measured for row in table)),
    ]
    return " ".join([*said, *remarks(row.measured for row in table)])


def cells(row):
    """The cells of a row, str."""
    return (
        FORMS.get(row.head.form, "dense, 40 units"),
        str(row.head.groups or ""),
        f"{row.parameters:,}",
        row.measured.text(FINAL) or "pending",
        row.measured.text(BEST),
        str(row.against_dense),
        str(len(row.measured.metrics) or ""),
    )


def show(runs, a):
    """Prints the table and the claims; writes meta_heads.md, .csv and .png into `a.out`."""
    from training.reproduce import meta_heads_plot

    table = rows(runs)
    lines, said = [cells(row) for row in table], [*sentences(table), notes(table)]
    tables.show("Heads of cifar_small: top-1 accuracy", COLUMNS, lines, said)
    output_folder(a.out)
    write_aside(a.out / "meta_heads.md", markdown(table))
    write_aside(a.out / "meta_heads.csv", as_csv(table))
    meta_heads_plot.draw(table, a.out / "meta_heads.png")
    print(f"Written to {a.out}: meta_heads.md, meta_heads.csv, meta_heads.png.", file=sys.stderr)


def markdown(table):
    """Table, claims and notes as Markdown."""
    lines = tables.markdown(COLUMNS, [cells(row) for row in table], sentences(table))
    return "\n".join([*lines, "", notes(table), ""])


def as_csv(table):
    """One line a head, accuracies in percent; those of the seeds apart by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["head", "form", "groups", "parameters", "seeds", "last_by_seed", "best_by_seed"]
    writer.writerow([*head, "against_dense_points", "against_dense_error"])
    for row in table:
        line = [row.head.label, row.head.form, row.head.groups or "", row.parameters]
        line.append(len(row.measured.metrics))
        for key in (FINAL, BEST):
            line.append(" ".join(f"{value:.2f}" for value in row.measured.values(key).values()))
        for number in (row.against_dense.mean, row.against_dense.error):
            line.append("" if number is None else f"{number:.4f}")
        writer.writerow(line)
    return text.getvalue()
