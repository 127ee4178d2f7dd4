"""How fast a training with ``fit`` is, and how far: on a terminal a bar, elsewhere lines."""

import sys
import time

import keras


class Timing(keras.callbacks.Callback):
    """Adds ``seconds``, ``images_per_second`` (training only) and ``learning_rate`` to the log.

    Of several optimizers in one the rate is that of the last.

    Args:
        images: training images an epoch.
    """

    def __init__(self, images):
        super().__init__()
        self.images = images

    def on_epoch_begin(self, epoch, logs=None):
        self._begin, self._trained = time.perf_counter(), None

    def on_test_begin(self, logs=None):
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        logs["seconds"] = now - self._begin
        logs["images_per_second"] = self.images / ((self._trained or now) - self._begin)
        optimizer = self.model.optimizer
        optimizer = getattr(optimizer, "optimizers", [optimizer])[-1]
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(optimizer.learning_rate))


class Progress(keras.callbacks.Callback):
    """A bar with images per second on a terminal; elsewhere a line now and then.

    Args:
        epochs: epochs in all.
        steps: steps an epoch.
        batch_size: images a step.
        interval: seconds between two lines where stderr is not a terminal.
    """

    def __init__(self, epochs, steps, batch_size, interval=60.0):
        super().__init__()
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.interval = interval
        self._bar = None

    def on_train_begin(self, logs=None):
        if not sys.stderr.isatty():
            return
        try:
            from rich import progress
            from rich.console import Console
        except ImportError:
            return

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[state]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=self.steps, state="")
        self._bar.start()

    def on_epoch_begin(self, epoch, logs=None):
        self._name = f"epoch {epoch + 1}/{self.epochs}"
        self._begin = self._last = time.perf_counter()
        if self._bar:
            self._bar.reset(self._task, description=self._name, total=self.steps, state="")

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if self._bar is None and now - self._last < self.interval:
            return
        self._last = now
        rate = (batch + 1) * self.batch_size / (now - self._begin)
        state = f"{rate:,.0f} examples/s  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"
        if self._bar:
            self._bar.update(self._task, completed=batch + 1, state=state)
        else:
            self._print(f"{self._name} step {batch + 1}/{self.steps}: {state}")

    def on_epoch_end(self, epoch, logs=None):
        self._print(
            f"{self._name}: loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}  "
            f"val_loss {logs['val_loss']:.4f}  val_accuracy {logs['val_accuracy']:.4f}  "
            f"{logs['seconds']:.0f} s  {logs['images_per_second']:,.0f} examples/s  "
            f"{_duration((self.epochs - epoch - 1) * logs['seconds'])} left"
        )

    def close(self):
        """Takes the bar off the terminal, also after an interruption."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, logs=None):
        self.close()

    def _print(self, line):
        if self._bar:
            self._bar.console.print(line, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
