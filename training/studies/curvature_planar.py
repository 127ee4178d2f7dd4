"""The curvature of the planar networks (figure 1): trained seeds, and random weights."""

import numpy as np

from keras_recres.probes import curves
from training.studies import planar_nets as planar
from training.studies.curvature_probed import join, probe
from training.studies.planar_curves import points

ARMS = ("class 0", "class 1")


def data_curves(x, y):
    """The data set as curves, {name: `Curve`}.

    A spline through the points of each class, and the ellipse of the principal components of all
    points, which crosses both classes.
    """
    arms = {name: curves.spline(x[y == label], name=name) for label, name in enumerate(ARMS)}
    return {**arms, "ellipse": curves.from_dataset(x, by="pca")}


def run(family, seeds, steps, count, progress):
    """Trains every seed of the three networks and probes them all, trained and untrained.

    Args:
        family: A key of `planar_curves.FAMILIES`.
        seeds: Number of seeds of each network.
        steps: Optimiser steps.
        count: Number of θ on each curve.
        progress: As `training.studies.progress.progress` yields it.

    Returns:
        A list of `planar.Result`, one a network, and a list of `Probed`.
    """
    x, y = points(family)
    through = data_curves(x, y)
    joined = join(through)
    results, probed = [], []
    for network in planar.NETWORKS:
        progress.describe(f"training {network.name}, {seeds} seeds")
        result = planar.train(
            network,
            np.repeat(x[:, None], seeds, axis=1),
            np.repeat(y[:, None], seeds, axis=1),
            steps,
            advance=progress.advance,
        )
        results.append(result)
        progress.describe(f"probing {network.name}")
        # One model for all seeds, so that it is compiled once.
        model = result.model(0)
        for seed in range(seeds):
            for weights in ("random", "trained"):
                facts = {"network": network.name, "weights": weights, "seed": seed}
                if weights == "trained":
                    model.set_weights(_of_seed(result, seed))
                    facts["accuracy"] = float(result.accuracy[seed])
                    facts["loss"] = float(result.loss[seed])
                else:
                    model.set_weights(_random(network, seed))
                probed.append(
                    probe(
                        model,
                        through,
                        count,
                        progress.advance,
                        joined=joined,
                        batch_size=1024,
                        **facts,
                    )
                )
    return results, probed


def work(seeds, steps, count):
    """Units that `run` tells its progress in."""
    of_each = planar.whole(steps) + 2 * seeds * count * (len(ARMS) + 1)
    return len(planar.NETWORKS) * of_each


def _of_seed(result, seed):
    return [part[seed] for layer in result.weights for part in layer]


def _random(network, seed):
    """Weights as training begins with, though not those of this seed's training."""
    rng = np.random.default_rng([network.depth, seed])
    layers = ((planar.STDDEV * rng.normal(size=(2, 2)), np.zeros(2)) for _ in range(network.depth))
    return [part.astype("float32") for layer in layers for part in layer]
