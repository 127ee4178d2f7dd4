"""Grouped heads on the small CIFAR-10 network: weights, initialisation and number of groups.

The paper (see `cifar_tables`) concludes that a head of N small dense maps, mixed by an (N, M)
matrix, keeps or improves the accuracy of a dense head with a fraction of its parameters. It tried
one such head a network. Here, on the small network: N = M = 2 to 32 groups; the mixing weights as
they are or through a softmax; drawn from N(0, 1), or from N(0, 1/N), which preserves the variance
of the signal. Each group has 10 units, as in the paper's head of 4, whatever N: the grouped map
has 20,480 weights for every N, and only the mixing, N², and the classifier, 100 N, grow with N.

The dense head and the raw one of 4 groups are trainings of cifar_tables: those that are finished in
--tables are taken.
"""

from pathlib import Path

from training.ledger.summary import BEST, FINAL
from training.studies import drawings
from training.studies.forms import Form, columns
from training.studies.study import Study

GROUPS = (2, 4, 8, 16, 32)
FORMS = {
    "raw": "raw weights, N(0, 1)",
    "preserving": "raw weights, N(0, 1/N)",
    "softmax": "softmax, N(0, 1)",
}
DENSE = "dense"
# {label: form and N} of each head, the dense one first, which the others replace.
HEADS = {DENSE: (DENSE, 0), **{f"{form}_{n}": (form, n) for n in GROUPS for form in FORMS}}
# Those that cifar_tables trains, as networks of the zoo.
OF_TABLES = {DENSE: "cifar_small", "raw_4": "cifar_small_metahead"}
# Colours apart for every kind of colour vision; markers differ too. The forms of one number of
# groups have the same parameters: set apart, or their bars hide one another.
STYLES = {
    "raw": ("D", "#009E73", 0.9985),
    "preserving": ("s", "#0072B2", 1),
    "softmax": ("^", "#D55E00", 1.0015),
    DENSE: ("o", "#000000", 1),
}


def arguments(form, groups):
    """Builder arguments of `cifar_small_metahead` for a grouped head, as JSON can hold them."""
    normal = {"module": "keras.initializers", "class_name": "RandomNormal"}
    config = {"mean": 0.0, "stddev": groups**-0.5, "seed": None}
    more = {
        "softmax": {"meta_softmax": True},
        "preserving": {"meta_initializer": {**normal, "config": config}},
    }
    return {"head_groups": groups, **more.get(form, {})}


def _form(row):
    return HEADS[row.form.label][0]


def _groups(row):
    return HEADS[row.form.label][1]


class MetaHeads(Study):
    examples = ("--data-dir DIR", "--report")
    recipe = "cifar_tables"
    columns = columns(
        "head",
        ("groups", lambda row: str(_groups(row) or "")),
        ("parameters", lambda row: f"{row.trainable:,}"),
        ("last epoch, %", lambda row: row.measured.text(FINAL) or "pending"),
        ("best epoch, %", lambda row: row.measured.text(BEST)),
        ("against dense, points", lambda row: str(row.against(DENSE))),
        "seeds",
    )
    facts = (
        ("head", lambda row: row.form.label),
        ("form", _form),
        ("groups", lambda row: _groups(row) or ""),
        ("parameters", lambda row: row.trainable),
        ("against_dense_points", lambda row: row.against(DENSE).mean),
        ("against_dense_error", lambda row: row.against(DENSE).error),
    )
    note = (
        "Mean ± sample standard deviation over the seeds; differences are of the last epoch's "
        "accuracy. Each group has 10 units, and M = N."
    )

    def options(self, p):
        tables = Path("runs/cifar_tables")
        p.add_argument("--tables", type=Path, default=tables, help="--out of cifar_tables")

    def title(self, a):
        return "Heads of cifar_small: top-1 accuracy"

    def forms(self, a):
        known = [
            Form(label, name, FORMS.get(HEADS[label][0], "dense, 40 units"), folder=folder)
            for label, name in OF_TABLES.items()
            for folder in [a.tables.absolute() / name]
        ]
        of = {form.label: form for form in known}
        return [
            of.get(label) or Form(label, OF_TABLES["raw_4"], FORMS[form], arguments(form, groups))
            for label, (form, groups) in HEADS.items()
        ]

    def claims(self, table, a):
        dense, published = table[DENSE], table["raw_4"]
        most, fewest = max(GROUPS), min(GROUPS)

        def over_groups(form, other):
            return table.cells.mean_difference([(f"{form}_{n}", f"{other}_{n}") for n in GROUPS])

        yield (
            "The published Meta head (4 groups, raw weights, N(0, 1)) against the dense head, with "
            f"{published.trainable / dense.trainable:.0%} of the network's parameters",
            published.against(DENSE),
        )
        yield (
            "Softmax against raw weights, both from N(0, 1), over all numbers of groups",
            over_groups("softmax", "raw"),
        )
        yield (
            "Weights from N(0, 1/N) against N(0, 1), over all numbers of groups",
            over_groups("preserving", "raw"),
        )
        yield (
            f"{most} groups against {fewest}, over all forms",
            table.cells.mean_difference([(f"{form}_{most}", f"{form}_{fewest}") for form in FORMS]),
        )
        found = {label: row.against(DENSE).interval for label, row in table.items()}
        found = {label: interval for label, interval in found.items() if interval}
        if found:
            worse = [label for label, (_, high) in found.items() if high < 0]
            better = [label for label, (low, _) in found.items() if low > 0]
            yield (
                f"Of {len(found)} grouped heads {len(better)} are more accurate than the dense one "
                f"({', '.join(better) or 'none'}) and {len(worse)} less "
                f"({', '.join(worse) or 'none'}) by their own 95 % intervals; the others are not "
                "told apart from it. With so many comparisons one in twenty would differ by chance."
            )

    def draw(self, table, path, a):
        """Accuracy after the last epoch against trainable parameters, a line a form."""
        from matplotlib.ticker import FuncFormatter

        # The grouped heads lie close together, far from the dense one: each range its own panel.
        panels = {"sharey": True, "width_ratios": (5, 1)}
        with drawings.figure(path, (10, 5), 1, 2, **panels) as (figure, (grouped, dense)):
            for form, (marker, colour, shift) in STYLES.items():
                axes = dense if form == DENSE else grouped
                rows = [row for row in table.values() if _form(row) == form]
                rows = [row for row in rows if row.measured.metrics]
                if not rows:
                    continue
                means = [row.measured.mean(FINAL) for row in rows]
                axes.errorbar(
                    [shift * row.trainable for row in rows],
                    means,
                    yerr=[row.measured.spread(FINAL) or 0 for row in rows],
                    marker=marker,
                    color=colour,
                    capsize=2,
                    linewidth=1,
                    label=FORMS.get(form, "dense head"),
                )
                if form == DENSE:
                    for axes in (grouped, dense):
                        axes.axhline(means[0], color=colour, linewidth=0.8, linestyle=":")
            counts = {_groups(row): row.trainable for row in table.values()}
            full = counts.pop(0)
            grouped.set_xscale("log")
            grouped.minorticks_off()
            labels = {count: f"N = {groups}\n{count:,}" for groups, count in counts.items()}
            grouped.set_xticks(list(labels), list(labels.values()), fontsize=8)
            for label, side in zip(grouped.get_xticklabels(), ("right", "left"), strict=False):
                label.set_horizontalalignment(side)  # The first two are next to each other.
            grouped.set(
                xlabel="trainable parameters", ylabel="top-1 accuracy after the last epoch, %"
            )
            dense.set_xlim(full - 1, full + 1)
            dense.set_xticks([full], [f"dense\n{full:,}"], fontsize=8)
            grouped.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.1f}"))
            figure.suptitle(
                "Small CIFAR-10 network: grouped heads, mean ± standard deviation over seeds"
            )
            handles, names = [], []
            for axes in (grouped, dense):
                axes.grid(alpha=0.3)
                found = axes.get_legend_handles_labels()
                handles, names = handles + found[0], names + found[1]
            if handles:
                figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)


STUDY = MetaHeads()
