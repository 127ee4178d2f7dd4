"""CurvatureCallback: the curvature of every layer while a model trains."""

import csv
import pathlib
from typing import Any

import keras

from keras_recres.backend.types import Path
from keras_recres.layers.checks import check_count
from keras_recres.probes.curvature import extrinsic_curvature
from keras_recres.probes.curves import Curve

COLUMNS = (
    "epoch",
    "layer",
    "step",
    "kappa_q25",
    "kappa_median",
    "kappa_q75",
    "speed_median",
    "arc_length",
    "total_curvature",
    "kinks",
)


class CurvatureCallback(keras.callbacks.Callback):
    """Measures the curvature of a curve's image in every layer during `fit()`.

    Before the first epoch and after every `every`-th one, `extrinsic_curvature` is run with the
    weights of that moment. A CSV gets a line for every row (layer, or recurrent step); its
    `epoch` is the number of epochs done, so 0 is before training. The attribute `records` is
    {epochs done: `CurvatureRecord`} of the last `fit()`.

    With `logs`, each row's median of κ is also put into the epoch's logs as `curvature/ROW`,
    whence History, CSVLogger and TensorBoard take it, on every backend (Keras' TensorBoard writes
    with the tensorflow and tensorboard packages whatever the backend is). Callbacks that log must
    come **after** this one in the list. Between two measurements the logs repeat the last one,
    since CSVLogger wants the same columns every epoch.

    Example:
    >>> curvature = CurvatureCallback(curves.from_dataset(x_train), "curvature.csv", every=5)
    >>> model.fit(x_train, y_train, epochs=50,
    ...     callbacks=[curvature, keras.callbacks.TensorBoard("logs")])

    Args:
        curve: A `Curve` through the model's input space.
        path: The CSV to write, or None for none. It is written line by line, so that an
            interrupted training leaves what was measured.
        every: Integer ≥ 1, epochs from one measurement to the next.
        points: Integer ≥ 1, number of θ.
        logs: Whether to add the medians to the logs.
        append: Whether to keep what an existing file says of the epochs before, for a training
            that is continued.
        **options: For `extrinsic_curvature`: `layers`, `steps`, `method`, `batch_size`.
    """

    def __init__(
        self,
        curve: Curve,
        path: Path | None = None,
        every: int = 1,
        points: int = 64,
        logs: bool = True,
        append: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        check_count("every", every)
        check_count("points", points)
        self.curve = curve
        self.path = None if path is None else pathlib.Path(path).expanduser()
        self.every = every
        self.points = points
        self.logs = logs
        self.append = append
        self.options = options
        self.records = {}
        self._begun = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Not in on_train_begin, which does not know with which epoch a continued training begins.
        if self._begun:
            return
        self._begun = True
        self.records = {}
        if self.path is not None:
            self._write([COLUMNS, *self._kept(epoch)], "w")
        self._measure(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every == 0:
            self._measure(epoch + 1)
        if self.logs and logs is not None:
            record = self.records[max(self.records)]
            for name, median in zip(record.names, record.median, strict=True):
                if name != "input":  # The curve itself, which training does not change.
                    logs[f"curvature/{name}"] = float(median)

    def _kept(self, epoch):
        """The lines of an existing file that this training does not write again."""
        if not (self.append and self.path.exists()):
            return []
        with open(self.path, newline="", encoding="utf-8") as file:
            return [line for line in list(csv.reader(file))[1:] if int(line[0]) < epoch]

    def _measure(self, epoch):
        record = extrinsic_curvature(
            self.model, self.curve, self.curve.theta(self.points), **self.options
        )
        self.records[epoch] = record
        if self.path is not None:
            rows = [{"epoch": epoch, **row} for row in record.table()]
            self._write([["" if row[c] is None else row[c] for c in COLUMNS] for row in rows], "a")

    def _write(self, lines, mode):
        with open(self.path, mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
