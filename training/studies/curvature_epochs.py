"""Curvature while the planar networks train, with recurrence and without."""

import csv

import keras
import numpy as np

from keras_recres.probes import CurvatureCallback, curves, measures
from training.studies import curvature_planar
from training.studies import planar_nets as planar
from training.studies.curvature_claims import KAPPA, RATE
from training.studies.curvature_plots import LABELS, STYLES, plain_numbers
from training.studies.curvature_probed import join
from training.studies.planar_curves import points

STRETCH, LOSS = "stretch", "loss"
COLUMNS = ("network", "seed", "steps", KAPPA, RATE, STRETCH, LOSS)
# Each seed is a training of its own here, and a compiled probe.
SEEDS = 5


def run(family, seeds, steps, count, progress):
    """Trains each network with each seed alone and probes it every hundred steps.

    Args:
        family: A key of `planar_curves.FAMILIES`.
        seeds: Number of seeds of each network.
        steps: Optimiser steps.
        count: Number of θ along the data's two curves.
        progress: As `training.studies.progress.progress` yields it.

    Returns:
        Rows of `COLUMNS`, dicts; the measures are those of the last block, medians over θ.
    """
    x, y = points(family)
    arms = curvature_planar.data_curves(x, y)
    through = join({name: arms[name] for name in curvature_planar.ARMS})
    # The networks take many seeds side by side; here one is alone.
    curve = curves.Curve(lambda theta: through(theta)[:, None], through.interval, (1, 2))
    rows = []
    for network in planar.NETWORKS:
        for seed in range(seeds):
            progress.describe(f"training {network.name}, seed {seed}")
            probe, losses = CurvatureCallback(curve, points=count, logs=False), [None]
            tell = keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs, losses=losses: losses.append(logs["loss"])
            )
            planar.train(
                *(network, x[:, None], y[:, None], steps),
                seed=seed,
                advance=progress.advance,
                callbacks=[probe, tell],
            )
            for epoch, record in probe.records.items():
                found = measures.stretch(record, curve)
                rows.append(
                    {
                        "network": network.name,
                        "seed": seed,
                        "steps": epoch * planar.REPEATS,
                        KAPPA: float(record.median[-1]),
                        RATE: float(np.median(found["turning_rate"][-1])),
                        STRETCH: float(found["stretch"][-1]),
                        LOSS: losses[epoch],
                    }
                )
    return rows


def work(seeds, steps):
    """Units that `run` tells its progress in."""
    return len(planar.NETWORKS) * seeds * planar.whole(steps)


def sentences(rows):
    """Whether curvature or stretch rises as the loss falls, within each training."""
    said = []
    for measure in (KAPPA, RATE, STRETCH):
        told = []
        for network in dict.fromkeys(row["network"] for row in rows):
            found = [
                measures.rank_correlation(
                    [row[measure] for row in some], [-row[LOSS] for row in some], interval="fisher"
                ).value
                for some in _trainings(rows, network)
            ]
            low, middle, high = np.quantile(found, (0, 0.5, 1))
            told.append(f"{network} {middle:.2f} ({low:.2f} to {high:.2f})")
        said.append(
            f"While a network trains, Spearman's ρ of the {measure} in its last block and of how "
            f"far the loss has fallen, median of the seeds (all of them): {', '.join(told)}."
        )
    return said


def _trainings(rows, network):
    """For each seed of a network its rows after the first one, which has no loss."""
    own = [row for row in rows if row["network"] == network and row[LOSS] is not None]
    return [[row for row in own if row["seed"] == seed] for seed in {row["seed"] for row in own}]


def draw(rows, path):
    """Each measure and the loss against the steps, a line a seed and their median."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 4), layout="constrained")
    panels = figure.subplots(1, 4)
    for axes, measure in zip(panels, (KAPPA, RATE, STRETCH, LOSS), strict=True):
        for network in dict.fromkeys(row["network"] for row in rows):
            label, marker, colour = STYLES[network]
            lines = []
            for some in _trainings(rows, network):
                steps, values = zip(*((row["steps"], row[measure]) for row in some), strict=True)
                axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
                lines.append(values)
            axes.plot(
                *(steps, np.median(lines, axis=0)),
                color=colour,
                marker=marker,
                markevery=max(1, len(steps) // 6),
                label=label,
            )
        axes.set(yscale="log", xlabel="optimiser steps", ylabel=LABELS.get(measure, measure))
        plain_numbers(axes.yaxis)
        axes.grid(alpha=0.3)
    panels[0].legend()
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=110)


def save(rows, path):
    """Writes the rows as CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
