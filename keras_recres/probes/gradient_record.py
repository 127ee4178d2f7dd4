"""What `gradient_flow` measured, as numbers, a table and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_recres.backend.types import Path, Rows
from keras_recres.probes.table_file import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, repr=False)
class GradientFlowRecord:
    """Gradients at the steps of a recurrence, from the initial state h_0 to the last one h_T.

    Attributes:
        layer: Name of the layer.
        along: "time" or "depth".
        gradient: ‖∂L/∂h_t‖ of each example, (examples, T + 1).
        by_part: The same of each part of the state, such as h and c of an LSTM, (examples, parts,
            T + 1).
        jacobian: Spectral norm of ∂h_T/∂h_t, (examples, T + 1).
        factor: What one step multiplies a gradient by at most, ‖U‖γ, or None where no such bound is
            known.
        live: Whether a step is taken, bool (examples, T): masks and early exits leave some out.
    """

    layer: str
    along: str
    gradient: np.ndarray
    by_part: np.ndarray
    jacobian: np.ndarray
    factor: float | None
    live: np.ndarray

    def __repr__(self) -> str:
        first, last = np.median(self.jacobian[:, 0]), self.gradient.shape[1] - 1
        return (
            f"<GradientFlowRecord: {self.layer}, {last} steps in {self.along}, "
            f"‖∂h_{last}/∂h_0‖ {first:.3g}, {len(self.gradient)} examples>"
        )

    @property
    def bound(self) -> np.ndarray | None:
        """factor^(T−t), T−t the steps that are taken, (examples, T + 1); None without factor."""
        if self.factor is None:
            return None
        left = np.cumsum(self.live[:, ::-1], axis=1)[:, ::-1]
        return self.factor ** np.pad(left, ((0, 0), (0, 1))).astype(float)

    def table(self) -> Rows:
        """A dict for each step: medians over the examples of the gradient, its norm and bound."""
        columns = {"gradient": self.gradient, "jacobian": self.jacobian, "bound": self.bound}
        medians = {
            key: [None] * self.gradient.shape[1] if value is None else np.median(value, 0).tolist()
            for key, value in columns.items()
        }
        rows = zip(*medians.values(), strict=True)
        return [{"step": t, **dict(zip(medians, row, strict=True))} for t, row in enumerate(rows)]

    def to_csv(self, path: Path) -> None:
        """Writes the table, a line a step."""
        write_csv(path, self.table())

    def plot(
        self, path: Path | None = None, axes: Sequence[Axes] | None = None, label: str | None = None
    ) -> Sequence[Axes]:
        """Draws medians over the examples, and between which the middle half of them lies.

        Needs matplotlib. Several records fit into one picture: draw each into the same axes.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axes: Two matplotlib axes to draw into; None makes new ones.
            label: Name in the legend.

        Returns:
            The two axes.
        """
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(9, 3.6), layout="constrained").subplots(1, 2)
        steps = np.arange(self.gradient.shape[1])
        names = ("‖∂L/∂h$_t$‖", "‖∂h$_T$/∂h$_t$‖$_2$")
        for axis, name, values in zip(axes, names, (self.gradient, self.jacobian), strict=True):
            # A logarithm has no place for zeros.
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
            low, middle, high = (np.where(x > 0, x, np.nan) for x in (low, middle, high))
            (line,) = axis.plot(steps, middle, marker=".", label=label)
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
            axis.set(xlabel=f"step t in {self.along}", ylabel=name, yscale="log")
            axis.grid(alpha=0.3)
            axis.xaxis.get_major_locator().set_params(integer=True)
        if self.factor is not None:
            bound = np.median(self.bound, axis=0)
            told = f"bound, {self.factor:.3g}$^{{T−t}}$"
            axes[1].plot(steps, bound, "--", color=line.get_color(), label=told)
        if axes[1].get_legend_handles_labels()[0]:
            axes[1].legend(frameon=False)
        if path is not None:
            axes[0].figure.savefig(path, dpi=150)
        return axes
