"""What ``fit`` does beside training: exact epochs, timing, progress, a stop at NaN."""

import math
import sys
import time

import keras

# Between the seeds of two processes: odd, and far from all that seeds and epochs add.
OWN = 0x9E3779B1


class Epochs(keras.callbacks.Callback):
    """Makes an epoch depend on its number only, so that a continued training is the same one.

    Before each epoch it tells the batches which epoch it is, and sets the counter of every
    random generator of the model (dropout, drop path), which no weights file keeps. On PyTorch
    Keras' dropout draws from the global generator instead: that is seeded anew, too.

    Args:
        batches: a ``training.data.Batches``; its seed is the training's.
        process: number of this process, from 0, if it is to draw otherwise than the others.
    """

    def __init__(self, batches, process=0):
        super().__init__()
        self.batches = batches
        self.process = process
        self._generators = None

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch
        own = self.process * OWN
        keras.utils.set_random_seed((self.batches.seed * 1_000_003 + epoch + 1 + own) % 2**32)
        if self._generators is None:
            weights = {id(variable) for variable in self.model.weights}
            others = [v for v in self.model.variables if id(v) not in weights]
            self._generators = [
                (v, int(keras.ops.convert_to_numpy(v)[0])) for v in others if _is_seed(v)
            ]
        for state, key in self._generators:
            # A state is (key, counter), of 32 bits each, signed on PyTorch; more than 2**20 draws
            # an epoch would only overlap, and after 2,048 epochs they are those of the first again.
            state.assign([(key + own) % 2**31 if own else key, (epoch << 20) % 2**31])


def _is_seed(variable):
    return tuple(variable.shape) == (2,) and "seed_generator" in variable.path


class Timing(keras.callbacks.Callback):
    """Adds ``seconds``, ``images_per_second`` (training only) and ``learning_rate`` to the log.

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
        logs["learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )


class NotFiniteError(Exception):
    """The loss is no number any more; where, in half a sentence."""


class StopAtNaN(keras.callbacks.Callback):
    """Ends a training whose loss is no number, before its weights replace the last backup.

    Args:
        steps: steps an epoch.
    """

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self._first = batch + 1

    def on_train_batch_end(self, batch, logs=None):
        if logs and not math.isfinite(loss := float(logs["loss"])):
            # Of several steps in one execution, the last of which may be beyond the epoch's end.
            first, last = self._first, max(self._first, min(batch + 1, self.steps))
            before = self._epoch * self.steps
            if first == last:
                at, of = f"step {before + last}", f"step {last}"
            else:
                at = f"one of the steps {before + first} to {before + last}"
                of = f"one of the steps {first} to {last}"
            raise NotFiniteError(
                f"the loss became {loss} at {at}, which is {of} of {self.steps} in epoch "
                f"{self._epoch + 1}"
            )

    def on_epoch_end(self, epoch, logs=None):
        # The last step of an epoch may spoil the weights after its loss was computed.
        if not math.isfinite(loss := float(logs.get("val_loss", 0.0))):
            raise NotFiniteError(
                f"the loss of the evaluation became {loss} after step {(epoch + 1) * self.steps}, "
                f"the last one of epoch {epoch + 1}"
            )


class Progress(keras.callbacks.Callback):
    """A bar with images per second on a terminal; elsewhere a line now and then.

    Args:
        epochs: epochs in all.
        steps: steps an epoch.
        batch_size: images a step.
        interval: seconds between two lines where stderr is no terminal.
    """

    def __init__(self, epochs, steps, batch_size, interval=60.0):
        super().__init__()
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.interval = interval
        self._bar = None

    def on_train_begin(self, logs=None):
        if not sys.stderr.isatty():
            return
        from rich import progress
        from rich.console import Console

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
        state = f"{rate:,.0f} images/s  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"
        if self._bar:
            self._bar.update(self._task, completed=batch + 1, state=state)
        else:
            self._print(f"{self._name} step {batch + 1}/{self.steps}: {state}")

    def on_epoch_end(self, epoch, logs=None):
        self._print(
            f"{self._name}: loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}  "
            f"val_loss {logs['val_loss']:.4f}  val_accuracy {logs['val_accuracy']:.4f}  "
            f"{logs['seconds']:.0f} s  {logs['images_per_second']:,.0f} images/s  "
            f"{(self.epochs - epoch - 1) * logs['seconds'] / 60:.0f} min left"
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
