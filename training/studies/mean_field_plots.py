"""Pictures of mean-field theory: against networks, and the planes of depth and σ_w."""

import numpy as np

from keras_recres.probes import mean_field
from training.studies import drawings

THEORY, MEASURED = drawings.BLUE, drawings.ORANGE
# So deep that correlations are near where they go, also where that takes a power of the depth.
DEEP = 1000
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


def shortcuts(results, path):
    """How far correlations are from those of deep networks, and gradients, by the depth.

    Args:
        results: As of `agreement`.
        path: Where to write, without ending.
    """
    with _figure(path, (11, 4), 1, 2) as (figure, (cosines, gradients)):
        for i, (name, (theory, measured)) in enumerate(results.items()):
            shown = np.unique(np.linspace(0, theory.depth, 18).astype(int))
            line = {"color": f"C{i}", "linestyle": "--" if theory.kind == "plain" else "-"}
            dots = {"color": f"C{i}", "linestyle": "", "marker": "o", "markersize": 3.5}
            gradients.plot(theory.layers, theory.chi_ratio, label=name, **line)
            gradients.plot(shown, measured.chi_ratio[shown], **dots)
            far = _deep(theory)
            cosines.plot(theory.layers, np.abs(theory.e - far), **line)
            cosines.plot(shown, np.abs(measured.e - far)[shown], **dots)
        label = f"cosine of two inputs, $|e_l - e_{{{DEEP}}}|$"
        cosines.set(yscale="log", ylabel=label, ylim=(1e-5, 2))
        gradients.set(yscale="log", ylabel=ROWS["chi_ratio"])
        for axis in (cosines, gradients):
            axis.set_xlabel("layer $l$")
            axis.grid(alpha=0.3)
        told = {"loc": "outside lower center", "ncols": 3, "frameon": False}
        figure.legend(*gradients.get_legend_handles_labels(), **told)


def _deep(theory):
    """The cosine after `DEEP` layers."""
    names = ("sigma_w_sq", "sigma_b_sq", "sigma_v_sq", "sigma_a_sq", "p0", "e0", "alpha")
    given = {name: getattr(theory, name) for name in names}
    return mean_field.predict(theory.kind, theory.activation, DEEP, **given).e[-1]


def phases(alpha, path):
    """The phase planes of the networks, with He and Xavier."""
    with _figure(path, (16, 8.4), 2, 3) as (_, axes):
        kinds = (("rrn", "tanh"), ("frn", "tanh"), ("plain", "tanh"))
        kinds += (("frn", "relu"), ("frn", "alpha_relu"), ("plain", "relu"))
        for axis, (kind, activation) in zip(axes.ravel(), kinds, strict=True):
            powers = activation == "alpha_relu"
            mean_field.phase(kind, activation, 400, alpha=alpha if powers else None).plot(axis)


def _figure(path, *size, **options):
    return drawings.figure(path, *size, endings=drawings.BOTH, dpi=150, **options)
