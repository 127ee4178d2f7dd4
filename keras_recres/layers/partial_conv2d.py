"""PartialConv2D: a convolution whose filters see some of the maps each."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Activation, Initializer, Shape, ShapeLike, Sizes, Tensor
from keras_recres.layers.checks import check_choice, check_maps_shape, size_tuple, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class PartialConv2D(keras.layers.Layer):
    """A convolution in which each filter sees the input maps that a table names.

    y_f[i, j] = φ(b_f + Σ_{c ∈ table[f]} Σ_{p, q} w[p, q, c, f] x_c[i + p, j + q])

    as LeNet-5's layer C3 (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
    document recognition", 1998, table I; no arXiv number). Only the weights that are used exist.

    Example:
    >>> layer = keras_recres.layers.PartialConv2D([(0, 1), (1, 2), (0, 1, 2)], 5)
    >>> layer(keras.ops.ones((1, 14, 14, 3))).shape
    (1, 10, 10, 3)
    >>> layer.count_params()
    178

    Args:
        table: For each filter the input maps that it sees, ascending integers from 0.
        kernel_size: Integer ≥ 1 or two of them.
        padding: "valid" or "same", as in `keras.layers.Conv2D`.
        activation: φ; None, or whatever `keras.activations.get` takes.
        kernel_initializer: Keras initializer of the (height, width, connections) weights; its
            fan-in is that of a filter that sees the mean number of maps.
        bias_initializer: Keras initializer of the biases.

    Input shape: (batch, height, width, maps), more maps than the table's largest number.

    Output shape: (batch, new height, new width, len(table)).

    Raises:
        ValueError: If an argument is out of its range, or the table names a map that is not there.
    """

    @takes_numpy
    def __init__(
        self,
        table: Sequence[Sequence[int]],
        kernel_size: Sizes,
        padding: str = "valid",
        activation: Activation = None,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = _checked(table)
        self.kernel_size = size_tuple("kernel_size", kernel_size, 2)
        check_choice("padding", padding, ("valid", "same"))
        self.padding = padding
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape: ShapeLike) -> None:
        check_maps_shape(self, input_shape)
        maps, filters = input_shape[-1], len(self.table)
        largest = max(map(max, self.table))
        if largest >= maps:
            raise ValueError(
                f"`table` names the map {largest}, but the input has {maps}, counted from 0."
            )
        connections = sum(map(len, self.table))
        self.kernel = self.add_weight(
            (*self.kernel_size, connections), self._initial_kernel, name="kernel"
        )
        self.bias = self.add_weight((filters,), self.bias_initializer, name="bias")
        # For each map and filter the place of its weights; those that are not there come last.
        self.places = np.full((maps, filters), connections)
        used = [(c, f) for f, seen in enumerate(self.table) for c in seen]
        for place, (c, f) in enumerate(used):
            self.places[c, f] = place

    def _initial_kernel(self, shape, dtype=None):
        filters = len(self.table)
        seen = -(-shape[-1] // filters)
        whole = self.kernel_initializer((*self.kernel_size, seen, filters), dtype=dtype)
        return ops.reshape(whole, (*self.kernel_size, -1))[..., : shape[-1]]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        kernel = ops.pad(ops.convert_to_tensor(self.kernel), [[0, 0], [0, 0], [0, 1]])
        kernel = ops.take(kernel, self.places, axis=-1)
        y = ops.conv(inputs, kernel, padding=self.padding, data_format="channels_last")
        return self.activation(y + self.bias)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        batch, *sides, _ = input_shape
        if self.padding == "valid":
            sides = [
                side if side is None else side - size + 1
                for side, size in zip(sides, self.kernel_size, strict=True)
            ]
        return (batch, *sides, len(self.table))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "table": self.table,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def _checked(table):
    """The table as a tuple of tuples of Python's integers."""
    try:
        rows = tuple(tuple(int(c) for c in seen if c == int(c) >= 0) for seen in table)
        whole = all(
            row and sorted({*row}) == list(seen) for row, seen in zip(rows, table, strict=True)
        )
    except (TypeError, ValueError):
        rows, whole = (), False
    if not rows or not whole:
        raise ValueError(
            "`table` must have for each filter the maps that it sees, ascending integers from 0, "
            f"but it is {table!r}."
        )
    return rows
