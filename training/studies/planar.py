"""The planar experiment: what running one layer many times buys (table 1 and figure 2).

Two-neuron residual networks x ← x + s · tanh(W x + b), a shallow, a recurrent and a deep one,
separate two curves in the plane (Jiang, Cui and Wang, "Residual network with recurrent
structures", section 2.3). The paper names neither the curves nor the optimiser. Here, by default:
two spiral arms of one turn, radius 0.75 to 5, 100 points each; s = 0.3; weights N(0, 0.7²), zero
biases; Adam 1e-2 for 3,000 full-batch steps; the last layer's two neurons are the logits.

All seeds train in one `fit()`, and no seed knows of another.
"""

import csv
import json

import numpy as np

from training.errors import UserError
from training.provenance import provenance
from training.studies import planar_curves, planar_nets, tables
from training.studies.measured import MeasuredStudy
from training.studies.planar_curves import FAMILIES, points
from training.studies.planar_nets import NETWORKS, SCALE, STEPS, ordering
from training.studies.progress import progress
from training.studies.study import LEAST

VERDICTS = {
    "holds": "The paper's ordering holds here: shallow < recurrent < deep, by the medians.",
    "saturated": "All three networks separate the curves: there is nothing to order here.",
    "fails": "The paper's ordering does not hold here.",
}
HEADS = ("network", "parameters", "paper", "best", "median", "mean ± sd")


class Planar(MeasuredStudy):
    examples = ("", "--curves moons --seeds 5", "--sweep", "--report")
    least = LEAST | {"steps": 1}

    def options(self, p):
        p.add_argument("--seeds", type=int, default=20, help="of each network (default 20)")
        told = f"optimiser steps (default {STEPS})"
        p.add_argument("--steps", type=int, default=STEPS, help=told)
        told = f"residual scale (default {SCALE})"
        p.add_argument("--scale", type=float, default=SCALE, help=told)
        p.add_argument("--curves", default="spiral", help=f"one of: {'; '.join(FAMILIES)}")
        told = "map scales and curves on which the ordering holds"
        p.add_argument("--sweep", action="store_true", help=told)
        told = "file the median seeds in the zoo's folder"
        p.add_argument("--zoo", action="store_true", help=told)

    def check(self, a):
        planar_curves.check(a.curves)
        super().check(a)
        if not 0 < a.scale < float("inf"):
            raise UserError(f"--scale must be above 0, found {a.scale}.")
        default = (a.curves, a.scale, a.steps) == ("spiral", SCALE, STEPS)
        if a.zoo and not default:
            raise UserError(
                "--zoo files the default setting: leave out --curves, --scale and --steps."
            )

    def measure(self, a):
        # Matplotlib takes a second to import: after the arguments are known to be good.
        from training.studies import planar_plots, planar_sweep

        if a.sweep:
            planar_sweep.run(a)
            self.written(a, "sweep.png", "sweep.svg", "sweep.csv")
            return
        x, y = points(a.curves)
        many = np.repeat(x[:, None], a.seeds, axis=1), np.repeat(y[:, None], a.seeds, axis=1)
        results = []
        with progress(len(NETWORKS) * a.steps) as shown:
            for network in NETWORKS:
                shown.describe(f"{network.name}, {a.seeds} seeds")
                results.append(
                    planar_nets.train(network, *many, a.steps, a.scale, advance=shown.advance)
                )
        lines = [_line(result) for result in results]
        tables.show("Planar experiment, table 1: loss / accuracy", HEADS, lines, width=110)
        seeds = f"{a.seeds} seed{'s' if a.seeds > 1 else ''}"
        tables.say([f"{VERDICTS[ordering(results)]} {seeds}, none left out; sd over seeds."])
        save(results, a)
        planar_plots.coordinates(results, x, y, a.out / "figure2")
        planar_plots.regions(results, x, y, a.out / "regions")
        if a.zoo:
            from training.studies import planar_zoo

            planar_zoo.file(results, x, a.steps)
        self.written(a, "figure2.png", "regions.png (and .svg)", "seeds.csv", "summary.json")


def _line(result):
    network, loss, accuracy = result.network, result.loss, 100 * result.accuracy
    return (
        network.name,
        str(network.parameters),
        f"{network.printed_loss:.2f} / {100 * network.printed_accuracy:.0f} %",
        f"{loss.min():.2f} / {accuracy.max():.1f} %",
        f"{np.median(loss):.2f} / {np.median(accuracy):.1f} %",
        f"{loss.mean():.2f} ± {loss.std():.2f} / {accuracy.mean():.1f} ± {accuracy.std():.1f} %",
    )


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


STUDY = Planar()
