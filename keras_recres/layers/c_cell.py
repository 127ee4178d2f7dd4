"""CCell: the neocognitron's cells that allow features to move."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_count, check_maps_shape, check_positive, takes_numpy
from keras_recres.layers.s_cell import check_padding, check_sides, falling, grown, resized

# Of the weights d in the middle: what is left of them at the middle of a side; and their sum, which
# is large, so that a cell answers nearly alike wherever in its window the feature is.
EDGE, GAIN = 0.1, 16.0


@keras.saving.register_keras_serializable(package="keras_recres")
class CCell(keras.layers.Layer):
    """The complex cells of the neocognitron, which answer wherever in a window a feature is.

    e_k = Σ_v d[v] u_k(n + v),  i = (1 / K) Σ_k e_k
    y_k(n) = ψ((1 + e_k) / (1 + i) − 1),  ψ(x) = φ(x) / (α + φ(x)),  φ(x) = max(x, 0)

    (Fukushima, "Neocognitron", 1980; no arXiv number) with fixed d that falls with the distance
    from the middle and sums to 16. Nothing is learnt.

    Example:
    >>> keras_recres.layers.CCell(5, padding=-1)(keras.ops.ones((1, 16, 16, 24))).shape
    (1, 10, 10, 24)

    Args:
        window: Integer ≥ 1, side of the window of v; None for all of the input.
        alpha: α > 0, at which answer ψ is ½.
        padding: Integer, cells of 0 on every side; below 0 so many are left out.

    Input shape: (batch, height, width, planes), sides known with `window=None`.

    Output shape: (batch, height + 2 padding − window + 1, …, planes).

    Raises:
        ValueError: If an argument is out of its range, or the input has another rank.
    """

    @takes_numpy
    def __init__(
        self, window: int = 5, alpha: float = 0.5, padding: int | str = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if window is not None:
            check_count("window", window)
        check_positive("alpha", alpha)
        check_padding(padding)
        self.window = window
        self.alpha = float(alpha)
        self.padding = int(padding)

    def build(self, input_shape: ShapeLike) -> None:
        check_maps_shape(self, input_shape)
        if self.window is None and None in input_shape[1:3]:
            raise ValueError(
                f"The input of {self.name!r} must have known sides for `window=None`, but it has "
                f"the shape {tuple(input_shape)}."
            )
        check_sides(self, input_shape, self.window or 1)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        kernel = GAIN * falling(*self._sides(inputs.shape), edge=EDGE)[..., None, None]
        kernel = ops.convert_to_tensor(kernel, self.compute_dtype)
        kernel = ops.tile(kernel, (1, 1, inputs.shape[-1], 1))
        excited = ops.depthwise_conv(resized(inputs, self.padding), kernel, padding="valid")
        inhibited = 1 + ops.mean(excited, axis=-1, keepdims=True)
        answer = ops.relu((1 + excited) / inhibited - 1)
        return answer / (self.alpha + answer)

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        batch, *sides, planes = input_shape
        windows = self._sides(input_shape)
        grow = (grown(s, self.padding, w) for s, w in zip(sides, windows, strict=True))
        return (batch, *grow, planes)

    def _sides(self, shape):
        """Those of the window."""
        return (self.window, self.window) if self.window else tuple(shape[1:3])

    def get_config(self) -> dict[str, Any]:
        names = "window", "alpha", "padding"
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
