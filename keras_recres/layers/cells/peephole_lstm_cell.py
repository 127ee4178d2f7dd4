"""PeepholeLSTMCell: an LSTM whose gates see the memory."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend.types import Initializer, ShapeLike, Tensor
from keras_recres.layers.cells.parts import dropout_masks, product, recurrent_dropout_masks, value
from keras_recres.layers.checks import check_count, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class PeepholeLSTMCell(keras.layers.LSTMCell):
    """One step of an LSTM with peephole connections.

    i = σ(W_i x + U_i h₋ + p_i ⊙ c₋ + b_i),  f = σ(W_f x + U_f h₋ + p_f ⊙ c₋ + b_f)
    c = f ⊙ c₋ + i ⊙ tanh(W_c x + U_c h₋ + b_c)
    o = σ(W_o x + U_o h₋ + p_o ⊙ c + b_o),  h = o ⊙ tanh(c)

    where ₋ is the step before (Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN
    2000; no arXiv number). The output is h, the states h and c. With peepholes of 0, as at
    first, it is `keras.layers.LSTMCell`.

    Example:
    >>> layer = keras_recres.layers.Recurrent(keras_recres.layers.PeepholeLSTMCell(8))
    >>> layer(keras.ops.ones((2, 5, 3))).shape
    (2, 8)
    >>> layer.count_params()  # 4 (n² + mn + n) + 3n
    408

    Args:
        units: Integer n ≥ 1, size of the output and of both states.
        peephole_initializer: Initializer of p_i, p_f and p_o, the rows of the weight `peephole`.
        **kwargs: What `keras.layers.LSTMCell` takes beside.

    Input shape: (batch, features).

    Output shape: (batch, units), and the two states of that shape.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @takes_numpy
    def __init__(
        self, units: int, peephole_initializer: Initializer = "zeros", **kwargs: Any
    ) -> None:
        check_count("units", units)
        super().__init__(units, **kwargs)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)
        used = self.activation, self.recurrent_activation
        self.plain = used == (keras.activations.tanh, keras.activations.sigmoid)

    def build(self, input_shape: ShapeLike) -> None:
        super().build(input_shape)
        self.peephole = self.add_weight(
            shape=(3, self.units), initializer=self.peephole_initializer, name="peephole"
        )

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """W x + b of inputs (…, batch, features): (…, batch, 4 units)."""
        z = product(inputs, self.kernel, dropout_masks(self, inputs, training))
        return z if self.bias is None else z + value(self.bias, z)

    def step(
        self,
        projected: Tensor,
        states: Sequence[Tensor],
        training: bool = False,
        carried: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the states after a step, of `project`'s output (batch, 4 units).

        What is `carried` is added to the memory.
        """
        h, c = states
        h = value(h, projected)
        masks = recurrent_dropout_masks(self, h, training)
        if masks is None and self.plain:
            kernel, peepholes = value(self.recurrent_kernel, h), value(self.peephole, c, rows=True)
            fast = backend.peephole_lstm_step(projected, h, c, kernel, peepholes, carried)
            if fast is not None:
                return fast[0], fast
        # The memory may have a wider dtype than the products.
        z = value(projected + product(h, self.recurrent_kernel, masks), c)
        z_i, z_f, z_c, z_o = ops.split(z, 4, axis=-1)
        p_i, p_f, p_o = value(self.peephole, c, rows=True)
        i = self.recurrent_activation(z_i + p_i * c)
        f = self.recurrent_activation(z_f + p_f * c)
        c = f * c + i * self.activation(z_c)
        if carried is not None:
            c = c + carried
        o = self.recurrent_activation(z_o + p_o * c)
        h = o * self.activation(c)
        return h, [h, c]

    def all_steps(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]] | None:
        """The outputs (time, batch, units) and the last states, or None if `step` is as fast."""
        drops = 0 < self.recurrent_dropout < 1
        if not (training and self.plain) or drops:
            return None
        h, c = states
        kernel, peephole = value(self.recurrent_kernel, h), value(self.peephole, c)
        fast = backend.peephole_lstm(projected, h, c, kernel, peephole)
        return fast and (fast[0], [fast[0][-1], fast[1]])

    def call(
        self, inputs: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        return self.step(self.project(inputs, training), states, training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "implementation": self.implementation,
            "peephole_initializer": keras.initializers.serialize(self.peephole_initializer),
        }
