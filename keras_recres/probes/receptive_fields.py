"""What `receptive_field` found: one layer's field, and those of a network as a table, a picture."""

from __future__ import annotations

import collections.abc
import dataclasses
from typing import TYPE_CHECKING, overload

import numpy as np

from keras_recres.backend.types import Path, Rows
from keras_recres.probes.table_file import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """The part of the input that each unit of a layer sees.

    Attributes:
        layer: Path of the layer.
        size: Cells on each spatial axis, padding included.
        stride: By how many cells it moves from one unit to the next; 0 where all units see the
            same.
        offset: Where that of unit 0 begins; below 0 lies padding.
        effective: Cells of the shortest window on each axis with 95.45 % of the gradient, 0 where
            there is no gradient; None where nobody measured.
        gradient: Mean absolute gradient of the unit in the middle by the input, of the input's
            spatial axes, or None.
    """

    layer: str
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: tuple[int, ...]
    effective: tuple[int, ...] | None = None
    gradient: np.ndarray | None = dataclasses.field(default=None, repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class ReceptiveFields(collections.abc.Sequence[ReceptiveField]):
    """The fields of the layers that see more than what they are given, in a network's order.

    Attributes:
        rows: A `ReceptiveField` each.
        sides: The input's sides.
        unknown: (layer, reason) of the first layer without a rule, behind which no field is told;
            None where all are.
    """

    rows: tuple[ReceptiveField, ...]
    sides: tuple[int, ...]
    unknown: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> ReceptiveField: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[ReceptiveField, ...]: ...

    def __getitem__(self, index: int | slice) -> ReceptiveField | tuple[ReceptiveField, ...]:
        return self.rows[index]

    def table(self) -> Rows:
        """A dict for each layer: layer, size, stride, offset, effective, tuples of its axes."""
        keys = "layer", "size", "stride", "offset", "effective"
        return [{key: getattr(row, key) for key in keys} for row in self.rows]

    def to_csv(self, path: Path) -> None:
        """Writes the table, a line a layer; numbers of several axes have an x between."""

        def text(value):
            return "x".join(map(str, value)) if isinstance(value, tuple) else value

        write_csv(path, [{k: text(v) for k, v in row.items()} for row in self.table()])

    def plot(self, path: Path | None = None, axis: Axes | None = None) -> Axes:
        """Draws the size of the fields against depth, beside the input's, on the first axis.

        Needs matplotlib.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axis: Matplotlib axes to draw into; None makes new ones.

        Returns:
            The matplotlib axes.
        """
        if axis is None:
            from matplotlib.figure import Figure

            width = min(16.0, max(5.0, 2.5 + 0.25 * len(self.rows)))
            axis = Figure(figsize=(width, 4.2), layout="constrained").subplots()
        depth = np.arange(len(self.rows))
        axis.plot(depth, [row.size[0] for row in self.rows], marker="o", markersize=4, label="size")
        measured = [(i, r.effective[0]) for i, r in enumerate(self.rows) if r.effective]
        if measured:
            label = "effective, 95 % of the gradient"
            axis.plot(*zip(*measured, strict=True), marker=".", linestyle="--", label=label)
        if self.sides[0] is not None:
            axis.axhline(self.sides[0], color="gray", linestyle=":", label="side of the input")
        names = [row.layer for row in self.rows]
        axis.set_xticks(depth, names, rotation=90, fontsize="x-small")
        axis.set(ylabel="receptive field, cells of the input")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
        if path is not None:
            axis.figure.savefig(path, dpi=150)
        return axis
