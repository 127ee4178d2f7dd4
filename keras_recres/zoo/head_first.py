"""A training of two parts: first the head learns, then all layers."""

import contextlib
import math
import os
import signal
import threading

import keras
import numpy as np

from keras_recres.backend import keras_private
from keras_recres.zoo import transfer
from keras_recres.zoo.progress import Progress, Timing

STDERR = 2


class Batches(keras.utils.PyDataset):
    """Batches of one size, those to learn from shuffled: another size is compiled again."""

    def __init__(self, pixels, labels, preprocess, batch_size, seed=None, augment=False):
        super().__init__()
        self.pixels, self.labels, self.preprocess = pixels, labels, preprocess
        self.count = -(-len(labels) // batch_size)
        self.size = -(-len(labels) // self.count)
        self.rng = None if seed is None else np.random.default_rng(seed)
        self.layers = []
        if augment:
            self.layers = [
                keras.layers.RandomFlip("horizontal", seed=seed, data_format="channels_last"),
                keras.layers.RandomTranslation(
                    1 / 8, 1 / 8, seed=seed, data_format="channels_last"
                ),
            ]
        self.order = np.arange(len(labels))
        self.on_epoch_end()

    def __len__(self):
        return self.count

    def on_epoch_end(self):
        if self.rng is not None:
            order = self.rng.permutation(len(self.labels))
            # The last batch is filled up from the beginning.
            self.order = np.resize(order, self.count * self.size)

    def __getitem__(self, number):
        part = self.order[number * self.size : (number + 1) * self.size]
        x = self.pixels[part]
        for layer in self.layers:
            x = layer(x, training=True)
        x = keras.ops.convert_to_numpy(x) if self.layers else x
        return self.preprocess.normalize(x), self.labels[part]


class Best(keras.callbacks.Callback):
    """Keeps the weights of the best epoch; ends a training that gets no better, or was told to."""

    def __init__(self, patience):
        super().__init__()
        self.patience, self.interrupted, self.over = patience, False, False
        self.log, self.epoch, self.score, self.weights = [], None, None, None

    def on_train_begin(self, logs=None):
        self._worse = 0

    def on_train_batch_end(self, batch, logs=None):
        if self.interrupted:
            self.over = self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.log.append({"epoch": epoch + 1, **{key: float(value) for key, value in logs.items()}})
        score = logs["val_accuracy"], -logs["val_loss"]
        if not math.isfinite(logs["loss"] + logs["val_loss"]):
            self.over = self.model.stop_training = True
        elif self.score is None or score > self.score:
            self.epoch, self.score, self._worse = epoch + 1, score, 0
            self.weights = self.model.get_weights()
        else:
            self._worse += 1
            if self._worse >= self.patience:
                self.model.stop_training = True


@contextlib.contextmanager
def stoppable(best):
    """Ctrl-C and SIGTERM end the training in order; the second one at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore():
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(*_):
        best.interrupted = True
        restore()
        # As bytes: a print may have been interrupted.
        with contextlib.suppress(OSError):
            os.write(STDERR, b"\nending after this batch; again to end at once\n")

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        restore()


def fit(model, batches, others, asked, learning_rate, ema, layer_decay, best):
    """Trains the head, then all layers; the weights that `best` keeps are the result."""
    epochs, freeze_epochs = asked
    head = transfer.head(model.outputs[0])
    trainable = [(layer, layer.trainable) for layer in keras_private.sublayers(model)]
    progress = Progress(epochs, len(batches), batches.size)
    try:
        for frozen, last in ((True, min(freeze_epochs, epochs)), (False, epochs)):
            first = len(best.log)
            if last <= first or best.over or (freeze_epochs >= epochs and not frozen):
                continue
            for layer, before in trainable:
                layer.trainable = before
            for layer in model.layers if frozen else ():
                layer.trainable = layer is head
            steps = (last - first) * len(batches)
            # A new one each: it remembers what it swapped into the model.
            swap = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if ema else []
            model.compile(
                optimizer=_optimizer(model, learning_rate, ema, layer_decay, frozen, steps),
                loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                metrics=["accuracy"],
            )
            model.fit(
                batches,
                validation_data=others,
                initial_epoch=first,
                epochs=last,
                verbose=0,
                shuffle=False,  # The batches are.
                callbacks=[*swap, Timing(len(batches.labels)), progress, best],
            )
    finally:
        progress.close()
        for layer, before in trainable:
            layer.trainable = before
        # As the zoo gives it: no file need hold the optimizer's weights.
        model.optimizer, model.compiled = None, False


def _optimizer(model, peak, ema, layer_decay, frozen, steps):
    """Adam; with `layer_decay` one for each layer, each with its rate."""
    average = {"use_ema": True, "ema_momentum": ema} if ema else {}

    def adam(peak):
        if frozen:
            return keras.optimizers.Adam(peak, **average)
        warmup = min(steps // 2, max(1, steps // 10))
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warmup), alpha=0.01, warmup_target=peak, warmup_steps=warmup
        )
        return keras.optimizers.Adam(rate, **average)

    if frozen or layer_decay == 1:
        return adam(peak)
    layers = [layer for layer in model.layers if layer.trainable_variables]
    of_variable = {}
    for depth, layer in enumerate(reversed(layers)):
        optimizer = adam(peak * layer_decay**depth)
        of_variable.update((variable.path, optimizer) for variable in layer.trainable_variables)
    return keras.optimizers.MultiOptimizer(lambda variable: of_variable[variable.path])
