"""Tables, sentences and files of the maps of `mnist_init`."""

import dataclasses
import json
import sys

import numpy as np

from training.files import write_aside
from training.provenance import provenance
from training.studies import tables
from training.studies.mnist_init_maps import (
    DEPTHS,
    Map,
    below_trouble,
    best_values,
    beyond_best,
    correlation,
    exponent,
)


@dataclasses.dataclass(frozen=True)
class Grid:
    """A map with its seeds."""

    map: Map
    seeds: int

    def stacks(self):
        """What is trained at once, a list of (title, runs, learning rate)."""
        return [
            (
                self.map.title,
                [run for row in self.runs(depth) for run in row],
                self.map.learning_rate,
            )
            for depth in DEPTHS
        ]

    def runs(self, depth):
        """The runs of a depth, by value and seed."""
        return [
            [self.map.run(value, depth, seed) for seed in range(self.seeds)]
            for value in self.map.values
        ]

    def finished_depths(self, cells):
        """The depths of which every run was trained."""
        rate = self.map.learning_rate
        return [
            depth
            for depth in DEPTHS
            if all(cells.get(run, rate) is not None for row in self.runs(depth) for run in row)
        ]

    def accuracy(self, cells):
        """(depths, values) mean accuracy and number of seeds in trouble, and the depths."""
        depths = self.finished_depths(cells)
        tables = [cells.table(self.runs(depth), self.map.learning_rate) for depth in depths]
        if not tables:
            return None, None, []
        means, trouble = (np.stack(part) for part in zip(*tables, strict=True))
        return means, trouble, depths


def grids(maps, seeds):
    """A `Grid` for every map."""
    return [Grid(m, seeds) for m in maps]


def sentences(grid, means, trouble, depths):
    """What a map says of the theory, a list of str; also a dict of the numbers."""
    m = grid.map
    # A cell with one seed in trouble is in trouble.
    clean = np.where(trouble > 0, np.nan, means)
    best = best_values(clean)
    total, within = correlation(m, clean, depths)
    sign = "−" if m.predictor == "chi_ratio" else ""
    numbers = {
        "spearman": total.value,
        "spearman_interval": [total.low, total.high],
        "spearman_within_depth": within,
        "best": {str(d): m.values[i] for d, i in zip(depths, best, strict=True) if i >= 0},
    }
    said = [
        f"{m.title}: rank correlation of accuracy with {sign}{m.symbol}: {total.value:+.2f} over "
        f"all cells ({total.low:+.2f} to {total.high:+.2f}, 95 %), {within:+.2f} on average within "
        "a depth."
    ]
    if (best < 0).any():
        return said, numbers
    if m.name in ("rrn_tanh", "frn_tanh") and len(depths) > 2:
        slope, error = exponent(m.values, depths, best)
        numbers["exponent"], numbers["exponent_error"] = slope, error
        beyond = beyond_best(m, clean, depths)
        numbers["spearman_beyond_best"] = beyond.value
        numbers["spearman_beyond_best_interval"] = [beyond.low, beyond.high]
        at_best = [m.predicted(depth)[i] for depth, i in zip(depths, best, strict=True)]
        numbers["predictor_at_best"] = [float(value) for value in at_best]
        said.append(
            f"The best σ_w falls as L^({slope:+.2f} ± {error:.2f}) (theory: σ_w√L decides, −0.50); "
            f"{m.symbol} at the best is {min(at_best):.1f} to {max(at_best):.1f}. From each "
            f"depth's best on the rank correlation with −{m.symbol} is {beyond.value:+.2f} "
            f"({beyond.low:+.2f} to {beyond.high:+.2f})."
        )
    if m.name in ("frn_relu", "frn_alpha_relu"):
        steps = below_trouble(clean)
        numbers["columns_below_trouble"] = steps
        said.append(
            f"Of {len(steps)} depths with numerical trouble at large {m.axis}, the best value is "
            f"the last one below it at {steps.count(0)}, the last but one at {steps.count(1)}."
        )
    if m.name == "frn_tanh_rho":
        deepest = [int(np.nanargmax(column)) for column in clean.T]
        chosen = [depths[i] for i in deepest]
        numbers["best_depth_by_rho"] = chosen
        gain = float(np.nanmean(clean[:, -1] - clean[:, 0]))
        numbers["gain_of_largest_rho"] = gain
        said.append(
            f"The best depth for ρ² = {', '.join(f'{v:g}' for v in m.values)} is "
            f"{', '.join(map(str, chosen))} (theory: the same for all); ρ² = {m.values[-1]:g} "
            f"gains {100 * gain:+.1f} points over ρ² = 0, the mean over depths."
        )
    return said, numbers


def maps(grids, cells, a):
    """Prints what the maps say; writes maps.json, maps.png and .svg into `a.out`."""
    from training.studies import mnist_init_plots

    drawn, summary = [], {"steps": a.steps, "width": a.width, **provenance(), "maps": {}}
    for grid in grids:
        means, trouble, depths = grid.accuracy(cells)
        if not depths:
            continue
        head = [f"{grid.map.axis} →", *(f"{value:g}" for value in grid.map.values)]
        rows = [
            [f"L = {d}", *(_cell(*cell) for cell in zip(mean, bad, strict=True))]
            for d, mean, bad in zip(depths, means, trouble, strict=True)
        ]
        tables.show(
            f"{grid.map.title}: test accuracy, %, {grid.seeds} seeds; × = diverged", head, rows
        )
        said, numbers = sentences(grid, means, trouble, depths)
        tables.say(said)
        summary["maps"][grid.map.name] = numbers
        drawn.append((grid.map, means, trouble, depths))
    write_aside(a.out / "maps.json", json.dumps(summary, indent=2) + "\n")
    if drawn:
        mnist_init_plots.maps(drawn, a.out / "maps")
        print(f"Written to {a.out}: maps.json, maps.png (and .svg).", file=sys.stderr)


def _cell(mean, bad):
    return "×" if np.isnan(mean) else f"{100 * mean:.1f}" + ("*" if bad else "")
