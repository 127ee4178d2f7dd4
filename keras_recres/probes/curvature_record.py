"""What the curvature probe measured: numbers by layer and θ, as a table, a picture, a CSV."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_recres.backend.types import Path, Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, repr=False)
class CurvatureRecord:
    """Curvature and speed of a curve's image in the outputs of a model's layers.

    Attributes:
        theta: θ, (n,).
        rows: For each row of the arrays (layer name, step), the step None where there is none.
        kappa: Curvature κ, (rows, n), in 1 / units of the layer's output.
        speed: |v| = |∂l/∂θ|, (rows, n), in units of the layer's output per unit of θ.
        kinks: How many kinks of piecewise linear functions the curve crossed up to each row,
            (rows,), or None where nobody counted.
        method: "forward", "tape" or "finite".
        backend: Keras' backend.
        dtype: Floating-point type of the computation.
        interval: (low, high), where the curve's θ runs, or None for θ's own first and last.
        closed: Whether the interval is one period of a closed curve.
    """

    theta: np.ndarray
    rows: list[tuple[str, int | None]]
    kappa: np.ndarray
    speed: np.ndarray
    kinks: np.ndarray | None = None
    method: str = ""
    backend: str = ""
    dtype: str = ""
    interval: tuple[float, float] | None = None
    closed: bool = False

    def __post_init__(self):
        shape = (len(self.rows), len(self.theta))
        for name in ("kappa", "speed"):
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(
                    f"`{name}` must have the shape (rows, theta) = {shape}, but it has the shape "
                    f"{np.shape(getattr(self, name))}."
                )
        if self.kinks is not None and np.shape(self.kinks) != shape[:1]:
            raise ValueError(f"`kinks` must have the shape {shape[:1]}, not {self.kinks!r}.")

    def __repr__(self) -> str:
        about = ", ".join(part for part in (self.method, self.backend, self.dtype) if part)
        ends = f", {self.names[0]} to {self.names[-1]}" if self.rows else ""
        return (
            f"<CurvatureRecord: {len(self.rows)} rows{ends}, {len(self.theta)} theta, {about}; "
            "its table is summary()>"
        )

    @property
    def names(self) -> list[str]:
        """The rows' names: "block0", or "block0[2]" for its step 2 (the third)."""
        return [name if step is None else f"{name}[{step}]" for name, step in self.rows]

    @property
    def arc_length(self) -> np.ndarray:
        """∫ |v| dθ over the interval, (rows,)."""
        return self._integral(self.speed)

    @property
    def total_curvature(self) -> np.ndarray:
        """∫ κ |v| dθ, (rows,): by how many radians the curve turns in all, whatever its scale."""
        return self._integral(self.kappa * self.speed)

    @property
    def median(self) -> np.ndarray:
        """Median of κ over θ, (rows,): unlike the mean it is not ruled by a few near-cusps."""
        return self.quantile(0.5)

    def quantile(self, q: float | Sequence[float]) -> np.ndarray:
        """Quantiles of κ over θ: (rows,) for one q in [0, 1], (len(q), rows) for several."""
        return np.quantile(self.kappa, q, axis=1)

    def table(self) -> Rows:
        """A dict for each row: names, quantiles of κ, median |v|, length, turning, kinks."""
        low, median, high = self.quantile((0.25, 0.5, 0.75))
        speed, length = np.median(self.speed, axis=1), self.arc_length
        turning = self.total_curvature
        return [
            {
                "layer": name,
                "step": step,
                "kappa_q25": float(low[i]),
                "kappa_median": float(median[i]),
                "kappa_q75": float(high[i]),
                "speed_median": float(speed[i]),
                "arc_length": float(length[i]),
                "total_curvature": float(turning[i]),
                "kinks": None if self.kinks is None else int(self.kinks[i]),
            }
            for i, (name, step) in enumerate(self.rows)
        ]

    def summary(self) -> str:
        """The table as text, a line a row."""
        heads = ("layer", "κ median", "quartiles", "|v| median", "length", "turns, rad", "kinks")
        lines = [heads]
        for name, row in zip(self.names, self.table(), strict=True):
            quartiles = f"{row['kappa_q25']:.3g} … {row['kappa_q75']:.3g}"
            numbers = [
                f"{row[key]:.3g}" for key in ("speed_median", "arc_length", "total_curvature")
            ]
            kinks = "-" if row["kinks"] is None else str(row["kinks"])
            lines.append((name, f"{row['kappa_median']:.3g}", quartiles, *numbers, kinks))
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        text = [
            "  ".join(
                [line[0].ljust(widths[0])]
                + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            )
            for line in lines
        ]
        text.insert(1, "-" * len(text[0]))
        about = ", ".join(part for part in (self.method, self.backend, self.dtype) if part)
        return "\n".join([f"Curvature over {len(self.theta)} θ ({about})", *text])

    def plot(
        self,
        path: Path | None = None,
        axis: Axes | None = None,
        label: str | None = None,
        color: str = "#0072B2",
    ) -> Axes:
        """Draws κ against depth: the median over θ, its quartiles, and 5 to 95 % fainter.

        Needs matplotlib. The scale is logarithmic where the medians span a factor over 30.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axis: Matplotlib axes to draw into, for several records in one picture; None makes
                new ones.
            label: The median's name in the legend.
            color: Any matplotlib colour.

        Returns:
            The matplotlib axes.
        """
        own = axis is None
        if own:
            from matplotlib.figure import Figure

            width = min(14.0, max(5.0, 2.5 + 0.42 * len(self.rows)))
            axis = Figure(figsize=(width, 4.2), layout="constrained").subplots()
        depth = np.arange(len(self.rows))
        faint, low, median, high, far = self.quantile((0.05, 0.25, 0.5, 0.75, 0.95))
        shade = {"color": color, "linewidth": 0}
        axis.fill_between(depth, faint, far, alpha=0.12, label="5 to 95 % of θ", **shade)
        axis.fill_between(depth, low, high, alpha=0.3, label="25 to 75 % of θ", **shade)
        axis.plot(depth, median, color=color, marker="o", markersize=4, label=label or "median")
        positive = median[median > 0]
        if len(positive) and positive.max() > 30 * positive.min():
            axis.set_yscale("log")
            # What is 0 has no place on it: the band ends at the bottom of the picture.
            axis.set_ylim(bottom=positive.min() / 10)
        else:
            axis.set_ylim(bottom=0)
        if own:
            axis.set_xticks(depth, self.names, rotation=45, ha="right", fontsize=8)
            axis.set(xlabel="layer, and recurrent step", ylabel="curvature κ, 1 / unit of output")
            axis.grid(alpha=0.3)
            axis.legend(frameon=False, fontsize=9)
        if path is not None:
            axis.figure.savefig(path, dpi=150)
        return axis

    def to_csv(self, path: Path) -> None:
        """Writes a line for every row and θ: layer, step, theta, curvature, speed."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["layer", "step", "theta", "curvature", "speed"])
            for i, (name, step) in enumerate(self.rows):
                columns = zip(self.theta, self.kappa[i], self.speed[i], strict=True)
                for theta, kappa, speed in columns:
                    numbers = (f"{float(value):.9g}" for value in (theta, kappa, speed))
                    writer.writerow([name, "" if step is None else step, *numbers])

    def _integral(self, values):
        """∫ values dθ: trapezoids, on to the interval's ends or around the period."""
        order = np.argsort(self.theta)
        theta, values = np.asarray(self.theta, "float64")[order], values[:, order]
        low, high = self.interval or (theta[0], theta[-1])
        if self.closed:
            around = theta[0] + high - low
            theta, values = np.append(theta, around), np.c_[values, values[:, 0]]
        else:
            theta = np.concatenate([[low], theta, [high]])
            values = np.c_[values[:, 0], values, values[:, -1]]
        return np.sum(np.diff(theta) * (values[:, 1:] + values[:, :-1]) / 2, axis=1)
