"""AttentionWindow: each step with its neighbours, weighted."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Tensor
from keras_recres.layers.checks import check_choice, check_count, check_tokens_shape, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class AttentionWindow(keras.layers.Layer):
    """A weighted mean of each step and its neighbours, with weights that are learnt or computed.

    o_k = Σ_{i = 0 … 2r} a_i h_{k+i−r},  Σ_i a_i = 1,  a = softmax(e)

    with e_i a trained number for each place in the window ("fixed"), h_k · h_{k+i−r} ("dot"), or
    v · tanh(W h_k + U h_{k+i−r}) ("additive", as the scores of arXiv 1409.0473). A neural Turing
    machine's shift is "fixed" in a circle, which has no edges.

    Example:
    >>> layer = keras_recres.layers.AttentionWindow(2, score="additive")
    >>> layer(keras.ops.ones((2, 10, 8))).shape
    (2, 10, 8)

    Args:
        radius: Integer ≥ 1, r: neighbours on each side.
        score: "fixed", "dot" or "additive".
        edges: What the neighbours are that lie outside the sequence or are masked: "zero" for
            zeros, which take their weight with them, or "renormalise" for none, so that the
            weights of the others sum to 1.

    Input shape: (batch, steps, features), with or without a mask (batch, steps).

    Output shape: that of the input; its mask stays.

    Raises:
        ValueError: If an argument is out of its range, or an input or its mask has another rank.
    """

    @takes_numpy
    def __init__(
        self, radius: int, score: str = "fixed", edges: str = "zero", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_count("radius", radius)
        check_choice("score", score, ("fixed", "additive", "dot"))
        check_choice("edges", edges, ("zero", "renormalise"))
        self.radius = radius
        self.score = score
        self.edges = edges
        self.supports_masking = True

    def build(self, input_shape: ShapeLike) -> None:
        check_tokens_shape(self, input_shape)
        features = input_shape[-1]
        if self.score == "fixed":
            shape = (2 * self.radius + 1,)
            self.scores = self.add_weight(shape=shape, name="scores", initializer="zeros")
        elif self.score == "additive":
            self.query_kernel = self.add_weight(shape=(features, features), name="query_kernel")
            self.key_kernel = self.add_weight(shape=(features, features), name="key_kernel")
            self.score_kernel = self.add_weight(shape=(features, 1), name="score_kernel")

    def _windows(self, x):
        """(batch, steps, …) as (batch, steps, 2r + 1, …), zeros beyond the ends."""
        r = self.radius
        padded = ops.pad(x, [(0, 0), (r, r)] + [(0, 0)] * (len(x.shape) - 2))
        return ops.stack([padded[:, i : (i - 2 * r) or None] for i in range(2 * r + 1)], axis=2)

    def call(
        self, inputs: Tensor, mask: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        there = ops.ones_like(inputs[..., 0]) if mask is None else ops.cast(mask, inputs.dtype)
        if there.shape[1:] != inputs.shape[1:-1]:
            raise ValueError(
                f"The mask of {self.name!r} must have the shape (batch, steps) of its input, "
                f"{tuple(inputs.shape[:2])}, but it has the shape {tuple(there.shape)}."
            )
        if mask is not None:
            inputs = ops.where(there[..., None] > 0, inputs, 0)
        windows = self._windows(inputs)
        scores = self._scores(inputs, windows)
        if self.edges == "renormalise":
            inside = self._windows(there)
            # Not −∞, or a window of none would be NaN.
            scores = ops.where(inside > 0, scores, -3e4 if scores.dtype == "float16" else -1e9)
        weights = ops.softmax(scores, axis=-1)
        return ops.sum(weights[..., None] * windows, axis=2)

    def _scores(self, inputs, windows):
        if self.score == "fixed":
            return ops.broadcast_to(
                ops.cast(self.scores, windows.dtype), ops.shape(windows[..., 0])
            )
        if self.score == "dot":
            return ops.sum(inputs[:, :, None] * windows, axis=-1)
        keys = self._windows(ops.matmul(inputs, self.key_kernel))
        queries = ops.matmul(inputs, self.query_kernel)
        return ops.matmul(ops.tanh(queries[:, :, None] + keys), self.score_kernel)[..., 0]

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "radius": self.radius,
            "score": self.score,
            "edges": self.edges,
        }
