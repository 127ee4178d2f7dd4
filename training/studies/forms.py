"""What a study compares: its forms, and the table of what their trainings measured."""

import dataclasses
import functools
import math
from pathlib import Path

from training.ledger.summary import FINAL, Summary
from training.studies.effects import Cells, Effect


@dataclasses.dataclass(frozen=True)
class Form:
    """One network, or one way to train it.

    Attributes:
        label: what it is called in claims and folders.
        name: the network's name in the zoo.
        what: what it is, in words; its label if there are none.
        arguments: builder arguments that replace the name's.
        how: options of `training.fit` beside the recipe's.
        folder: of its trainings, within --out; made of the label if it is None.
        seeds: the most seeds that it is trained with; None for as many as the others.
    """

    label: str
    name: str
    what: str = ""
    arguments: dict = dataclasses.field(default_factory=dict, hash=False)
    how: dict = dataclasses.field(default_factory=dict, hash=False)
    folder: str | Path | None = None
    seeds: int | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """A form, what its seeds measured, and the `Table` that it stands in."""

    form: Form
    measured: Summary
    table: "Table" = dataclasses.field(repr=False)

    @functools.cached_property
    def _counts(self):
        from keras_recres import zoo
        from keras_recres.models import multiply_adds

        model = zoo.build(self.form.name, tag=self.table.tag, **self.form.arguments)
        trained = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        return model.count_params(), trained, multiply_adds(model).total

    parameters = property(lambda self: self._counts[0], doc="All parameters of its network.")
    trainable = property(lambda self: self._counts[1], doc="Those that are trained.")
    multiply_adds = property(lambda self: self._counts[2], doc="Those of one example.")

    @property
    def epochs(self):
        """Those that its trainings are asked for."""
        return self.form.how.get("epochs", self.table.epochs)

    @property
    def runs(self):
        """Its trainings, a list of `Run`."""
        return [run for run in self.table.runs if run.label == self.form.label]

    def against(self, label):
        """Its accuracy minus that of the form with this label, an `Effect`."""
        same = self.form.label == label
        return Effect() if same else self.table.difference(self.form.label, label)


class Table(dict):
    """{label: `Row`}, in the order of the forms.

    Args:
        forms: list of `Form`.
        measured: list of `Summary`, one a form at least.
        tag: the data set's tag that networks are built for; None for the zoo's default.
        epochs: those of a form that asks for no others.
        runs: its trainings.
        key: which of the metrics of trainings is compared.

    Attributes:
        cells: the `Cells` of its forms.
    """

    def __init__(self, forms, measured, tag=None, epochs=None, runs=(), key=FINAL):
        of = {summary.label: summary for summary in measured}
        self.tag, self.epochs, self.runs, self.key = tag, epochs, runs, key
        super().__init__({f.label: Row(f, of[f.label], self) for f in forms})
        self.cells = self.cells_of(self)

    def cells_of(self, labels):
        """The `Cells` of some forms alone, whose seeds' spread is theirs."""
        return Cells({label: self[label].measured.values(self.key) for label in labels})

    def difference(self, label, other):
        """How much more accurate one form is than the other, an `Effect`."""
        return self.cells.difference(label, other)


# Columns that many studies have: text of a `Row`. What comes first is the form in words.
COLUMNS = {
    "parameters": lambda row: f"{row.parameters:,}",
    "multiply-adds": lambda row: f"{row.multiply_adds:,}",
    "top-1, %": lambda row: row.measured.text(FINAL) or "pending",
    "seeds": lambda row: str(len(row.measured.metrics) or ""),
}


def columns(first, *others):
    """The columns of a study.

    Args:
        first: heading of the forms.
        *others: keys of `COLUMNS`, or pairs of a heading and what makes its text of a `Row`.
    """
    pairs = ((c, COLUMNS[c]) if isinstance(c, str) else c for c in others)
    return {first: lambda row: row.form.what or row.form.label, **dict(pairs)}
