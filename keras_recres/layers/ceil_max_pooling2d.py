"""CeilMaxPooling2D: max pooling that rounds sizes up, as Caffe's."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Sizes, Tensor
from keras_recres.layers.checks import check_maps_shape, size_tuple, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class CeilMaxPooling2D(keras.layers.Layer):
    """Max pooling whose last windows may reach beyond the edge, so that sizes are rounded up.

    y[i, j] = max_{p, q} x[s i + p − P, s j + q − P]

    over the cells of each window that are there, as Caffe pools and PyTorch with
    `ceil_mode=True`: GoogLeNet (arXiv 1409.4842), SqueezeNet and highway networks need it.

    Example:
    >>> keras_recres.layers.CeilMaxPooling2D(3, 2)(keras.ops.ones((1, 112, 112, 64))).shape
    (1, 56, 56, 64)

    Args:
        pool_size: Integer ≥ 1 or two of them.
        strides: s, integer ≥ 1 or two of them, at most `pool_size`; None for `pool_size`.
        padding: P, integer ≥ 0, cells before the edge that count as −∞; at most
            `pool_size − strides`, so that no window lies outside.

    Input shape: (batch, height, width, maps).

    Output shape: (batch, ⌈(height + 2 P − pool_size) / s⌉ + 1, …, maps).

    Raises:
        ValueError: If an argument is out of its range, or the input has another rank.
    """

    @takes_numpy
    def __init__(
        self,
        pool_size: Sizes = 2,
        strides: Sizes | None = None,
        padding: int | str = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = size_tuple("pool_size", pool_size, 2)
        self.strides = size_tuple("strides", self.pool_size if strides is None else strides, 2)
        room = min(size - step for size, step in zip(self.pool_size, self.strides, strict=True))
        if room < 0:
            raise ValueError(
                f"`strides` must be at most `pool_size`, {self.pool_size}, but it is {strides!r}."
            )
        if isinstance(padding, bool) or padding not in range(room + 1):
            raise ValueError(
                f"`padding` must be an integer from 0 to {room}, pool_size − strides, but it is "
                f"{padding!r}."
            )
        self.padding = int(padding)

    def build(self, input_shape: ShapeLike) -> None:
        check_maps_shape(self, input_shape)
        for side, size in zip(input_shape[1:3], self.pool_size, strict=True):
            if side is not None and side + 2 * self.padding < size:
                raise ValueError(
                    f"The input of {self.name!r} has the shape {tuple(input_shape)}, whose sides "
                    f"must be at least `pool_size`, {self.pool_size}."
                )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        # So many cells more round any size up.
        edges = [[self.padding, self.padding + step - 1] for step in self.strides]
        padded = ops.pad(inputs, [[0, 0], *edges, [0, 0]], constant_values=float("-inf"))
        return ops.max_pool(padded, self.pool_size, self.strides, data_format="channels_last")

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        batch, *sides, maps = input_shape
        pooled = (
            side if side is None else -((size - side - 2 * self.padding) // step) + 1
            for side, size, step in zip(sides, self.pool_size, self.strides, strict=True)
        )
        return (batch, *pooled, maps)

    def get_config(self) -> dict[str, Any]:
        names = "pool_size", "strides", "padding"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
