"""Pictures of mean-field theory: against networks, and the planes of depth and σ_w."""

import numpy as np

from keras_recres.probes import mean_field
from training.studies import drawings

THEORY, MEASURED = drawings.BLUE, drawings.ORANGE
ROWS = {
    "p": "length $p$",
    "e": "cosine $e$ of two inputs",
    "chi_ratio": r"gradient $\chi_0/\chi_l$",
}


def agreement(results, path):
    """Theory as lines, networks as points with three standard errors, over the layers.

    Args:
        results: dict of str to (`Prediction`, `Measurement`).
        path: Where to write, without ending.
    """
    grid, size = (len(ROWS), len(results)), (3.2 * len(results), 7.6)
    with _figure(path, size, *grid, sharex=True, squeeze=False) as (figure, axes):
        for column, (name, (theory, measured)) in enumerate(results.items()):
            shown = np.unique(np.linspace(0, theory.depth, 18).astype(int))
            for row, (quantity, label) in enumerate(ROWS.items()):
                axis = axes[row, column]
                axis.plot(theory.layers, getattr(theory, quantity), color=THEORY, label="theory")
                axis.errorbar(
                    shown, getattr(measured, quantity)[shown],
                    yerr=3 * measured.standard_error(quantity)[shown], color=MEASURED, fmt="o",
                    markersize=3.5, linewidth=1, capsize=2,
                    label=f"{measured.draws} networks of width {measured.width:,}, ± 3 standard "
                    "errors",
                )  # fmt: skip
                if quantity == "chi_ratio" or (quantity == "p" and theory.p[-1] > 1e3):
                    axis.set_yscale("log")
                if column == 0:
                    axis.set_ylabel(label)
            axes[0, column].set_title(name)
            axes[-1, column].set_xlabel("layer $l$")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def phases(alpha, path):
    """The phase planes of the four networks, with He and Xavier."""
    with _figure(path, (11, 8.4), 2, 2) as (_, axes):
        kinds = (("rrn", "tanh"), ("frn", "tanh"), ("frn", "relu"), ("frn", "alpha_relu"))
        for axis, (kind, activation) in zip(axes.ravel(), kinds, strict=True):
            powers = activation == "alpha_relu"
            mean_field.phase(kind, activation, 400, alpha=alpha if powers else None).plot(axis)


def _figure(path, *size, **options):
    return drawings.figure(path, *size, endings=drawings.BOTH, dpi=150, **options)
