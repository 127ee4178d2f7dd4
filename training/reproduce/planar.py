"""The planar experiment: what running one layer many times buys (table 1 and figure 2).

Two-neuron residual networks x ← x + s · tanh(W x + b), a shallow, a recurrent and a deep one,
separate two curves in the plane (Jiang, Cui and Wang, "Residual network with recurrent
structures", section 2.3). The paper names neither the curves nor the optimiser. Here, by default:
two spiral arms of one turn, radius 0.75 to 5, 100 points each; s = 0.3; weights N(0, 0.7²), zero
biases; Adam 1e-2 for 3,000 full-batch steps; the last layer's two neurons are the logits.

All seeds train in one `fit()`: `EinsumDense` gives every seed its own weights, the loss is the sum
over the seeds, and Adam works weight by weight, so no seed knows of another.
"""

import argparse
import csv
import dataclasses
import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_recres import models
from keras_recres.layers import RecurrentResidual
from training.errors import UserError, nearest
from training.fit.models import jit_compile
from training.provenance import provenance
from training.reproduce.planar_curves import FAMILIES, points

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


def train(network, x, y, steps=STEPS, scale=SCALE, seed=0, advance=None, callbacks=()):
    """Trains one network for several seeds at once.

    Args:
        network: A `Network`.
        x: Points, (points, seeds, 2): every seed may have a curve of its own.
        y: Classes, (points, seeds).
        steps: Full-batch optimiser steps, rounded up to a multiple of 100.
        scale: Residual scale s.
        seed: Seed of the generator from which all the initial weights are drawn.
        advance: Function of the optimiser steps just done, for a progress bar.
        callbacks: Keras callbacks that watch the training; an epoch is `REPEATS` steps.

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
            kernel_initializer=keras.initializers.RandomNormal(stddev=STDDEV),
        )
        z = RecurrentResidual(branch, steps=network.steps, residual_scale=scale)(z)
    model = keras.Model(inputs, z)
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


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce planar",
        description=__doc__.split("\n\n")[0] + "\n\n" + __doc__.split("\n\n")[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.reproduce planar\n"
        "  python -m training.reproduce planar --curves moons --seeds 5\n"
        "  python -m training.reproduce planar --sweep\n",
    )
    p.add_argument("--seeds", type=int, default=20, help="seeds of each network (default 20)")
    p.add_argument("--steps", type=int, default=STEPS, help=f"optimiser steps (default {STEPS})")
    p.add_argument("--scale", type=float, default=SCALE, help=f"residual scale (default {SCALE})")
    p.add_argument("--curves", default="spiral", help=f"one of: {'; '.join(FAMILIES)}")
    p.add_argument(
        "--sweep", action="store_true", help="map scales and curves on which the ordering holds"
    )
    p.add_argument("--zoo", action="store_true", help="file the median seeds in the zoo's folder")
    p.add_argument("--out", type=Path, default=Path("runs/planar"), help="default runs/planar")
    return p


def check(a):
    """Raises a UserError for an argument out of its range."""
    if a.curves not in FAMILIES:
        raise UserError(
            f"--curves must be one of {', '.join(FAMILIES)}, found {a.curves!r}."
            f"{nearest(a.curves, FAMILIES)}"
        )
    for option in ("seeds", "steps"):
        if getattr(a, option) < 1:
            raise UserError(f"--{option} must be at least 1, found {getattr(a, option)}.")
    if not 0 < a.scale < float("inf"):
        raise UserError(f"--scale must be above 0, found {a.scale}.")
    default = (a.curves, a.scale, a.steps) == ("spiral", SCALE, STEPS)
    if a.zoo and not default:
        raise UserError("--zoo files the default setting: leave out --curves, --scale and --steps.")
    check_folder(a.out)


def check_folder(out):
    """Makes the folder for the outputs; raises a UserError where it can't be written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".writable").touch()
        (out / ".writable").unlink()
    except OSError as error:
        raise UserError(
            f"--out {out} can't be written to ({error.strerror}): name another folder."
        ) from error


def main(argv=None):
    """The command line."""
    a = parser().parse_args(argv)
    check(a)
    # Matplotlib and rich take a second to import: after the arguments are known to be good.
    from training.reproduce import planar_plots, planar_sweep, planar_table

    if a.sweep:
        planar_sweep.run(a)
        return 0
    x, y = points(a.curves)
    many_x = np.repeat(x[:, None], a.seeds, axis=1)
    many_y = np.repeat(y[:, None], a.seeds, axis=1)
    results = []
    with planar_table.progress(len(NETWORKS) * a.steps) as progress:
        for network in NETWORKS:
            progress.describe(f"{network.name}, {a.seeds} seeds")
            results.append(
                train(network, many_x, many_y, a.steps, a.scale, advance=progress.advance)
            )
    planar_table.show(results, ordering(results))
    save(results, a)
    planar_plots.coordinates(results, x, y, a.out / "figure2")
    planar_plots.regions(results, x, y, a.out / "regions")
    if a.zoo:
        from training.reproduce import planar_zoo

        planar_zoo.file(results, x, a.steps)
    names = "figure2.png, regions.png (and .svg), seeds.csv, summary.json"
    print(f"Written to {a.out}: {names}.", file=sys.stderr)
    return 0


def save(results, a):
    """Writes seeds.csv (a row a seed) and summary.json."""
    with open(a.out / "seeds.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "seed", "loss", "accuracy"])
        for result in results:
            for seed, row in enumerate(zip(result.loss, result.accuracy, strict=True)):
                writer.writerow([result.network.name, seed, *(f"{value:.6g}" for value in row)])
    summary = {
        "curves": a.curves,
        "residual_scale": a.scale,
        "optimiser_steps": a.steps,
        "seeds": a.seeds,
        "ordering": ordering(results),
        **provenance(),
        "networks": {
            result.network.name: {
                "parameters": result.network.parameters,
                "median_loss": float(np.median(result.loss)),
                "median_accuracy": float(np.median(result.accuracy)),
            }
            for result in results
        },
    }
    (a.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
