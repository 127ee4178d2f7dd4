"""SCell: the neocognitron's cells that find features, and how they learn without a teacher."""

import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Data, Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_maps_shape, check_positive, takes_numpy

# Of the weights c in the middle: what is left of them at the middle of a side.
EDGE = 0.5
# Below it nothing is seen; the root of 0 has no gradient.
TINY = 1e-12


@keras.saving.register_keras_serializable(package="keras_recres")
class SCell(keras.layers.Layer):
    """The simple cells of the neocognitron, each plane of which looks for one feature everywhere.

    e_k = Σ_{k', v} a[v, k', k] u_k'(n + v)
    i = √(Σ_{k', v} c[v] u_k'(n + v)²)
    y_k(n) = r φ((1 + e_k) / (1 + 2 r / (1 + r) b_k i) − 1),  φ(x) = max(x, 0)

    (Fukushima, "Neocognitron: a self-organizing neural network model for a mechanism of pattern
    recognition unaffected by shift in position", 1980; no arXiv number) with fixed c that falls
    with the distance from the middle and sums to 1. `learn` changes a and b without a teacher; the
    more often a plane has learnt a feature, the more it answers only to what has a cosine with it,
    weighted with c, above r / (1 + r). Before that a holds small bars, of another direction in
    every plane, and b is 0.

    Example:
    >>> layer = keras_recres.layers.SCell(24, window=5, padding=2)
    >>> layer(keras.ops.ones((1, 16, 16, 1))).shape
    (1, 16, 16, 24)
    >>> layer.count_params()
    624

    Args:
        planes: Integer ≥ 1, K.
        window: Integer ≥ 1, side of the window of v.
        selectivity: r > 0.
        rate: q > 0, how much `learn` adds.
        padding: Integer, cells of 0 on every side; below 0 so many are left out.

    Input shape: (batch, height, width, planes before), values ≥ 0.

    Output shape: (batch, height + 2 padding − window + 1, …, planes).

    Raises:
        ValueError: If an argument is out of its range, or the input has another rank.
    """

    @takes_numpy
    def __init__(
        self,
        planes: int,
        window: int = 5,
        selectivity: float = 1.5,
        rate: float = 16.0,
        padding: int | str = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("planes", planes)
        check_count("window", window)
        check_positive("selectivity", selectivity)
        check_positive("rate", rate)
        check_padding(padding)
        self.planes = planes
        self.window = window
        self.selectivity = float(selectivity)
        self.rate = float(rate)
        self.padding = int(padding)

    def build(self, input_shape: ShapeLike) -> None:
        check_sides(self, input_shape, self.window)
        before = input_shape[-1]
        self.excitation = self.add_weight(
            (self.window, self.window, before, self.planes),
            lambda shape, dtype: ops.convert_to_tensor(_bars(shape), dtype),
            name="excitation",
        )
        self.inhibition = self.add_weight((self.planes,), "zeros", name="inhibition")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = resized(ops.cast(inputs, self.compute_dtype), self.padding)
        excited = ops.conv(inputs, ops.cast(self.excitation, self.compute_dtype), padding="valid")
        ratio = 2 * self.selectivity / (1 + self.selectivity)
        # It is never negative; what would make it so, such as an optimizer, counts as 0.
        inhibition = ops.relu(ops.cast(self.inhibition, self.compute_dtype))
        inhibited = 1 + ratio * inhibition * self._seen(inputs)
        return self.selectivity * ops.relu((1 + excited) / inhibited - 1)

    def _seen(self, inputs):
        """i, (batch, height, width, 1), of inputs that have their padding."""
        squares = ops.sum(ops.square(inputs), axis=-1, keepdims=True)
        kernel = ops.convert_to_tensor(
            falling(self.window, self.window, edge=EDGE)[..., None, None], self.compute_dtype
        )
        return ops.sqrt(ops.maximum(ops.conv(squares, kernel, padding="valid"), TINY))

    def learn(self, inputs: Data, column: int = 3) -> bool:
        """Learns from patterns, one after the other, without a teacher.

        Of the cells of all planes in a column, `column` positions wide and high, the one with the
        largest answer is a candidate; columns lie at all positions. Of the candidates of a plane
        the largest one learns, with it all cells of the plane:

        Δa[v, k', k] = q c[v] u_k'(n + v),  Δb_k = q / 2 i(n)

        Args:
            inputs: Patterns of shape (patterns, height, width, planes before).
            column: Integer ≥ 1; of smaller planes the whole one is a column.

        Raises:
            ValueError: If the layer is not built, or an argument is out of its range.
        """
        check_count("column", column)
        if not self.built:
            raise ValueError(f"{self.name!r} must be built before it learns: call it once.")
        near = falling(self.window, self.window, edge=EDGE)
        for pattern in ops.convert_to_numpy(inputs):
            answers = ops.convert_to_numpy(self(pattern[None]))[0].astype("float64")
            seen = ops.convert_to_numpy(
                resized(ops.cast(pattern[None], self.compute_dtype), self.padding)
            )[0]
            excitation = ops.convert_to_numpy(self.excitation).copy()
            inhibition = ops.convert_to_numpy(self.inhibition).copy()
            for plane, (i, j) in _representatives(answers, column).items():
                window = seen[i : i + self.window, j : j + self.window]
                excitation[..., plane] += self.rate * near[..., None] * window
                size = np.sqrt(np.sum(near[..., None] * window.astype("float64") ** 2))
                inhibition[plane] += self.rate / 2 * size
            self.excitation.assign(excitation)
            self.inhibition.assign(inhibition)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        batch, *sides, _ = input_shape
        return (batch, *(grown(side, self.padding, self.window) for side in sides), self.planes)

    def get_config(self) -> dict[str, Any]:
        names = "planes", "window", "selectivity", "rate", "padding"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def check_padding(padding):
    """Raises a ValueError unless `padding` is an integer."""
    if not isinstance(padding, numbers.Integral) or isinstance(padding, bool):
        raise ValueError(f"`padding` must be an integer, but it is {padding!r}.")


def check_sides(layer, shape, window):
    """Raises a ValueError unless a window fits into maps of a shape."""
    check_maps_shape(layer, shape)
    least = window - 2 * layer.padding
    if any(side is not None and side < least for side in shape[1:3]):
        raise ValueError(
            f"The input of {layer.name!r} must have sides of at least {least}, but it has the "
            f"shape {tuple(shape)}."
        )


def resized(x, padding):
    """Maps with so many cells of 0 more on every side, or so many cells less."""
    if padding >= 0:
        return ops.pad(x, [[0, 0], [padding, padding], [padding, padding], [0, 0]])
    return x[:, -padding:padding, -padding:padding]


def grown(side, padding, window):
    """The side of what a window leaves of maps."""
    return None if side is None else side + 2 * padding - window + 1


def falling(*sides, edge):
    """Weights of a window of two sides that sum to 1 and fall from the middle to `edge` of it."""
    rows, columns = (
        ((np.arange(side) - (side - 1) / 2) / max((side - 1) / 2, 0.5)) ** 2 for side in sides
    )
    weights = edge ** (rows[:, None] + columns)
    return weights / weights.sum()


def _bars(shape):
    """Small weights, in every plane along a line of another direction."""
    window, _, before, planes = shape
    cells = np.arange(window) - (window - 1) / 2
    angles = np.pi * np.arange(planes) / planes
    away = cells[:, None, None] * np.cos(angles) - cells[None, :, None] * np.sin(angles)
    mixed = np.random.default_rng(0).uniform(size=(before, planes))
    bars = np.exp(-(away**2))[:, :, None] * mixed
    return 1e-3 * bars / np.sqrt((bars**2).sum((0, 1, 2)))


def _representatives(answers, column):
    """{plane: position} of the cells that learn, at most one a plane."""
    height, width, _ = answers.shape
    rows, columns = min(column, height), min(column, width)
    best = {}
    for top in range(height - rows + 1):
        for left in range(width - columns + 1):
            part = answers[top : top + rows, left : left + columns]
            i, j, plane = np.unravel_index(np.argmax(part), part.shape)
            answer = part[i, j, plane]
            if answer > best.get(plane, (0.0,))[0]:
                best[plane] = (answer, (top + i, left + j))
    return {plane: position for plane, (_, position) in best.items()}
