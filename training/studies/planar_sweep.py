"""Where the planar experiment's ordering holds: a map over residual scales and curves."""

import csv

import numpy as np

from training.studies import planar_nets, planar_plots
from training.studies.planar_curves import FAMILIES, points
from training.studies.progress import progress

SCALES = (0.1, 0.2, 0.3, 0.5, 1.0)


def run(a):
    """Trains the three networks on every family at every scale, prints and draws the map.

    All families and seeds of one scale are one `fit()`.

    Args:
        a: The arguments of `python -m training.reproduce planar`.
    """
    families = list(FAMILIES)
    pairs = [points(family) for family in families for _ in range(a.seeds)]
    x = np.stack([pair[0] for pair in pairs], axis=1)
    y = np.stack([pair[1] for pair in pairs], axis=1)
    cells = {}
    with progress(len(SCALES) * len(planar_nets.NETWORKS) * a.steps) as shown:
        for scale in SCALES:
            results = []
            for network in planar_nets.NETWORKS:
                shown.describe(f"s = {scale:g}, {network.name}")
                results.append(
                    planar_nets.train(network, x, y, a.steps, scale, advance=shown.advance)
                )
            for i, family in enumerate(families):
                seeds = slice(i * a.seeds, (i + 1) * a.seeds)
                of_family = [result.select(seeds) for result in results]
                medians = [float(np.median(result.accuracy)) for result in of_family]
                losses = [float(np.median(result.loss)) for result in of_family]
                cells[family, scale] = planar_nets.ordering(of_family), medians, losses
    with open(a.out / "sweep.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        names = ("shallow", "recurrent", "deep")
        writer.writerow(
            ["curves", "scale", "ordering"]
            + [f"median_{kind}_{name}" for kind in ("accuracy", "loss") for name in names]
        )
        for (family, scale), (verdict, medians, losses) in cells.items():
            numbers = [f"{value:.4g}" for value in (*medians, *losses)]
            writer.writerow([family, scale, verdict, *numbers])
    drawn = {key: (verdict, medians) for key, (verdict, medians, _) in cells.items()}
    planar_plots.ordering_map(drawn, families, SCALES, a.out / "sweep")
    for verdict, text in (
        ("holds", "shallow < recurrent < deep holds"),
        ("saturated", "all three separate everything"),
        ("fails", "the ordering fails"),
    ):
        where = [
            f"{family} (s = {s:g})" for (family, s), cell in cells.items() if cell[0] == verdict
        ]
        print(f"{len(where)} of {len(cells)} settings: {text}: {', '.join(where) or 'none'}.")
