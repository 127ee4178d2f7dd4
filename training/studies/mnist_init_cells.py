"""What the trainings of `mnist_init` measured, line by line: an interruption loses one stack."""

import csv
import dataclasses
import json

import numpy as np

from training.errors import UserError, output_folder
from training.studies.mnist_init_nets import Run

FIELDS = tuple(field.name for field in dataclasses.fields(Run))
COLUMNS = (*FIELDS, "learning_rate", "accuracy")


class Cells:
    """Accuracies by network, in DIR/cells.csv.

    Args:
        folder: DIR; made where it is not.
        settings: dict of what all trainings share, kept in DIR/settings.json.

    Raises:
        UserError: the folder can't be written, or holds trainings of other settings.
    """

    def __init__(self, folder, settings):
        self.path = folder / "cells.csv"
        self._known = {}
        try:
            output_folder(folder)
            kept = folder / "settings.json"
            if self.path.exists():
                found = json.loads(kept.read_text(encoding="utf-8"))
                if found != settings:
                    raise UserError(f"{folder} holds trainings with {found}, not {settings}.")
                self._read()
            else:
                kept.write_text(json.dumps(settings) + "\n", encoding="utf-8")
                self._append([COLUMNS])
        except (ValueError, KeyError) as error:
            raise UserError(f"{folder} holds a broken cells.csv ({error}).") from None

    def _read(self):
        with open(self.path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["accuracy"] is None:
                    continue  # The line at which an earlier process ended.
                key = tuple(row[name] for name in COLUMNS[:-1])
                self._known[key] = float(row["accuracy"])

    def _append(self, rows):
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def get(self, run, learning_rate):
        """The accuracy of a network, NaN after numerical trouble; None before its training."""
        return self._known.get(_key(run, learning_rate))

    def add(self, runs, learning_rate, accuracies):
        """Keeps what a stack measured."""
        keys = [_key(run, learning_rate) for run in runs]
        self._keep({key: float(a) for key, a in zip(keys, accuracies, strict=True)})

    def adopt(self, other):
        """Keeps what another `Cells` has and this one lacks; how many networks."""
        return self._keep(other._known)

    def _keep(self, found):
        new = {key: accuracy for key, accuracy in found.items() if key not in self._known}
        self._append([(*key, repr(accuracy)) for key, accuracy in new.items()])
        self._known |= new
        return len(new)

    def table(self, runs, learning_rate):
        """Accuracies of an array of runs, the last axis of which are seeds.

        Returns:
            Mean over the seeds that came through, NaN where all failed, and how many failed.
        """
        values = np.array([[self.get(run, learning_rate) for run in row] for row in runs], float)
        trouble = np.isnan(values).sum(axis=-1)
        total = np.where(np.isnan(values), 0, values).sum(axis=-1)
        fine = values.shape[-1] - trouble
        return np.where(fine, total / np.maximum(fine, 1), np.nan), trouble


def _key(run, learning_rate):
    values = [getattr(run, name) for name in FIELDS]
    return tuple("" if value is None else str(value) for value in [*values, learning_rate])
