"""The two parts of the curvature experiment: measured, judged, printed, drawn."""

import dataclasses
import itertools

import numpy as np

from training.errors import UserError
from training.studies import curvature_claims as claims
from training.studies import (
    curvature_epochs,
    curvature_planar,
    curvature_plots,
    curvature_table,
    curvature_vit,
    curvature_zoo,
    planar_plots,
    progress,
    tables,
)
from training.studies.by_image import pending
from training.studies.planar_curves import points

CHAIN = ("planar_shallow", "planar_rec", "planar_deep")
ELLIPSE = ("ellipse",)
BY = (claims.KAPPA, claims.RATE)


def planar_part(a):
    """Figures 1 and 2 and their claims.

    Returns:
        What summary.json says of it, and the list of `Probed`.
    """
    with progress.progress(curvature_planar.work(a.seeds, a.steps, a.theta)) as shown:
        results, probed = curvature_planar.run(a.curves, a.seeds, a.steps, a.theta, shown)
    trained = [one for one in probed if one.weights == "trained"]
    arms = curvature_planar.ARMS
    curvature_table.networks(
        probed, arms, f"Planar networks along the curves of their data, {a.seeds} seeds"
    )
    found = {
        where: {measure: claims.orders(trained, CHAIN, names, measure) for measure in BY}
        for where, names in (("data", arms), ("ellipse", ELLIPSE))
    }
    correlated = {
        "data": claims.correlations(trained, arms),
        "ellipse": claims.correlations(trained, ELLIPSE),
    }
    curvature_table.correlations(correlated["data"], "κ and accuracy, along the data's curves")
    curvature_table.correlations(correlated["ellipse"], "κ and accuracy, on the ellipse")
    for where, by_measure in found.items():
        for measure, some in by_measure.items():
            curvature_table.orders(some, f"{where}, {measure}, last layer:")
    sentences = curvature_table.planar_verdict(found["data"], found["ellipse"], correlated["data"])
    sentences += curvature_table.growth(trained, arms)
    sentences += [s for by in BY for s in claims.ratios(trained, CHAIN, arms, by)]
    _say(sentences)
    x, y = points(a.curves)
    planar_plots.coordinates(results, x, y, a.out / "figure2")
    curvature_plots.planar(
        trained, arms, {by: correlated["data"][by]["all"] for by in BY}, a.out / "curvature_planar"
    )
    summary = {
        "curves": a.curves,
        "seeds": a.seeds,
        "networks": _medians(probed, arms),
        "networks_ellipse": _medians(probed, ELLIPSE),
        "orders": {
            where: {m: [dataclasses.asdict(o) | {"verdict": o.verdict} for o in some]
                    for m, some in by.items()}
            for where, by in found.items()
        },
        "correlations": {
            where: {m: {k: dataclasses.asdict(c) | {"verdict": c.verdict} for k, c in row.items()}
                    for m, row in by.items()}
            for where, by in correlated.items()
        },
        "verdict": sentences,
    }  # fmt: skip
    return summary, probed


def epochs_part(a):
    """The planar networks while they train; what summary.json says of it."""
    with progress.progress(curvature_epochs.work(a.seeds, a.steps)) as shown:
        rows = curvature_epochs.run(a.curves, a.seeds, a.steps, a.theta, shown)
    curvature_epochs.save(rows, a.out / "curvature_epochs.csv")
    curvature_epochs.draw(rows, a.out / "curvature_epochs")
    sentences = curvature_epochs.sentences(rows)
    _say(sentences)
    return {"curves": a.curves, "seeds": a.seeds, "steps": a.steps, "verdict": sentences}


def accuracy_part(a, pixels, labels):
    """All trained networks of the data set; what summary.json says of them."""
    names = curvature_zoo.names()
    if not names:
        raise UserError(
            f"no network of the zoo is trained on {curvature_vit.TAG} yet: "
            + pending([f"*.{curvature_vit.TAG}"])
        )
    count = len(names) * curvature_vit.curve_count(labels) * a.vit_theta
    with progress.progress(count) as shown:
        rows = curvature_zoo.run(pixels, labels, a.vit_theta, shown)
    found = curvature_zoo.correlations(rows)
    curvature_table.features(rows, f"Features of the networks that {curvature_vit.TAG} trained")
    sentences = curvature_zoo.sentences(found)
    _say(sentences)
    curvature_zoo.draw(rows, found, a.out / "curvature_accuracy")
    return {
        "images": len(labels),
        "networks": rows,
        "correlations": {m: dataclasses.asdict(one) for m, one in found.items()},
        "verdict": sentences,
    }


def images(a):
    """The images of the ViTs' part."""
    return curvature_vit.read_images(a.data_dir, a.images)


def vit_part(a, pixels, labels):
    """Figure 3, table 2 and their claims.

    Returns:
        What summary.json says of it, and the list of `Probed`.
    """
    trained_names = curvature_vit.trained_names()
    models = len(trained_names) + a.vit_seeds * len(curvature_vit.NAMES)
    with progress.progress(models * curvature_vit.curve_count(labels) * a.vit_theta) as shown:
        probed = curvature_vit.run(pixels, labels, a.vit_seeds, a.vit_theta, shown)
    names = tuple(probed[0].records)
    curvature_table.networks(
        probed,
        names,
        f"ViTs along {len(names)} curves through images of {curvature_vit.TAG} (paper: ImageNet)",
    )
    sentences = []
    for weights in ("trained", "random"):
        some = [one for one in probed if one.weights == weights]
        for chain in (("vit3", "vit3_rec", "vit7"), ("vit7", "vit7_rec")):
            sentences += _by_curve(some, chain, names, weights)
    sentences += curvature_table.growth([o for o in probed if o.weights == "trained"], names)
    known = [one for one in probed if one.accuracy is not None]
    if known:
        accuracies = ", ".join(f"{one.network} {100 * one.accuracy:.1f} %" for one in known)
        sentences.append(f"Accuracy on {curvature_vit.TAG}, beside this order: {accuracies}.")
    absent = [name for name in curvature_vit.NAMES if name not in trained_names]
    if absent:
        sentences.append(
            f"{', '.join(absent)}: no trained weights yet, so figure 3 and table 2 are only tested "
            "in part; with one training of each network no correlation with accuracy is computed. "
            + pending([f"{name}.{curvature_vit.TAG}" for name in absent])
        )
    _say(sentences)
    curvature_plots.vit(probed, names, a.out / "curvature_vit")
    summary = {
        "images": len(labels),
        "curves": names,
        "networks": _medians(probed, names),
        "by_curve": {
            name: {
                f"{one.network} {one.weights} {one.seed}": {
                    "kappa_median": claims.MEASURES[claims.KAPPA](one, [name]),
                    "turning_rate": claims.MEASURES[claims.RATE](one, [name]),
                }
                for one in probed
            }
            for name in names
        },
        "verdict": sentences,
    }
    return summary, probed


def _by_curve(probed, chain, names, weights):
    """Sentences: on how many of the curves neighbours in a chain are in the paper's order."""
    sentences = []
    there = [name for name in chain if any(one.network == name for one in probed)]
    for less, more in itertools.pairwise(there):
        for measure in BY:
            counts = 0
            for name in names:
                low, high = (
                    np.median(
                        [claims.MEASURES[measure](o, [name]) for o in probed if o.network == kind]
                    )
                    for kind in (less, more)
                )
                counts += bool(high > low)
            verdict = {0: "fails", len(names): "holds"}.get(counts, "is mixed")
            sentences.append(
                f"{weights} weights, {measure} in the last block: {more} > {less} {verdict}, on "
                f"{counts} of {len(names)} curves."
            )
    return sentences


def _medians(probed, names):
    """For each network and kind of weights the medians over its seeds."""
    found = {}
    for one in probed:
        found.setdefault(f"{one.network} {one.weights}", []).append(one)
    return {
        key: {
            "networks": len(some),
            "accuracy": None if some[0].accuracy is None else _median(o.accuracy for o in some),
            "kappa_median": _median(claims.MEASURES[claims.KAPPA](one, names) for one in some),
            "turning_rate": _median(claims.MEASURES[claims.RATE](one, names) for one in some),
            "stretch": _median(one.stretch(names) for one in some),
            "kappa_by_depth": _by_depth(one.kappa(names) for one in some),
            "turning_rate_by_depth": _by_depth(one.rate(names) for one in some),
        }
        for key, some in found.items()
    }


def _by_depth(some):
    return np.median([np.median(values, axis=1) for values in some], axis=0).tolist()


def _median(values):
    return float(np.median(list(values)))


def _say(sentences):
    tables.say([*sentences, ""])
