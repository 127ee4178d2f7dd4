"""A study whose networks are trained within its own process, one after another."""

import json
import sys
import time

from training.errors import UserError, output_folder
from training.files import write_aside
from training.jobs import many_runs
from training.ledger.summary import FINAL, summarize
from training.studies.effects import method
from training.studies.forms import Table
from training.studies.study import Study


def counted(row):
    """How many parameters a form's trainings have, as they counted them; text of a `Row`."""
    counts = {m["parameters"] for m in row.measured.metrics.values()}
    return f"{counts.pop():,}" if counts else ""


class TrainedHere(Study):
    """What each training measured is kept in --out, ARM/SEED/metrics.json: it is done once.

    Attributes:
        key: which of the numbers of metrics.json is compared.
        unit: of differences of it.
    """

    common, choose = ("seeds", "report", "out"), "arms"
    key, unit = FINAL, "points"

    def settings(self, form, a):
        """What changes a training's result but for form and seed, a dict of what JSON has."""
        return {key: getattr(a, key) for key in ("epochs", "limit") if key in self.common}

    def learn(self, form, seed, a, path):
        """Trains one network.

        Args:
            form: the `Form`.
            seed: its seed, which Keras has been given.
            a: the arguments.
            path: its folder.

        Returns:
            What it measured, a dict of numbers: `key`, and "parameters" for `counted`.
        """
        raise NotImplementedError

    def run(self, form, seed, a):
        path = a.out / self.folder(a) / form.label / str(seed)
        return many_runs.Run(form.label, form.name, seed, path, how=self.settings(form, a))

    def train(self, runs, a):
        import keras

        from training.fit.precision import subnormals_are_zero

        forms = {form.label: form for form in self.chosen(a)}
        for run in runs:
            if is_finished(run):
                continue
            output_folder(run.path)
            keras.utils.clear_session()
            keras.utils.set_random_seed(run.seed)
            began = time.perf_counter()
            with subnormals_are_zero():
                metrics = self.learn(forms[run.label], run.seed, a, run.path)
            seconds = round(time.perf_counter() - began, 1)
            settings = {"tag": self.name, "backend": keras.backend.backend(), **run.how}
            metrics = {**metrics, "seconds": seconds, "settings": settings}
            write_aside(run.path / "metrics.json", json.dumps(metrics, indent=1) + "\n")
            told = f", {self.key} {metrics[self.key]:.4g}" if self.key in metrics else ""
            print(f"{run}: {seconds:.0f} s{told}", file=sys.stderr, flush=True)

    def table(self, runs, a):
        for run in runs:
            is_finished(run)
        return Table(self.chosen(a), summarize(runs), runs=runs, key=self.key)

    def notes(self, table, a):
        return [method(table.cells)] if self.unit == "points" else []

    def compared(self, table, what, label, other):
        """A claim: the one form against the other, both labels of the table; none without both."""
        if label in table and other in table:
            words = () if self.unit == "points" else (self.unit, "higher", "lower")
            yield what, table.difference(label, other), *words


def is_finished(run):
    """Whether a training has been done.

    Args:
        run: a `Run`, whose `how` are its settings.

    Raises:
        UserError: it was with other settings.
    """
    if run.metrics is None:
        return False
    for key, value in run.how.items():
        found = run.metrics["settings"].get(key)
        if found != value:
            raise UserError(
                f"{run.path} holds a training with {key} {found!r}, not {value!r}: give another "
                "--out."
            )
    return True
