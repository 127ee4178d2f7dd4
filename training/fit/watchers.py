"""What recipes name in CALLBACKS: Keras callbacks that write or measure more of a training."""

import collections
import csv
import math
import os
from pathlib import Path

import keras

from training import data
from training.errors import UserError
from training.fit.options import reading

EXACT = "cifar10_lossless_part"
# Of the measurements only.
BATCH_SIZE = 128


class Watcher(keras.callbacks.Callback):
    """Watches a training of `training.fit`.

    Args:
        a: the arguments of the training.
        folder: its `training.fit.run_folder.RunFolder`.

    Attributes:
        every_step: whether it must see each step, and not several at once.
    """

    every_step = False

    def __init__(self, a, folder):
        super().__init__()
        self.a, self.folder = a, folder

    def measure(self, model, images):
        """What only the end can tell, a dict for metrics.json.

        Args:
            model: the trained model, compiled.
            images: its training images, an `Images` record.
        """
        return {}


class WholeTrainingSet(Watcher):
    """Measures the training set in inference mode, and the exact part of CIFAR-10's test set.

    That is without dropout, and after the last epoch instead of during it.
    """

    def measure(self, model, images):
        """`train_set_loss`, `train_set_accuracy`, the same of `exact` if it is there; threads."""
        found = {"threads": os.environ.get("OMP_NUM_THREADS", "")}
        found |= {f"train_set_{key}": value for key, value in _evaluate(model, images).items()}
        exact = exact_part(self.a.data_dir, reading(model.preprocess, self.a))
        if exact is not None:
            found |= {f"exact_{key}": value for key, value in _evaluate(model, exact).items()}
            found["exact_images"] = len(exact)
        return found


class StepLog(Watcher):
    """Writes epoch, step and loss of its batch, a line each, to steps.csv when an epoch ends."""

    every_step = True

    def on_epoch_begin(self, epoch, logs=None):
        self._rows, self._sum = [], 0.0

    def on_train_batch_end(self, batch, logs=None):
        # Keras tells the mean of the epoch's steps up to this one.
        total = float(logs["loss"]) * (batch + 1)
        self._rows.append((batch, total - self._sum))
        self._sum = total

    def on_epoch_end(self, epoch, logs=None):
        path = self.folder.path / "steps.csv"
        with open(path, "a" if epoch else "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if not epoch:
                writer.writerow(["epoch", "step", "loss"])
            writer.writerows((epoch, step, f"{loss:.6g}") for step, loss in self._rows)


class KernelVariances(Watcher):
    """Writes the variance of every kernel, before training and after each epoch, to kernels.csv.

    Each line has the epochs done, the kernel's path, its fan-in and σ², the mean square of the
    entries about their mean.
    """

    def on_epoch_begin(self, epoch, logs=None):
        if not epoch:
            self._write(0, "w")

    def on_epoch_end(self, epoch, logs=None):
        self._write(epoch + 1, "a")

    def _write(self, epochs, mode):
        with open(self.folder.path / "kernels.csv", mode, newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if not epochs:
                writer.writerow(["epochs", "kernel", "fan_in", "variance"])
            for weight in self.model.trainable_variables:
                if weight.path.endswith("kernel"):
                    variance = keras.ops.convert_to_numpy(keras.ops.var(weight))
                    fan_in = math.prod(weight.shape[:-1])
                    writer.writerow([epochs, weight.path, fan_in, f"{variance:.6g}"])


def read_kernels(path):
    """{epochs: {kernel: variance times fan-in}}, {} where there is no file."""
    found = collections.defaultdict(dict)
    if Path(path).exists():
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                scaled = int(row["fan_in"]) * float(row["variance"])
                found[int(row["epochs"])][row["kernel"]] = scaled
    return dict(found)


def read_steps(path):
    """The losses of all steps in order, [] where there is no file."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        losses = {(int(r["epoch"]), int(r["step"])): float(r["loss"]) for r in csv.DictReader(file)}
    return [losses[key] for key in sorted(losses)]


def exact_part(data_dir, resizing=data.AS_STORED):
    """Looks for the exact part of the test set.

    Args:
        data_dir: where CIFAR-10 is. It is looked for there, and beside it in the folder `tfds` and
            in the packed file of its name.
        resizing: the `Resizing` of its images.

    Returns:
        Its `Images` record, or None where it is not.
    """
    folder = data.default_data_dir() if data_dir is None else Path(data_dir).expanduser()
    for place in (folder, folder.parent / "tfds", folder.parent / f"{EXACT}.npz"):
        try:
            return data.load(EXACT, "evaluation", place, resizing=resizing)
        except UserError:
            continue
    return None


def _evaluate(model, images):
    batches = data.Batches(images, BATCH_SIZE, model.preprocess, one_hot=True)
    result = model.evaluate(batches, return_dict=True, verbose=0)
    return {key: float(result[key]) for key in ("loss", "accuracy")}
