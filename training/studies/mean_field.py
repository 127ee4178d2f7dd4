"""Networks at initialisation against mean-field theory, and the phase planes of depth and σ_w.

The four networks of arXiv 1712.08969, (i) tanh RRN, (ii) tanh FRN, (iii) ReLU FRN, (iv) α-ReLU FRN,
with σ_w² = σ_v² = 1, σ_a² = σ_b² = ½, inputs of mean square 1 and cosine 0.3. Width 1,000, depth
50 and 64 networks of each, by default; α = 0.9, since for α ≤ ¾ the mean of φ′² over the neurons
of one network has an infinite variance, and its standard error means nothing.

Beside them two networks without shortcuts, x ← tanh(W x + b) with σ_b² = 0.05 (arXiv 1611.01232),
at σ_w² = 0.8 in the ordered and at 2.5 in the chaotic phase. `shortcuts.png` shows what shortcuts
are for: without them correlations and gradients are exponential in the depth, with them tanh has
e^√l and α-ReLU a power of l for the gradients, and correlations follow powers.
"""

import csv
import json
import sys

import numpy as np

from training.errors import UserError
from training.provenance import provenance
from training.studies import tables
from training.studies.measured import MeasuredStudy
from training.studies.study import LEAST

BIASES = {"sigma_b_sq": 0.5, "sigma_a_sq": 0.5}
NETWORKS = {
    "tanh RRN": ("rrn", "tanh", {"sigma_b_sq": 0.5}),
    "tanh FRN": ("frn", "tanh", BIASES),
    "ReLU FRN": ("frn", "relu", BIASES),
    "α-ReLU FRN": ("frn", "alpha_relu", BIASES),
    "plain tanh, ordered": ("plain", "tanh", {"sigma_w_sq": 0.8, "sigma_b_sq": 0.05}),
    "plain tanh, chaotic": ("plain", "tanh", {"sigma_w_sq": 2.5, "sigma_b_sq": 0.05}),
}
QUANTITIES = (
    "p", "q", "gamma", "lam", "e", "c", "s", "v_phi", "v_dphi", "chi_ratio", "chi", "chi_w",
    "chi_b", "chi_v", "chi_a",
)  # fmt: skip
E0 = 0.3


class MeanField(MeasuredStudy):
    examples = ("", "--width 2000 --draws 16", "--report")
    least = LEAST | {"width": 2, "depth": 1, "draws": 2, "seed": 0}

    def options(self, p):
        p.add_argument("--width", type=int, default=1000, help="default 1000")
        p.add_argument("--depth", type=int, default=50, help="default 50")
        p.add_argument("--draws", type=int, default=64, help="networks of each kind (default 64)")
        p.add_argument("--alpha", type=float, default=0.9, help="α of the α-ReLU (default 0.9)")
        told = "of the first kind, the others count on (default 0)"
        p.add_argument("--seed", type=int, default=0, help=told)

    def check(self, a):
        super().check(a)
        if not 0.5 < a.alpha <= 1:
            raise UserError(
                "--alpha must be in (0.5, 1], since the theory's gradient is infinite below, "
                f"found {a.alpha:g}."
            )

    def measure(self, a):
        # Matplotlib takes a second to import: after the arguments are known to be good.
        from training.console import progress_bar
        from training.studies import mean_field_plots

        results = {}
        with progress_bar("measuring networks", len(NETWORKS) * a.draws) as advance:
            for name in NETWORKS:
                if not sys.stderr.isatty():
                    print(f"{name}, {a.draws} networks", file=sys.stderr, flush=True)
                results[name] = compare(name, a, advance)
        show(results)
        save(results, a)
        mean_field_plots.agreement(results, a.out / "mean_field")
        mean_field_plots.shortcuts(results, a.out / "shortcuts")
        mean_field_plots.phases(a.alpha, a.out / "phases")
        names = ("mean_field.png", "shortcuts.png", "phases.png (and .svg)", "values.csv")
        names += ("summary.json",)
        self.written(a, *names)


def compare(name, a, advance=None):
    """Measures one of the networks.

    Args:
        name: A key of `NETWORKS`.
        a: The arguments of the command line.
        advance: As in `mean_field.measure`.

    Returns:
        The `Prediction` and the `Measurement`.
    """
    from keras_recres import layers, models
    from keras_recres.probes import mean_field

    kind, activation, variances = NETWORKS[name]
    powers = activation == "alpha_relu"

    def network():
        if kind == "plain":
            sizes = {"depth": a.depth, "width": a.width, "input_shape": (1,)}
            return models.mean_field_net(kind, activation, features_only=True, **sizes, **variances)
        phi = layers.AlphaReLU(a.alpha) if powers else activation
        layer = layers.RRN if kind == "rrn" else layers.FRN
        return [layer(a.width, phi, **variances) for _ in range(a.depth)]

    theory = mean_field.predict(
        kind, activation, a.depth, alpha=a.alpha if powers else None, e0=E0, **variances
    )
    # Not the same weights in two kinds: they would deviate from theory together.
    seed = a.seed + list(NETWORKS).index(name)
    measured = mean_field.measure(network, draws=a.draws, e0=E0, seed=seed, advance=advance)
    return theory, measured


def scores(theory, measured):
    """How many standard errors each quantity lies from theory: dict of str to (depth + 1,)."""
    return {
        quantity: measured.z_scores(theory, quantity)
        for quantity in QUANTITIES
        if getattr(theory, quantity) is not None
    }


def show(results):
    """Prints where theory and measurement are farthest apart."""
    title, lines = "Farthest from theory over the layers, in standard errors (and in %)", []
    for quantity in QUANTITIES:
        cells = [quantity]
        for theory, measured in results.values():
            if getattr(theory, quantity) is None:
                cells.append("")
                continue
            z = np.nanmax(np.abs(measured.z_scores(theory, quantity)))
            ratio = getattr(measured, quantity) / getattr(theory, quantity)
            cells.append(f"{z:.1f} ({100 * np.nanmax(np.abs(ratio - 1)):.1f} %)")
        lines.append(cells)
    tables.show(title, ("quantity", *results), lines, width=110)
    for name, result in results.items():
        z = np.abs(np.concatenate([v[~np.isnan(v)] for v in scores(*result).values()]))
        tables.console(110).print(
            f"{name}: {100 * (z <= 3).mean():.1f} % of {len(z)} values within 3 standard errors, "
            f"the farthest at {z.max():.1f}, their root mean square {np.sqrt((z**2).mean()):.2f}."
        )


def save(results, a):
    """Writes values.csv, a row a layer and quantity, and summary.json."""
    with open(a.out / "values.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["network", "layer", "quantity", "theory", "measured", "standard_error"])
        for name, (theory, measured) in results.items():
            for quantity in scores(theory, measured):
                columns = (
                    getattr(theory, quantity),
                    getattr(measured, quantity),
                    measured.standard_error(quantity),
                )
                for layer, row in enumerate(zip(*columns, strict=True)):
                    if not np.isnan(row[0]):
                        writer.writerow([name, layer, quantity, *(f"{value:.6g}" for value in row)])
    summary = {
        **{key: getattr(a, key) for key in ("width", "depth", "draws", "alpha", "seed")},
        **provenance(),
        "farthest_in_standard_errors": {
            name: {key: round(float(np.nanmax(np.abs(z))), 2) for key, z in scores(*both).items()}
            for name, both in results.items()
        },
    }
    (a.out / "summary.json").write_text(
        json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


STUDY = MeanField()
