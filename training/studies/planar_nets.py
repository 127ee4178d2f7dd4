"""The three networks of the planar experiment: all seeds of one train in one `fit()`.

`EinsumDense` gives every seed its own weights, the loss is the sum over the seeds, and Adam works
weight by weight, so no seed knows of another.
"""

import dataclasses

import keras
import numpy as np

from keras_recres import models
from keras_recres.layers import RecurrentResidual
from training.fit.models import jit_compile

SCALE, STDDEV, LEARNING_RATE, STEPS = 0.3, 0.7, 1e-2, 3000
REPEATS = 100  # Optimiser steps in one epoch of fit(): the data set, so many times over.


@dataclasses.dataclass(frozen=True)
class Network:
    """One of the paper's three networks, with the row of its table 1."""

    name: str
    depth: int
    steps: int
    parameters: int
    printed_loss: float
    printed_accuracy: float


NETWORKS = (
    Network("planar_shallow", 4, 1, 24, 0.46, 0.77),
    Network("planar_rec", 1, 13, 6, 0.15, 0.97),
    Network("planar_deep", 13, 1, 78, 0.05, 0.99),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What training one network with several seeds gave.

    Attributes:
        network: The network.
        loss: Cross-entropy by seed, nats, shape (seeds,).
        accuracy: Fraction of points on the right side by seed, shape (seeds,).
        weights: For each layer its kernels (seeds, 2, 2) and biases (seeds, 2).
        scale: Residual scale s.
    """

    network: Network
    loss: np.ndarray
    accuracy: np.ndarray
    weights: list
    scale: float

    @property
    def median_seed(self):
        """The seed whose loss is the (lower) median: the one that pictures and zoo show."""
        return int(np.argsort(self.loss, kind="stable")[(len(self.loss) - 1) // 2])

    def model(self, seed):
        """The trained network of one seed, as `keras_recres.models.planar` builds it."""
        model = models.planar(
            self.network.depth,
            self.network.steps,
            residual_scale=self.scale,
            name=self.network.name,
        )
        model.set_weights([part[seed] for layer in self.weights for part in layer])
        return model

    def select(self, seeds):
        """The result of some of the seeds only."""
        return dataclasses.replace(
            self,
            loss=self.loss[seeds],
            accuracy=self.accuracy[seeds],
            weights=[[part[seeds] for part in layer] for layer in self.weights],
        )


class SumOverSeeds(keras.losses.Loss):
    """Σ over seeds of the cross-entropy, averaged over the points: each seed its own gradient."""

    def call(self, y_true, y_pred):
        losses = keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)
        return keras.ops.sum(losses, axis=-1)


def train(
    network, x, y, steps=STEPS, scale=SCALE, seed=0, advance=None, callbacks=(), shortcut="add"
):
    """Trains one network for several seeds at once.

    Args:
        network: A `Network`, or what has its `depth` and `steps`.
        x: Points, (points, seeds, neurons): every seed may have a curve of its own. Of more than
            two neurons the first two are the logits, and initial weights are N(0, 2/n · 0.7²).
        y: Classes, (points, seeds).
        steps: Full-batch optimiser steps, rounded up to a multiple of 100.
        scale: Residual scale s; None, which is 1, without a shortcut.
        seed: Seed of the generator from which all the initial weights are drawn.
        advance: Function of the optimiser steps just done, for a progress bar.
        callbacks: Keras callbacks that watch the training; an epoch is `REPEATS` steps.
        shortcut: As in `RecurrentResidual`.

    Returns:
        A `Result`.
    """
    keras.utils.set_random_seed(seed)
    count, seeds, width = x.shape
    inputs = z = keras.Input((seeds, width))
    for _ in range(network.depth):
        branch = keras.layers.EinsumDense(
            "bsi,sij->bsj",
            output_shape=(seeds, width),
            bias_axes="sj",
            activation="tanh",
            kernel_initializer=keras.initializers.RandomNormal(stddev=STDDEV * (2 / width) ** 0.5),
        )
        z = RecurrentResidual(branch, network.steps, shortcut, scale)(z)
    model = keras.Model(inputs, z[..., :2])
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        SumOverSeeds(),
        # PyTorch's trainer takes one step at a time.
        steps_per_execution=1 if keras.backend.backend() == "torch" else REPEATS,
        jit_compile=jit_compile(),
    )
    tell = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: advance(REPEATS) if advance else None
    )
    model.fit(
        np.tile(x, (REPEATS, 1, 1)),
        np.tile(y, (REPEATS, 1)),
        batch_size=count,
        epochs=-(-steps // REPEATS),
        shuffle=False,
        verbose=0,
        callbacks=[*callbacks, tell],
    )
    logits = model.predict(x, batch_size=count, verbose=0).astype("float64")
    log_total = np.logaddexp(logits[..., 0], logits[..., 1])
    chosen = np.take_along_axis(logits, y[..., None], axis=-1)[..., 0]
    weights = model.get_weights()
    return Result(
        network,
        loss=(log_total - chosen).mean(axis=0),
        accuracy=(logits.argmax(axis=-1) == y).mean(axis=0),
        weights=[weights[i : i + 2] for i in range(0, len(weights), 2)],
        scale=scale,
    )


def whole(steps):
    """The optimiser steps that `train` takes: a multiple of `REPEATS`."""
    return -(-steps // REPEATS) * REPEATS


def ordering(results):
    """Whether shallow < recurrent < deep, by the medians over the seeds.

    Returns:
        "holds" when the median loss falls from shallow to recurrent to deep and the median
        accuracy rises (recurrent and deep may both be at 100 %); "saturated" when all three
        separate everything, so that there is nothing to order; else "fails".
    """
    loss = [np.median(result.loss) for result in results]
    accuracy = [np.median(result.accuracy) for result in results]
    if min(accuracy) >= 0.995:
        return "saturated"
    falls = loss[0] > loss[1] > loss[2]
    rises = accuracy[0] < accuracy[1] and (accuracy[1] < accuracy[2] or accuracy[1] >= 0.995)
    return "holds" if falls and rises else "fails"
