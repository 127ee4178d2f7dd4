"""What `paths` measured: gradients by the length of paths and by depth, as tables, a picture."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_recres.backend.types import Path, Rows
from keras_recres.layers.checks import check_count
from keras_recres.probes.table_file import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def path_lengths(units: int) -> np.ndarray:
    """The share of the paths of each length among all paths of a residual network.

    Each of n units is passed through its branch or its shortcut: of the 2ⁿ paths C(n, k) pass k
    branches, Binomial(n, ½). Of the 54 units of ResNet-110 most paths pass 19 to 35 (0.98017 of
    them), and only 0.45 % the 5 to 17 that its gradient comes from (arXiv 1605.06431).

    Example:
    >>> round(float(probes.path_lengths(54)[5:18].sum()), 7)
    0.0045367

    Args:
        units: Integer n ≥ 1.

    Returns:
        Array (n + 1,), whose sum is 1.

    Raises:
        ValueError: If `units` is not an integer of at least 1.
    """
    check_count("units", units)
    return np.array([math.comb(units, k) / 2**units for k in range(units + 1)])


@dataclasses.dataclass(frozen=True, repr=False)
class PathsRecord:
    """The gradient of a residual network by the length of paths, and its parts by depth.

    Norms are Euclidean, means over the examples.

    Attributes:
        names: The n units, in the network's order, "stage1_unit[2]".
        lengths: The lengths measured, (m,).
        gradient: For each of them the norm of a path's gradient at the network's input (at that
            of the first unit where the network takes integers), the mean over the draws, (m,).
        whole: Norm of the network's gradient at the input of each unit and after the last one,
            (n + 1,), and so the next three.
        shortcut: Of what comes down through the shortcuts alone, λ to the number of units.
        branches: Of what has passed a branch at least: `whole`'s other summand.
        plain: Of what comes down through the branches alone, as in a network without shortcuts:
            the product of their derivatives.
        scale: λ, by which the shortcuts were multiplied.
        examples: How many examples the means are of.
    """

    names: tuple[str, ...]
    lengths: np.ndarray
    gradient: np.ndarray
    whole: np.ndarray
    shortcut: np.ndarray
    branches: np.ndarray
    plain: np.ndarray
    scale: float
    examples: int

    def __repr__(self) -> str:
        low, high = self.effective()
        return (
            f"<PathsRecord: {len(self.names)} units, λ = {self.scale:g}, 95 % of the gradient "
            f"through {low} to {high}; its tables are table() and depth_table()>"
        )

    @property
    def distribution(self) -> np.ndarray:
        """The share of all 2ⁿ paths that have each of the lengths, (m,)."""
        return path_lengths(len(self.names))[self.lengths]

    @property
    def contribution(self) -> np.ndarray:
        """`distribution` times `gradient`, as shares of the sum over the lengths, (m,)."""
        product = self.distribution * self.gradient
        return product / product.sum() if product.any() else product

    def effective(self, share: float = 0.95) -> tuple[int, int]:
        """The effective lengths: those between which a share of the contribution lies.

        Args:
            share: In (0, 1]; as much of the rest is left out below as above.

        Returns:
            (shortest, longest), of the lengths measured.
        """
        if not 0 < share <= 1:
            raise ValueError(f"`share` must be in (0, 1], but it is {share!r}.")
        order = np.argsort(self.lengths)
        lengths, below = self.lengths[order], np.cumsum(self.contribution[order])
        ends = np.searchsorted(below, ((1 - share) / 2 + 1e-12, (1 + share) / 2 - 1e-12))
        return tuple(int(lengths[min(end, len(lengths) - 1)]) for end in ends)

    def table(self) -> Rows:
        """A dict for each length: its share of the paths, gradient, share of the product."""
        columns = {
            "length": self.lengths,
            "paths": self.distribution,
            "gradient": self.gradient,
            "contribution": self.contribution,
        }
        return [
            dict(zip(columns, (row[0].item(), *map(float, row[1:])), strict=True))
            for row in zip(*columns.values(), strict=True)
        ]

    def depth_table(self) -> Rows:
        """A dict for each unit, and "end": norms at its input of the gradient and its parts."""
        kinds = "whole", "shortcut", "branches", "plain"
        return [
            {"unit": name, **{kind: float(getattr(self, kind)[i]) for kind in kinds}}
            for i, name in enumerate((*self.names, "end"))
        ]

    def to_csv(self, path: Path, depth: bool = False) -> None:
        """Writes the table, a line a length; or, with `depth`, the table by depth."""
        write_csv(path, self.depth_table() if depth else self.table())

    def plot(self, path: Path | None = None, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draws the distribution, the gradient by length, their product, the parts by depth.

        Needs matplotlib. The effective lengths are shaded.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axes: Four matplotlib axes to draw into; None makes new ones.

        Returns:
            The four axes.
        """
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(9, 6.5), layout="constrained").subplots(2, 2).ravel()
        by_length = (
            (self.distribution, "share of all paths"),
            (self.gradient, "norm of a path's gradient"),
            (self.contribution, "share of the gradient"),
        )
        low, high = self.effective()
        order = np.argsort(self.lengths)
        for axis, (values, label) in zip(axes, by_length, strict=False):
            axis.plot(self.lengths[order], values[order], marker="o", markersize=3)
            axis.axvspan(low - 0.5, high + 0.5, color="#E69F00", alpha=0.2, linewidth=0)
            axis.set(xlabel="length of the path, in units", ylabel=label)
        if (self.gradient > 0).any():
            axes[1].set_yscale("log")
        axes[2].set_title(f"95 % through {low} to {high} of {len(self.names)} units", fontsize=9)
        depth = np.arange(len(self.names) + 1)
        curves = (
            ("whole", "residual: the sum"),
            ("shortcut", f"its shortcut, λ = {self.scale:g}"),
            ("branches", "its branches"),
            ("plain", "plain: the product"),
        )
        for (kind, label), style in zip(curves, ("-", "--", ":", "-."), strict=True):
            axes[3].plot(depth, getattr(self, kind), style, label=label)
        axes[3].set(xlabel="input of unit", ylabel="norm of the gradient", yscale="log")
        axes[3].legend(frameon=False, fontsize=8)
        for axis in axes:
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.grid(alpha=0.3)
        if path is not None:
            axes[0].figure.savefig(path, dpi=150)
        return axes
