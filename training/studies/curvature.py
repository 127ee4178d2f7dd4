"""Curvature against depth and accuracy: what recurrence buys (figures 1 to 3, table 2).

The paper (Jiang, Cui and Wang, "Residual network with recurrent structures", section 2) sends a
curve through a network and measures the curvature κ of its image in every layer. It reports that
κ grows with depth, that deep > recurrent > shallow, and that κ and accuracy go together. Here the
planar networks are trained anew with every seed and probed along the curves of their own data;
the ViTs are probed along curves through real images, with the zoo's weights where there are any
and with random weights beside them. Over θ the median is taken: near-cusps rule a mean. Two parts
go further: --part epochs probes the planar networks every hundred steps while they train, --part
accuracy all networks of the zoo that CIFAR-10 has trained.
"""

import csv
import json
import time

import numpy as np

from training.errors import UserError, nearest
from training.provenance import provenance
from training.studies import planar_curves, planar_nets
from training.studies.measured import MeasuredStudy
from training.studies.study import LEAST

PARTS = ("planar", "vit", "both", "epochs", "accuracy")


class Curvature(MeasuredStudy):
    examples = (
        *("--part planar", "--data-dir data", "--part accuracy --data-dir data"),
        "--part planar --curves moons --seeds 40",
    )
    least = LEAST | {"steps": 1, "theta": 2, "images": 100, "vit-theta": 2, "vit-seeds": 1}

    def options(self, p):
        p.add_argument("--part", default="both", help=f"one of: {', '.join(PARTS)} (default both)")
        p.add_argument(
            "--seeds",
            type=int,
            help="seeds of each planar network (20; --part epochs trains them one by one: 5)",
        )
        steps, curves = planar_nets.STEPS, "; ".join(planar_curves.FAMILIES)
        p.add_argument("--steps", type=int, default=steps, help="optimiser steps, planar (3000)")
        p.add_argument("--curves", default="spiral", help=f"planar data: {curves}")
        p.add_argument("--theta", type=int, default=1000, help="points on a planar curve (1000)")
        p.add_argument("--data-dir", help="folder that holds cifar10/VERSION, or a packed .npz")
        p.add_argument("--images", type=int, default=1000, help="test images for the ViTs (1000)")
        p.add_argument("--vit-theta", type=int, default=32, help="points on an image curve (32)")
        p.add_argument("--vit-seeds", type=int, default=2, help="random weights of each ViT (2)")

    def check(self, a):
        if a.part not in PARTS:
            raise UserError(
                f"--part must be one of {', '.join(PARTS)}, found {a.part!r}."
                f"{nearest(a.part, PARTS)}"
            )
        planar_curves.check(a.curves)
        super().check(a)
        if a.seeds is None:
            a.seeds = 5 if a.part == "epochs" else 20
        # Four networks are the least that a rank correlation says anything about.
        if a.part != "epochs" and a.seeds < 4:
            raise UserError(f"--seeds must be at least 4, found {a.seeds}.")

    def measure(self, a):
        from training.studies import curvature_report

        begin, began = time.perf_counter(), time.time() - 1
        settings = {
            key: str(value)
            for key, value in vars(a).items()
            if key not in ("command", "report", "page")
        }
        summary, probed = {"settings": settings, **provenance()}, []
        # Absent images end the run before the planar networks have trained.
        data = curvature_report.images(a) if a.part not in ("planar", "epochs") else None
        if a.part in ("planar", "both"):
            summary["planar"], some = curvature_report.planar_part(a)
            probed += some
        if a.part in ("vit", "both"):
            summary["vit"], some = curvature_report.vit_part(a, *data)
            probed += some
        if a.part == "epochs":
            summary["epochs"] = curvature_report.epochs_part(a)
        if a.part == "accuracy":
            summary["accuracy"] = curvature_report.accuracy_part(a, *data)
        summary["seconds"] = round(time.perf_counter() - begin)
        (a.out / "summary.json").write_text(
            json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        if probed:
            save(probed, a.out / "curvature.csv")
        self.written(a, *sorted(p.name for p in a.out.iterdir() if p.stat().st_mtime >= began))


def save(probed, path):
    """Writes a line for each network, curve and layer or step."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = None
        for one in probed:
            for name, record in one.records.items():
                stretch = one.stretches[name]
                for i, row in enumerate(record.table()):
                    line = {
                        "network": one.network,
                        "weights": one.weights,
                        "seed": one.seed,
                        "accuracy": one.accuracy,
                        "loss": one.loss,
                        "curve": name,
                        **row,
                        "stretch": stretch["stretch"][i],
                        "added_turning": stretch["added_turning"][i],
                        "turning_rate_median": float(np.median(stretch["turning_rate"][i])),
                        "sqrt_metric_q05": stretch["spectrum"][0][i],
                        "sqrt_metric_q95": stretch["spectrum"][-1][i],
                    }
                    if writer is None:
                        writer = csv.DictWriter(file, list(line))
                        writer.writeheader()
                    writer.writerow(
                        {
                            key: f"{value:.6g}" if isinstance(value, float) else value
                            for key, value in line.items()
                        }
                    )


STUDY = Curvature()
