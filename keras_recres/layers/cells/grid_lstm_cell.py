"""GridLSTMCell: LSTM along time and along depth."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import ShapeLike, Tensor
from keras_recres.layers.cells.gates import add_bias, add_kernel, bias_initializer
from keras_recres.layers.cells.parts import (
    dropout_masks,
    product,
    recurrent_dropout_masks,
)
from keras_recres.layers.checks import check_choice, check_count, check_switch, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class GridLSTMCell(keras.layers.LSTMCell):
    """A column of LSTMs that pass memory from step to step, and from layer to layer as well.

    H = [h_time; h_depth], and along each of the two dimensions, with its own weights,

    m′ = σ(W_f H + b_f) ⊙ m + σ(W_i H + b_i) ⊙ tanh(W_c H + b_c),  h′ = σ(W_o H + b_o) ⊙ tanh(m′)

    (arXiv 1507.01526, section 3, in two dimensions; b = 0 there). Time's h and m go on to the next
    step, depth's to the next layer; the first layer's come from the input, [h; m] = W x + b, and
    the last layer's h is the output. Without the time's rows of its kernels, the depth is a
    Highway network whose gates need not sum to 1.

    Example:
    >>> cell = keras_recres.layers.GridLSTMCell(16, depth=3, tied=True)
    >>> keras.layers.RNN(cell)(keras.ops.ones((2, 10, 8))).shape
    (2, 16)
    >>> cell.count_params()
    4512

    Args:
        units: Integer ≥ 1, n, size of h and of m in both dimensions.
        depth: Integer ≥ 1, number of layers.
        tied: Boolean, whether all layers have the same weights (section 3.4).
        priority: Boolean, whether a layer's depth reads the time's new h, as in section 3.2, or
            that of the step before, as its time does.
        output: "o_tanh_m", h′ = o ⊙ tanh(m′), as LSTMs and the public code for this cell have it,
            or "tanh_om", h′ = tanh(o ⊙ m′).
        **kwargs: Further arguments of `keras.layers.LSTMCell`. `recurrent_initializer` and its like
            are for the kernels of time and depth, `kernel_initializer` for the input's;
            `recurrent_dropout` is for the h that came from the step before.

    Input shape: (batch, features), a step; (batch, steps, features) for a layer around the cell.

    Output shape: (batch, units). The states are the output and, from the first layer to the last,
        the time's h and m: 2 · depth + 1 of (batch, units).

    Raises:
        ValueError: If an argument is out of its range.
    """

    @takes_numpy
    def __init__(
        self,
        units: int,
        depth: int = 1,
        tied: bool = False,
        priority: bool = True,
        output: str = "o_tanh_m",
        **kwargs: Any,
    ) -> None:
        check_count("units", units)
        check_count("depth", depth)
        check_switch("tied", tied)
        check_switch("priority", priority)
        check_choice("output", output, ("o_tanh_m", "tanh_om"))
        super().__init__(units, **kwargs)
        self.depth = depth
        self.tied = tied
        self.priority = priority
        self.output_form = output
        self.dropout_mask_count = None
        # The output first: JAX's `keras.layers.RNN` repeats this state where a step is masked.
        self.state_size = [units] * (2 * depth + 1)

    def build(self, input_shape: ShapeLike) -> None:
        n = self.units
        self.kernel = add_kernel(self, "kernel", (input_shape[-1], 2 * n))
        self.bias = add_bias(self, "bias", 2 * n, self.bias_initializer)
        self.grid = []
        for i in range(1 if self.tied else self.depth):
            self.grid.append(
                {
                    dimension: (
                        add_kernel(self, f"{dimension}_kernel{i}", (2 * n, 4 * n)),
                        add_bias(self, f"{dimension}_bias{i}", 4 * n, bias_initializer(self)),
                    )
                    for dimension in ("time", "depth")
                }
            )

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """H and m of the first layer's depth, side by side, for one step or for many."""
        projected = product(inputs, self.kernel, dropout_masks(self, inputs, training))
        return projected if self.bias is None else projected + self.bias

    def step(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the new states, of what `project` made of a step's input."""
        dtype, state_dtype = projected.dtype, states[1].dtype
        mask = recurrent_dropout_masks(self, projected[:, : self.units], training)
        h_depth, m_depth = ops.split(projected, 2, axis=-1)
        m_depth, new_states = ops.cast(m_depth, state_dtype), []
        for i in range(self.depth):
            weights = self.grid[0 if self.tied else i]
            h_time, m_time = states[1 + 2 * i : 3 + 2 * i]
            h_time = ops.cast(h_time, dtype)
            if mask is not None:
                h_time = h_time * mask
            new_h, m_time = self._transform(weights["time"], h_time, h_depth, m_time)
            new_states += [ops.cast(new_h, state_dtype), m_time]
            seen = new_h if self.priority else h_time
            h_depth, m_depth = self._transform(weights["depth"], seen, h_depth, m_depth)
        return h_depth, [ops.cast(h_depth, state_dtype), *new_states]

    def _transform(self, weights, h_time, h_depth, memory):
        kernel, bias = weights
        gates = product(ops.concatenate([h_time, h_depth], axis=-1), kernel)
        if bias is not None:
            gates = gates + bias
        i, f, c, o = ops.split(ops.cast(gates, memory.dtype), 4, axis=-1)
        i, f, o = (self.recurrent_activation(gate) for gate in (i, f, o))
        memory = f * memory + i * self.activation(c)
        inside = self.output_form == "tanh_om"
        h = self.activation(o * memory) if inside else o * self.activation(memory)
        return ops.cast(h, h_depth.dtype), memory

    def call(
        self, inputs: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        return self.step(self.project(inputs, training), states, training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "tied": self.tied,
            "priority": self.priority,
            "output": self.output_form,
        }
