"""ArrayLSTMCell: several memories behind each unit."""

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
from keras_recres.layers.checks import check_choice, check_count, takes_numpy

SELECTIONS = ("sum", "attention", "max", "pool", "stochastic")
ATTENTIVE, RANDOM = ("attention", "max"), ("pool", "stochastic")


@keras.saving.register_keras_serializable(package="keras_recres")
class ArrayLSTMCell(keras.layers.LSTMCell):
    """An LSTM with an array of memories: each unit has one h, and K lanes of gates and memory c.

    With i, f, o and c̃ of each lane k as in an LSTM, all from x and the one h (arXiv 1607.03085),

    "sum": c_k ← f_k c_k + i_k c̃_k,  h = Σ_k o_k tanh(c_k)

    "attention": s = softmax over the lanes of σ(W_a x + U_a h + b_a), and with i, f and o times s
    c_k ← (1 − f_k) c_k + i_k c̃_k,  h as before

    "max": the same, where s is 0 but for the lane of the largest s

    "pool": c_k as for "sum", but h = o_k tanh(c_k) of one lane, drawn in proportion to o_k

    "stochastic": one lane, each as likely, is written and read, and the others stay as they are.

    Lanes are drawn in training, for each unit, example and step; at inference both use the
    expectation of what is drawn. The paper's text on the last three could not be compared.

    Example:
    >>> cell = keras_recres.layers.ArrayLSTMCell(16, lanes=4, select="attention")
    >>> keras.layers.RNN(cell)(keras.ops.ones((2, 10, 8))).shape
    (2, 16)
    >>> cell.count_params()
    8000

    Args:
        units: Integer ≥ 1, n, size of h.
        lanes: Integer ≥ 1, K, memories of each unit.
        select: How lanes are combined, see above.
        **kwargs: Further arguments of `keras.layers.LSTMCell`; `seed` is for lanes too.

    Input shape: (batch, features), a step; (batch, steps, features) for a layer around the cell.

    Output shape: (batch, units). The states are h, (batch, units), and all c, lane after lane in
        (batch, lanes · units); where lanes are drawn also the fraction, (batch, units), from which
        the next draw follows.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @takes_numpy
    def __init__(self, units: int, lanes: int = 2, select: str = "sum", **kwargs: Any) -> None:
        check_count("units", units)
        check_count("lanes", lanes)
        check_choice("select", select, SELECTIONS)
        super().__init__(units, **kwargs)
        self.lanes = lanes
        self.select = select
        self.dropout_mask_count = None
        self._noise = None
        self.state_size = [units, units * lanes] + [units] * (select in RANDOM)

    def build(self, input_shape: ShapeLike) -> None:
        size = self.units * self.lanes
        attention = size * (self.select in ATTENTIVE)
        columns = 4 * size + attention
        self.kernel = add_kernel(self, "kernel", (input_shape[-1], columns))
        self.recurrent_kernel = add_kernel(self, "recurrent_kernel", (self.units, columns))
        self.bias = add_bias(self, "bias", 4 * size, bias_initializer(self))
        self.attention_bias = None
        if attention:
            self.attention_bias = add_bias(self, "attention_bias", attention, self.bias_initializer)

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The part of the gates that comes from the input, for one step or for many."""
        projected = product(inputs, self.kernel, dropout_masks(self, inputs, training))
        if self.bias is None:
            return projected
        if self.attention_bias is None:
            return projected + self.bias
        return projected + ops.concatenate([self.bias, self.attention_bias])

    def step(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the new states, of what `project` made of a step's input."""
        h, memory, *fraction = states
        state_dtype = memory.dtype
        h = ops.cast(h, projected.dtype)
        masks = recurrent_dropout_masks(self, h, training)
        gates = projected + product(h, self.recurrent_kernel, masks)
        gates = ops.split(
            ops.cast(gates, state_dtype), 5 if self.select in ATTENTIVE else 4, axis=-1
        )
        lanes = (-1, self.lanes, self.units)
        i, f, c, o, *attention = (ops.reshape(gate, lanes) for gate in gates)
        i, f, o = (self.recurrent_activation(gate) for gate in (i, f, o))
        c, memory = self.activation(c), ops.reshape(memory, lanes)
        if attention:
            s = ops.softmax(self.recurrent_activation(attention[0]), axis=1)
            if self.select == "max":
                s = s * ops.one_hot(ops.argmax(s, axis=1), self.lanes, axis=1, dtype=s.dtype)
            i, f, o = i * s, 1 - f * s, o * s
        written = f * memory + i * c
        if self.select in RANDOM:
            equal = ops.full_like(o, 1 / self.lanes)
            share = o / ops.sum(o, axis=1, keepdims=True) if self.select == "pool" else equal
            if training:
                share, fraction = self._drawn(share, fraction[0])
            o = o * share
        h = ops.sum(o * self.activation(written), axis=1)
        if self.select == "stochastic":
            written = memory + share * (written - memory)
        written = ops.reshape(written, (-1, self.lanes * self.units))
        return ops.cast(h, projected.dtype), [h, written, *fraction]

    def _drawn(self, share, fraction):
        """1 for one lane of each unit, drawn with these probabilities, and the next fraction.

        A loop cannot draw on JAX. Two uniform numbers u and v a call, drawn before, make those of
        its steps: the fractions of u, u + v, u + 2v, …, each uniform, any two independent.
        """
        u, v = (ops.cast(part, share.dtype) for part in self._numbers(fraction))
        u = ops.mod(u + fraction, 1)
        below = ops.cumsum(share, axis=1)[:, :-1] <= u[:, None]
        lane = ops.sum(ops.cast(below, "int32"), axis=1)
        drawn = ops.one_hot(lane, self.lanes, axis=1, dtype=share.dtype)
        return drawn, [ops.mod(fraction + v, 1)]

    def _numbers(self, like):
        if self._noise is None:
            shape = (2, *ops.shape(like))
            self._noise = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return self._noise[0], self._noise[1]

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> list[Tensor] | None:
        """As Keras' cells have it; layers ask for it before their loop, where lanes are drawn."""
        if self.select in RANDOM:
            self._numbers(step_input)
        return super().get_recurrent_dropout_mask(step_input)

    def reset_recurrent_dropout_mask(self) -> None:
        """As Keras' cells have it: the next call has another mask and other lanes."""
        super().reset_recurrent_dropout_mask()
        self._noise = None

    def call(
        self, inputs: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        return self.step(self.project(inputs, training), states, training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lanes": self.lanes, "select": self.select}
