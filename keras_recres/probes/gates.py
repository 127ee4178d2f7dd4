"""gates: what the gates of a recurrent cell let pass, step by step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from keras_recres.backend import probe
from keras_recres.backend.types import Data, Path, Rows
from keras_recres.layers.checks import a_kind
from keras_recres.probes.gradient_flow import spectral_norm
from keras_recres.probes.recurrence import Recurrence
from keras_recres.probes.table_file import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The gates in the order in which cells compute them, by their number, and which of them multiplies
# the part of the state that is a memory.
KINDS = {3: (("input", "forget", "output"), "forget", 1), 2: (("update", "reset"), "update", 0)}


@dataclasses.dataclass(frozen=True, repr=False)
class GatesRecord:
    """Gates of a recurrent layer, and the path through its memory alone.

    Attributes:
        layer: Name of the layer.
        values: {gate: its values in [0, 1], (examples, T, units)}, in the order of the steps; NaN
            where a mask leaves a step out.
        forget: Name of the gate that multiplies the memory.
        product: ∏ f_k over the steps k after t, (examples, T + 1, units).
        all_paths: Spectral norm of ∂c_T/∂c_t, (examples, T + 1), which gates see as well.
    """

    layer: str
    values: dict[str, np.ndarray]
    forget: str
    product: np.ndarray
    all_paths: np.ndarray

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {np.nanmean(value):.3g}" for name, value in self.values.items())
        return f"<GatesRecord: {self.layer}, {self.product.shape[1] - 1} steps, means {means}>"

    @property
    def carousel(self) -> np.ndarray:
        """Spectral norm of ∂c_T/∂c_t through c alone, the largest product, (examples, T + 1)."""
        return self.product.max(-1)

    def table(self) -> Rows:
        """A dict for each step: mean gates, mean product, medians of both norms; none at t = 0."""
        medians = [np.median(value, axis=0) for value in (self.carousel, self.all_paths)]
        with np.testing.suppress_warnings() as quiet:
            quiet.filter(RuntimeWarning)
            means = {name: np.nanmean(value, axis=(0, 2)) for name, value in self.values.items()}
        rows = []
        for t, product in enumerate(self.product.mean(axis=(0, 2))):
            row = {
                "step": t,
                **{name: float(mean[t - 1]) if t else None for name, mean in means.items()},
            }
            rows.append({**row, "product": float(product)})
            rows[-1].update(
                zip(("carousel", "all_paths"), (float(m[t]) for m in medians), strict=True)
            )
        return rows

    def to_csv(self, path: Path) -> None:
        """Writes the table, a line a step."""
        write_csv(path, self.table())

    def plot(self, path: Path | None = None, axes: Sequence[Axes] | None = None) -> Sequence[Axes]:
        """Draws mean gates with the middle half of their values, and the two norms.

        Needs matplotlib.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axes: Two matplotlib axes to draw into; None makes new ones.

        Returns:
            The two axes.
        """
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(9, 3.6), layout="constrained").subplots(1, 2)
        steps = np.arange(self.product.shape[1])
        for name, values in self.values.items():
            low, high = np.nanquantile(values, [0.25, 0.75], axis=(0, 2))
            (line,) = axes[0].plot(steps[1:], np.nanmean(values, axis=(0, 2)), label=name)
            axes[0].fill_between(
                steps[1:], low, high, color=line.get_color(), alpha=0.15, linewidth=0
            )
        axes[0].set(ylabel="gate, mean and middle half", ylim=(0, 1))
        for name, values in {
            "through the memory alone": self.carousel,
            "all paths": self.all_paths,
        }.items():
            values = np.median(values, axis=0)
            axes[1].plot(steps, np.where(values > 0, values, np.nan), marker=".", label=name)
        axes[1].set(ylabel="‖∂c$_T$/∂c$_t$‖$_2$", yscale="log")
        for axis in axes:
            axis.set_xlabel("step t")
            axis.grid(alpha=0.3)
            axis.legend(frameon=False)
            axis.xaxis.get_major_locator().set_params(integer=True)
        if path is not None:
            axes[0].figure.savefig(path, dpi=150)
        return axes


def gates(
    model: keras.Model, x: Data, *, layer: str | keras.layers.Layer | None = None
) -> GatesRecord:
    """The gates of a recurrent layer: their values, and how far its memory carries an error.

    c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t: through c alone ∂c_T/∂c_t is diag(∏ f_k), k from t + 1 to T,
    the constant error carousel of Hochreiter and Schmidhuber (Neural Computation 9:8, 1997), whose
    forget gate is 1; all paths are those through the gates, too, which see h_{t−1} and, with
    peepholes, c. A GRU's memory is h and its forget gate z, in Keras' form
    h_t = z ⊙ h_{t−1} + (1 − z) ⊙ g.

    Example:
    >>> model = keras.Sequential([keras.Input((20, 8)), keras.layers.LSTM(16)])
    >>> record = gates(model, np.zeros((2, 20, 8)))
    >>> record.values["forget"].shape, record.carousel.shape
    ((2, 20, 16), (2, 21))
    >>> record.plot("gates.png")

    Args:
        model: A built model, which computes as at inference.
        x: Array of examples as the model takes them, some tens; or a list for several inputs.
        layer: The layer, or its name; None for the first recurrent one that is called.

    Returns:
        A `GatesRecord`.

    Raises:
        ValueError: If there is no such layer, or its cell is not an LSTM or GRU: one with input,
            forget and output gates, or with update and reset gates, by `recurrent_activation`.
    """
    x = keras.tree.map_structure(ops.convert_to_tensor, x)
    walk = Recurrence(model, x, "time", layer)
    values = _values(walk)
    names, forget, memory = KINDS[len(values)]
    live = walk.live[..., None]
    values = {
        name: np.where(live, value, np.nan) for name, value in zip(names, values, strict=True)
    }
    factors = np.where(live, np.nan_to_num(values[forget]), 1.0)
    after = np.cumprod(factors[:, ::-1], axis=1)[:, ::-1]
    product = np.concatenate([after, np.ones_like(after[:, :1])], axis=1)
    begins = np.cumsum([0, *walk.sizes])
    part = slice(begins[memory], begins[memory + 1])
    nothing = np.zeros((*walk.live.shape, walk.sizes[0])), np.zeros((len(live), begins[-1]))
    norms = [spectral_norm(jacobian[:, part, part]) for *_, jacobian in walk.backward(*nothing)]
    return GatesRecord(walk.layer.name, values, forget, product, np.array(norms[::-1]).T)


def _values(walk):
    """The gates in the order in which the cell computes them, (examples, T, units) each."""
    cell, counts = walk.layer.cell, []
    original = getattr(cell, "recurrent_activation", None)

    def run(given, shared, states):
        seen = []

        def told(x):
            seen.append(original(x))
            return seen[-1]

        vars(cell)["recurrent_activation"] = told
        try:
            with keras.StatelessScope():
                walk.step(given, shared, states)
        finally:
            vars(cell)["recurrent_activation"] = original
        counts.append(len(seen))
        return [ops.reshape(ops.cast(x, "float32"), (x.shape[0], -1)) for x in seen]

    run = probe.compiled(run)
    steps = []
    for (given, shared), states in zip(walk.given, walk.states[:-1], strict=True):
        found = run(given, shared, [ops.convert_to_tensor(state) for state in states])
        steps.append([ops.convert_to_numpy(x).astype("float64") for x in found])
    memory = KINDS.get(counts[0], (None, None, 0))[2]
    if (
        counts[0] not in KINDS
        or steps[0][0].shape[1] != walk.sizes[min(memory, len(walk.sizes) - 1)]
    ):
        raise ValueError(
            f"`layer` must have a cell with an LSTM's three gates or a GRU's two, but that of "
            f"{walk.layer.name!r} is {a_kind(cell)} with {counts[0]}."
        )
    return [np.stack(gate, axis=1) for gate in zip(*steps, strict=True)]
