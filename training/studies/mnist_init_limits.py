"""How deep one can go: the suggested initialisation against He's and Glorot's."""

import csv
import math

import numpy as np

from keras_recres.probes import mean_field
from training.studies import tables
from training.studies.mnist_init_maps import RELU_RATE, TANH_RATE
from training.studies.mnist_init_nets import Run

DEPTHS = (10, 50, 200)
# Name, kind, activation, α, SGD's rate.
NETWORKS = (
    ("(i) tanh RRN", "rrn", "tanh", None, TANH_RATE),
    ("(ii) tanh FRN", "frn", "tanh", None, TANH_RATE),
    ("(iii) ReLU FRN", "frn", "relu", None, RELU_RATE),
    ("(iv) α-ReLU FRN, α = 0.75", "frn", "alpha_relu", 0.75, RELU_RATE),
)
# σ² of square matrices: He's variance is 2/fan-in, Glorot's 2/(fan-in + fan-out).
FIXED = {"He": 2.0, "Xavier": 1.0}
SUGGESTED = "suggested"
METHODS = (*FIXED, SUGGESTED)
# A network of ten classes has learnt something above twice chance.
LEARNT = 0.2


def initial(method, kind, activation, alpha, depth, rate, width):
    """The variances of a method, a dict of arguments of `Run`."""
    if method in FIXED:
        sigma_v_sq = FIXED[method] if kind == "frn" else 1.0
        return {"sigma_w_sq": FIXED[method], "sigma_v_sq": sigma_v_sq}
    if activation == "tanh":
        return mean_field.suggest(kind, activation, depth).arguments()
    # The best is just below numerical trouble, which SGD's rate decides.
    bounds = {"gradient_budget": math.inf, "learning_rate": rate, "width": width}
    return mean_field.suggest(kind, activation, depth, alpha=alpha, **bounds).arguments()


def grid(seeds, width):
    """{(network, method, depth): (list of `Run`, one a seed; learning rate)}."""
    return {
        (name, method, depth): (
            [
                Run(
                    kind, activation, depth, alpha=alpha, seed=seed,
                    **initial(method, kind, activation, alpha, depth, rate, width),
                )
                for seed in range(seeds)
            ],
            rate,
        )
        for name, kind, activation, alpha, rate in NETWORKS
        for method in METHODS
        for depth in DEPTHS
    }  # fmt: skip


def stacks(limits):
    """What is trained at once, shallow before deep: a list of (title, runs, learning rate)."""
    found = []
    for depth in DEPTHS:
        for name, *_, rate in NETWORKS:
            runs = [run for method in METHODS for run in limits[name, method, depth][0]]
            found.append((name, runs, rate))
    return found


def results(limits, cells):
    """What was measured.

    Returns:
        A list of dicts with `network`, `method`, `depth`, `sigma_w_sq`, `accuracies` (by seed, NaN
        after numerical trouble) and `learnt`, how many seeds have learnt.
    """
    found = []
    for (name, method, depth), (runs, rate) in limits.items():
        accuracies = [cells.get(run, rate) for run in runs]
        if None in accuracies:
            continue
        values = np.array(accuracies)
        found.append(
            {
                "network": name,
                "method": method,
                "depth": depth,
                "sigma_w_sq": runs[0].sigma_w_sq,
                "accuracies": values,
                "learnt": int((np.nan_to_num(values) > LEARNT).sum()),
            }
        )
    return found


def text(row):
    """Mean ± standard deviation in percent; NaNs are told."""
    values = 100 * row["accuracies"]
    fine = values[~np.isnan(values)]
    if len(fine) == 0:
        return "diverged"
    spread = f" ± {fine.std(ddof=1):.1f}" if len(fine) > 1 else ""
    lost = len(values) - len(fine)
    return f"{fine.mean():.1f}{spread}" + (f" ({lost} diverged)" if lost else "")


def sentences(rows):
    """Whether the suggestion trains where He or Xavier fails, one sentence a network."""
    of = {(row["network"], row["method"], row["depth"]): row for row in rows}
    said = []
    for name, *_ in NETWORKS:
        failed, trained, worse, ahead = [], [], [], []
        for depth in DEPTHS:
            cells = {method: of.get((name, method, depth)) for method in METHODS}
            if None in cells.values():
                continue
            seeds = len(cells[SUGGESTED]["accuracies"])
            means = {m: np.nan_to_num(cell["accuracies"]).mean() for m, cell in cells.items()}
            (trained if cells[SUGGESTED]["learnt"] == seeds else failed).append(depth)
            for m in FIXED:
                told = "diverged" if not means[m] else f"{100 * means[m]:.0f} %"
                told = f"{m} at {depth} ({told} against {100 * means[SUGGESTED]:.0f})"
                if cells[m]["learnt"] < seeds or means[m] < means[SUGGESTED] - 0.02:
                    worse.append(told)
                elif means[m] > means[SUGGESTED] + 0.02:
                    ahead.append(told)
        if not trained + failed:
            continue
        parts = [f"the suggestion trains at {_list(trained)} layers"] if trained else []
        parts += [f"it fails at {_list(failed)}"] if failed else []
        parts += [f"behind it by 2 points or more: {', '.join(worse) or 'neither He nor Xavier'}"]
        parts += [f"ahead of it: {', '.join(ahead)}"] if ahead else []
        said.append(f"{name}: {'; '.join(parts)}.")
    return said


def _list(numbers):
    return ", ".join(map(str, numbers))


def show(limits, cells, a):
    """Prints the table, writes limits.csv and limits.png and .svg into `a.out`."""
    from training.studies import mnist_init_plots

    rows = results(limits, cells)
    of = {(row["network"], row["method"], row["depth"]): row for row in rows}
    table = [
        [
            name,
            str(depth),
            *(text(of[key]) if (key := (name, m, depth)) in of else "pending" for m in METHODS),
            f"{limits[name, SUGGESTED, depth][0][0].sigma_w_sq:.3g}",
        ]
        for name, *_ in NETWORKS
        for depth in DEPTHS
    ]
    head = ["network", "layers", "He, %", "Xavier, %", "suggested, %", "suggested σ_w²"]
    tables.show(f"MNIST after {a.steps} SGD steps: test accuracy", head, table)
    tables.say(sentences(rows))
    with open(a.out / "limits.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "method", "depth", "sigma_w_sq", "accuracy_by_seed"])
        for row in rows:
            values = " ".join(f"{value:.4f}" for value in row["accuracies"])
            writer.writerow(
                [row["network"], row["method"], row["depth"], f"{row['sigma_w_sq']:.4g}", values]
            )
    if rows:
        mnist_init_plots.limits(rows, a.out / "limits")
