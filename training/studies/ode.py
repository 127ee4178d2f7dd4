"""Dynamical systems followed by recurrent networks: error against the number of units.

Van der Pol's oscillator, Duffing's under a force, once as two more numbers of the state and once
given from outside, and Lorenz' system. A layer of random tanh units and a linear one, fitted by
least squares to the vector field on a box, becomes a recurrent network (arXiv 1512.05702), which
runs from 20 starts. A network so follows finite pieces of trajectories, from a compact set of
starts, as closely as wanted: Funahashi and Nakamura (Neural Networks 6, 1993) for autonomous
systems, Chow and Li (IEEE TCAS-I 47, 2000) for driven ones. Neither proves more: the table tells
the field's error outside the box as well. Lorenz' trajectories are followed for 5 in time, since
they part from any neighbour.
"""

import csv

import numpy as np

from training.studies import drawings, ode_systems
from training.studies.effects import Cells
from training.studies.measured import MeasuredStudy
from training.studies.study import LEAST

HEADS = ("system", "units", "field, in the box", "in twice the box", "trajectories")
COLUMNS = ("system", "units", "seed", "field", "outside", "trajectory")


class Ode(MeasuredStudy):
    examples = ("", "--units 25 50 --seeds 1", "--report")
    least = LEAST

    def title(self, a):
        return "Dynamical systems and the networks that follow them"

    def options(self, p):
        units = [25, 50, 100, 200, 400]
        p.add_argument("--units", type=int, nargs="+", default=units, help="default 25 to 400")
        told = "of the units' weights and thresholds (default 3)"
        p.add_argument("--seeds", type=int, default=3, help=told)

    def measure(self, a):
        rows, pictures = [], {}
        for name, system in ode_systems.SYSTEMS.items():
            truth = system.follow(system.velocity)
            for units in a.units:
                for seed in range(a.seeds):
                    field = ode_systems.fit(system, units, seed)
                    path = system.follow(field)
                    found = {
                        "field": system.error(field, 1.0),
                        "outside": system.error(field, 2.0),
                        # Of what left for infinity the error is infinite.
                        "trajectory": float(np.nan_to_num(abs(path - truth).max(), nan=np.inf)),
                    }
                    rows.append({"system": name, "units": units, "seed": seed, **found})
                    pictures.setdefault(name, (truth, {}))[1].setdefault(units, path)
        with open(a.out / "ode.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        groups = {"Largest errors, the median of the seeds": lines(rows)}
        self.publish(a, HEADS, groups, [*claims(rows, a), ode_systems.as_residual(max(a.units))])
        draw(rows, pictures, a.out / "ode.png")
        self.written(a, "ode.md", "ode.csv", "ode.png")


def lines(rows):
    """The table's lines, one a system and number of units."""
    found = []
    for system, units in dict.fromkeys((row["system"], row["units"]) for row in rows):
        some = [row for row in rows if (row["system"], row["units"]) == (system, units)]
        errors = (f"{np.median([row[key] for row in some]):.1e}" for key in COLUMNS[3:])
        found.append((system, str(units), *errors))
    return found


def claims(rows, a):
    """Sentences on orders of magnitude, log10 of the trajectories' errors, with an interval."""
    few, many = min(a.units), max(a.units)
    for system in dict.fromkeys(row["system"] for row in rows):
        for key, what in (("trajectory", "trajectories"), ("field", "the field")):
            cells = Cells(
                {
                    units: {
                        row["seed"]: np.log10(max(row[key], 1e-16))
                        for row in rows
                        if row["system"] == system and row["units"] == units
                    }
                    for units in a.units
                }
            )
            gain = cells.difference(few, many)
            interval = "no interval of one seed"
            if gain.interval:
                interval = "95 % interval {:.1f} to {:.1f}".format(*gain.interval)
            yield (
                f"{system}, {what}: {many} units instead of {few} make the largest error smaller "
                f"by {gain.mean:.1f} powers of ten ({interval})."
            )


def draw(rows, pictures, path):
    """Errors against units, and a trajectory of each system beside its networks'."""
    names = list(pictures)
    with drawings.figure(path, (4.2 * len(names), 7.4), 2, len(names), squeeze=False) as (_, axes):
        for axis, below, name in zip(*axes, names, strict=True):
            some = [row for row in rows if row["system"] == name]
            for key, mark in (("field", "o"), ("outside", "x"), ("trajectory", "^")):
                axis.plot([r["units"] for r in some], [r[key] for r in some], mark, label=key)
            axis.set(title=name, xlabel="units", yscale="log")
            drawings.logarithmic(axis, sorted({r["units"] for r in some}))
            truth, found = pictures[name]
            below.plot(truth[:, 0, 0], truth[:, 0, 1], "k", linewidth=2, alpha=0.4, label="system")
            for units in (min(found), max(found)):
                # A network that leaves is not to shrink the picture.
                inside = np.where(abs(found[units]) < 3 * abs(truth).max(), found[units], np.nan)
                below.plot(inside[:, 0, 0], inside[:, 0, 1], "--", label=f"{units} units")
            below.set(xlabel="first number of the state", ylabel="second")
            for panel in (axis, below):
                panel.grid(alpha=0.3)
                panel.legend()
        axes[0][0].set_ylabel("largest error")


STUDY = Ode()
