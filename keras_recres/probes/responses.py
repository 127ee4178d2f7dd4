"""layer_responses: how strongly each 3 x 3 convolution of a network answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from keras_recres.backend import probe
from keras_recres.backend.keras_private import function_of
from keras_recres.backend.types import Data, Path, Rows
from keras_recres.layers.checks import a_kind, check_count, size_tuple
from keras_recres.probes import tracing
from keras_recres.probes.table_file import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True, repr=False)
class ResponsesRecord:
    """Standard deviations of the responses of a network's layers.

    Attributes:
        names: Paths of the layers in an order in which they run, with "[t]" for each call of one
            that is called several times.
        std: Standard deviation of each one's responses, over examples, positions and channels, in
            units of the response, (layers,).
        examples: How many examples they are of.
    """

    names: tuple[str, ...]
    std: np.ndarray
    examples: int

    def __repr__(self) -> str:
        return (
            f"<ResponsesRecord: {len(self.names)} layers, {self.names[0]} to {self.names[-1]}, "
            f"{self.std.min():.3g} to {self.std.max():.3g}, {self.examples} examples>"
        )

    @property
    def sorted(self) -> np.ndarray:
        """The standard deviations from the largest to the smallest, (layers,)."""
        return np.sort(self.std)[::-1]

    def table(self) -> Rows:
        """A dict for each layer: name, standard deviation, and its rank, 1 for the largest."""
        ranks = np.argsort(np.argsort(-self.std, kind="stable"), kind="stable")
        return [
            {"layer": name, "std": float(std), "rank": int(rank) + 1}
            for name, std, rank in zip(self.names, self.std, ranks, strict=True)
        ]

    def to_csv(self, path: Path) -> None:
        """Writes the table, a line a layer."""
        write_csv(path, self.table())

    def plot(
        self, path: Path | None = None, axes: Sequence[Axes] | None = None, label: str | None = None
    ) -> Sequence[Axes]:
        """Draws the standard deviations in the layers' order, and sorted.

        Needs matplotlib. Figure 7 of arXiv 1512.03385 has several networks in one picture: draw
        each of them into the same axes.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axes: Two matplotlib axes to draw into; None makes new ones.
            label: Name of the network in the legend.

        Returns:
            The two axes.
        """
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(figsize=(9, 3.6), layout="constrained").subplots(1, 2, sharey=True)
        order = np.arange(1, len(self.std) + 1)
        texts = ("layer, in the network's order", self.std), ("layer, by magnitude", self.sorted)
        for axis, (text, values) in zip(axes, texts, strict=True):
            axis.plot(order, values, marker=".", label=label)
            axis.set(xlabel=text, ylabel="standard deviation of the responses")
            # Of all networks that are there.
            axis.set_ylim(0, 1.05 * max(line.get_ydata().max() for line in axis.lines))
            axis.grid(alpha=0.3)
            axis.label_outer()
            axis.xaxis.get_major_locator().set_params(integer=True)
        if label:
            axes[1].legend(frameon=False)
        if path is not None:
            axes[0].figure.savefig(path, dpi=150)
        return axes


def layer_responses(
    model: keras.Model, x: Data, *, kernel_size: int | None = 3, batch_size: int = 64
) -> ResponsesRecord:
    """The standard deviation of what each 3 x 3 convolution of a network puts out.

    As in figure 7 of arXiv 1512.03385: after the batch normalisation that follows the
    convolution, if one does, and before the nonlinearity and the sum with the shortcut. In residual
    networks they are smaller than in plain ones, and the smaller the deeper the network: each
    branch changes the signal little. The network computes as at inference, in float32, and layers
    in branches, nested models and each step of recurrent layers are seen.

    Example:
    >>> record = layer_responses(keras_recres.models.cifar_resnet(20), images)
    >>> record.std.shape
    (19,)

    Args:
        model: A functional or Sequential model.
        x: Array of examples as the model takes them, or a list of arrays for several inputs.
        kernel_size: Integer or two of them, of the convolutions to look at.
        batch_size: Integer ≥ 1, examples that are computed at a time.

    Returns:
        A `ResponsesRecord`.

    Raises:
        ValueError: If the model is subclassed, has no such convolution, or there is no example.
    """
    check_count("batch_size", batch_size)
    kernel_size = size_tuple("kernel_size", kernel_size, 2)
    if function_of(model) is None:
        raise ValueError(
            f"`model` must be a built functional or Sequential model, but it is {a_kind(model)}."
        )
    examples = len(keras.tree.flatten(x)[0])
    if not examples:
        raise ValueError("`x` must have one example at least.")
    names = []

    def moments(x):
        recorder = _Recorder(kernel_size)
        with tracing.scope(recorder):
            model(x, training=False)
        names[:] = recorder.names()
        if not names:
            raise ValueError(f"{model.name!r} has no {kernel_size[0]} x {kernel_size[1]} Conv2D.")
        values = [ops.cast(tensor, "float32") for _, tensor in recorder.found]
        return ops.stack([ops.stack([ops.mean(v), ops.var(v)]) for v in values])

    run = probe.run_once(moments)
    shares, parts = [], []
    for start in range(0, examples, batch_size):
        batch = keras.tree.map_structure(
            lambda x, start=start: ops.convert_to_tensor(x[start : start + batch_size]), x
        )
        parts.append(ops.convert_to_numpy(run(batch)).astype("float64"))
        shares.append(min(batch_size, examples - start) / examples)
    means, variances = np.moveaxis(np.array(parts), -1, 0)
    # The variance in the batches, and that between them.
    mean = np.average(means, axis=0, weights=shares)
    total = np.average(variances + (means - mean) ** 2, axis=0, weights=shares)
    return ResponsesRecord(tuple(names), np.sqrt(total), examples)


class _Recorder:
    """Sees what convolutions put out, or the norms behind them; see `tracing.scope`."""

    dtype = "float32"

    def __init__(self, kernel_size):
        self.kernel_size = kernel_size
        self.found, self._outputs, self._stack, self._hidden = [], [], [], 0

    def called(self, original, layer, args, kwargs):
        self._stack.append(layer)
        try:
            outputs = original(layer, *args, **kwargs)
            path = "/".join(inner.name for inner in self._stack[1:])
        finally:
            self._stack.pop()
        if self._hidden or not args:
            return outputs
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == self.kernel_size:
            response = outputs
            if layer.activation is not keras.activations.linear:
                response = layer.convolution_op(ops.cast(args[0], self.dtype), layer.kernel)
                if layer.use_bias:
                    shape = (-1, 1, 1) if layer.data_format == "channels_first" else (-1,)
                    response = response + ops.reshape(layer.bias, shape)
            self.found.append((path, response))
            self._outputs.append(outputs)
        elif isinstance(layer, keras.layers.BatchNormalization):
            for i, output in enumerate(self._outputs):
                if output is args[0]:
                    self.found[i] = self.found[i][0], outputs
        return outputs

    def switched(self, name, original, args, kwargs):
        return original(*args, **kwargs)

    def in_a_loop(self, function, args, kwargs):
        self._hidden += 1
        try:
            return function(*args, **kwargs)
        finally:
            self._hidden -= 1

    def names(self):
        """The paths, numbered where a layer is called several times."""
        paths = [path for path, _ in self.found]
        return [
            f"{path}[{paths[:i].count(path)}]" if paths.count(path) > 1 else path
            for i, path in enumerate(paths)
        ]
