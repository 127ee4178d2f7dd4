"""What ``fit`` does beside training: exact epochs, timing, progress, a stop at NaN."""

import math

import keras

from keras_recres.zoo.progress import Progress, Timing

__all__ = ["Epochs", "NotFiniteError", "Progress", "StopAtNaN", "Timing"]

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


class NotFiniteError(Exception):
    """The loss is not a number any more; where, in half a sentence."""


class StopAtNaN(keras.callbacks.Callback):
    """Ends a training whose loss is not a number, before its weights replace the last backup.

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


def tensorboard(path):
    """Keras' own callback for TensorBoard, which writes scalars into a run's folder."""
    return keras.callbacks.TensorBoard(path / "tensorboard", write_graph=False)
