"""Curvature, stretch and accuracy of all networks of the zoo that a data set has trained."""

import numpy as np
from keras import ops

from keras_recres import zoo
from keras_recres.probes import measures
from training.studies import curvature_vit
from training.studies.curvature_claims import KAPPA, RATE
from training.studies.curvature_epochs import STRETCH
from training.studies.curvature_probed import join, probe

MEASURES = (KAPPA, RATE, STRETCH)
LABELS = {STRETCH: "stretch: length of the image / of the curve"}


def names(tag=curvature_vit.TAG):
    """Names with weights of the data set and a filed accuracy."""
    return [
        record.name
        for record in zoo.list(trained=True)
        if tag in record.trained_tags and curvature_vit.accuracy(record.name) is not None
    ]


def run(images, labels, count, progress):
    """Probes the features of every trained network along curves through the images.

    Args:
        images: uint8 images.
        labels: Their classes.
        count: Number of θ on each curve.
        progress: As `training.studies.progress.progress` yields it.

    Returns:
        A dict for each network: its name, accuracy in [0, 1], and of the last layer before the
        head the medians over all curves' θ of κ and of the turning rate, and the median stretch.
    """
    rows = []
    for name in names():
        progress.describe(f"probing {name}")
        model = zoo.load(name, curvature_vit.TAG, features_only=True)
        x = ops.convert_to_numpy(model.preprocess(images))
        curves = curvature_vit.image_curves(x, labels)
        one = probe(
            model,
            curves,
            count,
            progress.advance,
            layers=[model.layers[-1].name],
            joined=join(curves),
            network=name,
            weights="trained",
            seed=0,
        )
        stretches = one.stretches.values()
        rows.append(
            {
                "network": name,
                "accuracy": curvature_vit.accuracy(name),
                KAPPA: float(np.median([r.kappa[-1] for r in one.records.values()])),
                RATE: float(np.median([s["turning_rate"][-1] for s in stretches])),
                STRETCH: float(np.median([s["stretch"][-1] for s in stretches])),
            }
        )
    return rows


def correlations(rows):
    """{measure: its `Correlation` with accuracy over the networks}."""
    accuracy = [row["accuracy"] for row in rows]
    return {
        measure: measures.rank_correlation(
            [row[measure] for row in rows], accuracy, interval="fisher"
        )
        for measure in MEASURES
    }


def sentences(found):
    """One for each measure, from what `correlations` gives."""
    said = [
        f"{measure[0].upper()}{measure[1:]} of the features and accuracy over all trained networks "
        f"of {curvature_vit.TAG}: {one.verdict}, {one}."
        for measure, one in found.items()
    ]
    return [
        *said,
        "Where a network has ReLU, PReLU or max pooling it also bends at kinks, between "
        "which κ is measured.",
    ]


def draw(rows, found, path):
    """Accuracy against each measure, a point a network."""
    from matplotlib.figure import Figure

    from training.studies import curvature_plots

    figure = Figure(figsize=(15, 5), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 3, sharey=True), MEASURES, strict=True):
        for row in rows:
            x, y = row[measure], 100 * row["accuracy"]
            axes.plot(x, y, "o", color="#0072B2")
            axes.annotate(row["network"], (x, y), (4, 3), textcoords="offset points", fontsize=7)
        axes.set(
            xscale="log",
            xlabel=LABELS.get(measure) or curvature_plots.LABELS[measure],
            title=str(found[measure]),
        )
        axes.title.set_fontsize(9)
        axes.margins(x=0.3)  # For the names.
        curvature_plots.plain_numbers(axes.xaxis)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("accuracy, %")
    for ending in (".png", ".svg"):
        figure.savefig(path.with_suffix(ending), dpi=110)
