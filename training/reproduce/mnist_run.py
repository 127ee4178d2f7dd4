"""One training of one ResNet-50 on MNIST with the slides' recipe, by `training.fit`.

    python -m training.reproduce.mnist_run mnist_resnet50_tanh_he --data-dir DIR --out FOLDER

Takes the arguments of `training.fit`; the recipe is `mnist_resnet50`. Writes the loss of every
step beside the log of epochs, steps.csv: a training of one epoch has no other curve.
"""

import csv
import sys
from pathlib import Path

import keras

from training import errors
from training.fit import loop as fit

RECIPE = "mnist_resnet50"


def main(argv=None):
    """The command line."""
    a = fit.arguments(argv, RECIPE)
    a.steps_per_execution = 1  # The loss of every single step is logged.
    steps = [StepLog(Path(a.out) / "steps.csv")] if a.out else []
    fit.run(a, more_callbacks=steps)


class StepLog(keras.callbacks.Callback):
    """Writes epoch, step and the loss of its batch, a line each, when an epoch ends.

    Args:
        path: the file; epochs of a training that goes on are added.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch, logs=None):
        self._rows, self._sum = [], 0.0

    def on_train_batch_end(self, batch, logs=None):
        # Keras tells the mean of the epoch's steps up to this one.
        total = float(logs["loss"]) * (batch + 1)
        self._rows.append((batch, total - self._sum))
        self._sum = total

    def on_epoch_end(self, epoch, logs=None):
        with open(self.path, "a" if epoch else "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if not epoch:
                writer.writerow(["epoch", "step", "loss"])
            writer.writerows((epoch, step, f"{loss:.6g}") for step, loss in self._rows)


def read_steps(path):
    """The losses of all steps in order, [] where there is no file."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        losses = {(int(r["epoch"]), int(r["step"])): float(r["loss"]) for r in csv.DictReader(file)}
    return [losses[key] for key in sorted(losses)]


if __name__ == "__main__":
    sys.exit(errors.run(main))
