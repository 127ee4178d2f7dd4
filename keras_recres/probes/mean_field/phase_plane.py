"""Depth against σ_w: where He's and Glorot's initialisations lie, which do not know the depth."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from keras_recres.backend.types import Activation, Data
from keras_recres.layers.checks import check_choice, check_positive
from keras_recres.probes.mean_field import arguments
from keras_recres.probes.mean_field.prediction import sizes
from keras_recres.probes.mean_field.suggestion import (
    GRADIENT_BUDGET,
    check_alpha,
    growth_of_gradients,
    largest_p,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# σ_w² = N Var W_ij for a square matrix: Glorot's 2/(fan-in + fan-out) is 1/N, He's 2/fan-in is 2/N.
MARKS = {"Xavier": 1.0, "He": 2.0}


@dataclasses.dataclass(frozen=True, eq=False)
class Phase:
    """Features' size and gradients' ratio over depth and σ_w.

    Attributes:
        kind: "frn", "rrn" or "plain".
        activation: φ.
        alpha: α of "alpha_relu", else None.
        sigma_w: Array (n,) of σ_w, not squared, ascending.
        sigma_v_sq: σ_v², or None where it is σ_w² throughout.
        log_p: Array (depth + 1, n) of ln p^(l), row l for a network of l layers.
        log_chi_ratio: Array (depth + 1, n) of ln χ₀/χ_l; for α ≤ ½, where that is
            infinite, ln p^(l)/p₀.
        gradient_budget: The largest sound |ln χ₀/χ_L|, inf for no bound.
        log_largest_p: ln of the largest safe p^(L).
        marks: dict of str to σ_w of known initialisations.
        critical: σ_w between the ordered phase of a plain network, where all inputs become alike
            and gradients vanish, and its chaotic one, where gradients explode; None with
            shortcuts. For tanh and ReLU without biases 1 and √2, for α-ReLU 0.
    """

    kind: str
    activation: object
    alpha: float | None
    sigma_w: np.ndarray
    sigma_v_sq: float | None
    log_p: np.ndarray
    log_chi_ratio: np.ndarray
    gradient_budget: float
    log_largest_p: float
    marks: dict
    critical: float | None = None

    @property
    def depths(self) -> np.ndarray:
        """0 … depth, the rows."""
        return np.arange(len(self.log_p))

    @property
    def sound(self) -> np.ndarray:
        """Whether both bounds are kept, boolean (depth + 1, n)."""
        return (self.log_p <= self.log_largest_p) & (
            np.abs(self.log_chi_ratio) <= self.gradient_budget
        )

    @property
    def deepest(self) -> np.ndarray:
        """For each σ_w the deepest sound network of this plane, integers (n,)."""
        return np.logical_and.accumulate(self.sound).sum(axis=0) - 1

    def deepest_of(self, mark: str) -> int:
        """The deepest sound network, up to the plane's depth, of "He" or "Xavier", an integer."""
        if mark not in self.marks:
            raise ValueError(
                f"`mark` must be one of {', '.join(map(repr, self.marks))}, but it is {mark!r}."
            )
        # The nearest column on the side of larger variance, so that no depth is promised.
        column = int(np.searchsorted(self.sigma_w, self.marks[mark] * (1 - 1e-12)))
        return int(self.deepest[column])

    def plot(self, axes: Axes | None = None) -> Figure:
        """Draws the plane: colour for what bounds it, a thick line for the bound.

        Args:
            axes: matplotlib axes, or None for a new figure.

        Returns:
            The matplotlib figure.
        """
        from matplotlib import pyplot as plt

        if axes is None:
            _, axes = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
        by_gradient = math.isfinite(self.gradient_budget)
        values = self.log_chi_ratio if by_gradient else self.log_p / math.log(10)
        bound = self.gradient_budget if by_gradient else self.log_largest_p / math.log(10)
        what = r"$\ln(\chi_0/\chi_L)$" if by_gradient else r"$\log_{10}\, p^{(L)}$"
        depths = self.depths[1:]
        # Far beyond the bound there is nothing to tell apart.
        most = max(min(np.abs(values).max(), 3 * bound), 1e-3)
        plane = (self.sigma_w, depths, values[1:])
        least, colour, shades = 0, "white", "cividis"
        if self.critical is not None:
            # Without shortcuts gradients vanish, too.
            least, colour, shades = -most, "black", "coolwarm"
        colours = axes.pcolormesh(
            *plane, cmap=shades, shading="nearest", vmin=least, vmax=most, rasterized=True
        )
        axes.figure.colorbar(colours, ax=axes, label=what, extend="both" if least else "max")
        bounds = [b for b in (-bound, bound) if values[1:].min() < b < values.max()]
        if bounds:
            axes.contour(*plane, bounds, colors=colour, linestyles="-", linewidths=3)
            told = f"{what} = {'±' if least else ''}{bound:.3g}"
            axes.plot([], [], color=colour, linewidth=3, label=told)
        if self.critical is not None and self.sigma_w[0] < self.critical < self.sigma_w[-1]:
            axes.axvline(self.critical, color=colour, label="ordered to the left, chaotic right")
        for (name, sigma), style in zip(self.marks.items(), ("--", ":"), strict=True):
            axes.axvline(sigma, color="#FF7F2A", linestyle=style, linewidth=2, label=name)
        axes.set(
            xscale="log", yscale="log", xlabel=r"$\sigma_w$", ylabel="depth L",
            xlim=self.sigma_w[[0, -1]], ylim=(1, depths[-1]),
        )  # fmt: skip
        name = self.activation if isinstance(self.activation, str) else "a callable"
        alpha = "" if self.alpha is None else f", α = {self.alpha:g}"
        v = ""
        if self.kind == "frn":
            v = r", $\sigma_v = \sigma_w$"
            if self.sigma_v_sq is not None:
                v = rf", $\sigma_v^2 = {self.sigma_v_sq:g}$"
        axes.set_title(f"{self.kind.upper()}, {name}{alpha}{v}", fontsize=11)
        axes.legend(loc="lower left", facecolor="#777777", labelcolor="white", framealpha=0.9)
        return axes.figure


def phase(
    kind: str,
    activation: Activation,
    depth: int = 200,
    *,
    sigma_w: Data = None,
    sigma_b_sq: float = 0.0,
    sigma_v_sq: float | None = None,
    sigma_a_sq: float = 0.0,
    p0: float = 1.0,
    alpha: float | None = None,
    gradient_budget: float = GRADIENT_BUDGET,
    dtype: str = "float32",
    width: int = 1024,
) -> Phase:
    """The plane of depth and σ_w, with what bounds it and with He and Xavier marked.

    For a square matrix Glorot's ("Xavier") initialisation is σ_w² = 1 and He's σ_w² = 2, at every
    depth: vertical lines in a plane whose bounds, those of `suggest`, lean.

    Example:
    >>> from keras_recres.probes import mean_field
    >>> plane = mean_field.phase("frn", "tanh", 200)
    >>> plane.deepest_of("Xavier"), plane.deepest_of("He")
    (6, 2)

    Args:
        kind: "frn", "rrn" or "plain".
        activation: "tanh", "relu", "alpha_relu" or a callable, as in `predict`.
        depth: Integer ≥ 1, the deepest network.
        sigma_w: Increasing array of σ_w > 0, at least 2, not squared; None is 121 from 0.05 to 4,
            with those of He and Xavier among them.
        sigma_b_sq: σ_b² ≥ 0.
        sigma_v_sq: σ_v² ≥ 0; None is σ_v = σ_w in an FRN, as with initialisers that treat all
            kernels alike.
        sigma_a_sq: σ_a² ≥ 0.
        p0: Mean square of the input's entries, > 0.
        alpha: α in (0, 1] of "alpha_relu".
        gradient_budget: As in `suggest`.
        dtype: As in `suggest`.
        width: As in `suggest`.

    Returns:
        A `Phase`.

    Raises:
        ValueError: For arguments out of their range.
    """
    check_choice("kind", kind, arguments.KINDS)
    arguments.check_depth(depth)
    moments = arguments.moments_of(activation, None if alpha is None else check_alpha(alpha))
    check_positive("gradient_budget", gradient_budget)
    if sigma_w is None:
        marks = np.sqrt(list(MARKS.values()))
        sigma_w = np.unique(np.concatenate([np.geomspace(0.05, 4, 119), marks]))
    sigma_w = np.asarray(sigma_w, dtype="float64")
    if sigma_w.ndim != 1 or len(sigma_w) < 2 or not (np.diff(sigma_w, prepend=0) > 0).all():
        raise ValueError(
            f"`sigma_w` must be an increasing array of at least 2 numbers above 0, but it is "
            f"{sigma_w!r}."
        )
    v = np.asarray(1.0)
    arguments.check_one_matrix(kind, moments, 1 if sigma_v_sq is None else sigma_v_sq, sigma_a_sq)
    if kind == "frn":
        v = sigma_w**2 if sigma_v_sq is None else arguments.variance("sigma_v_sq", sigma_v_sq)
    check_positive("p0", p0)
    given = {
        "sigma_w_sq": arguments.variance("sigma_w", sigma_w**2),
        "sigma_v_sq": v,
        "sigma_b_sq": arguments.variance("sigma_b_sq", sigma_b_sq),
        "sigma_a_sq": arguments.variance("sigma_a_sq", sigma_a_sq),
        "p0": np.asarray(p0, dtype="float64"),
    }
    found = sizes(kind, moments, depth, given)
    low, high = sigma_w[[0, -1]] * (1 - 1e-12, 1 + 1e-12)
    return Phase(
        kind,
        activation,
        alpha,
        sigma_w,
        sigma_v_sq,
        found["log_p"],
        growth_of_gradients(found, alpha, p0),
        gradient_budget,
        math.log(largest_p(dtype, width)),
        {name: math.sqrt(square) for name, square in MARKS.items() if low <= square**0.5 <= high},
        _critical(moments, given["sigma_b_sq"]) if kind == "plain" else None,
    )


def _critical(moments, sigma_b_sq):
    """The σ_w of a plain network whose gradient neither vanishes nor explodes.

    At a fixed point q of the lengths σ_w² = 1 / V φ′(q) and σ_b² = q − V φ(q) / V φ′(q), whose
    right side grows with q.
    """
    low, high = np.asarray(-60.0), np.asarray(60.0)
    for _ in range(80):
        log_q = (low + high) / 2
        rest = -np.expm1(moments.log_v(log_q) - moments.log_v_prime(log_q) - log_q)
        # Less is rounding, where φ is linear.
        rest = np.where(rest < 1e-9, 0.0, rest)
        low, high = (low, log_q) if np.exp(log_q) * rest >= sigma_b_sq else (log_q, high)
    return float(np.exp(-moments.log_v_prime(low) / 2))
