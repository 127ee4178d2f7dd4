"""JordanCell: a network that sees its own last output."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, ShapeLike, Tensor
from keras_recres.layers.cells.parts import dropout_masks, product, recurrent_dropout_masks, value
from keras_recres.layers.checks import check_count, check_rate, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class JordanCell(keras.layers.SimpleRNNCell):
    """One step of Jordan's network, whose state is its output.

    h = tanh(W x + U s + b),  y = σ(V h + c),  s = α s₋ + y₋

    where ₋ is the step before (Jordan, "Serial order: a parallel distributed processing
    approach", 1986, Advances in Psychology 121, 1997; no arXiv number). The output is y, the
    states y and, where α > 0, the trace s.

    Example:
    >>> layer = keras_recres.layers.Recurrent(keras_recres.layers.JordanCell(8, 2))
    >>> layer(keras.ops.ones((2, 5, 3))).shape
    (2, 2)
    >>> layer.count_params()  # mn + kn + n + nk + k
    66

    Args:
        units: Integer n ≥ 1, size of h.
        output_units: Integer k ≥ 1, size of y.
        output_activation: σ.
        decay: α in [0, 1).
        **kwargs: What `keras.layers.SimpleRNNCell` takes beside.

    Input shape: (batch, features).

    Output shape: (batch, output_units), and states of that shape.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @takes_numpy
    def __init__(
        self,
        units: int,
        output_units: int,
        output_activation: Activation = "sigmoid",
        decay: float = 0.0,
        **kwargs: Any,
    ) -> None:
        check_count("units", units)
        check_count("output_units", output_units)
        check_rate("decay", decay)
        super().__init__(units, **kwargs)
        self.output_units = self.output_size = output_units
        self.output_activation = keras.activations.get(output_activation)
        self.decay = float(decay)
        self.state_size = [output_units] * (2 if decay else 1)

    def build(self, input_shape: ShapeLike) -> None:
        n, k = self.units, self.output_units

        def add(name, shape, of):
            options = "initializer", "regularizer", "constraint"
            return self.add_weight(
                name=name, shape=shape, **{o: getattr(self, f"{of}_{o}") for o in options}
            )

        self.kernel = add("kernel", (input_shape[-1], n), "kernel")
        self.recurrent_kernel = add("recurrent_kernel", (k, n), "recurrent")
        self.output_kernel = add("output_kernel", (n, k), "kernel")
        self.bias = self.output_bias = None
        if self.use_bias:
            self.bias = add("bias", (n,), "bias")
            self.output_bias = add("output_bias", (k,), "bias")

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """W x + b of inputs (…, batch, features): (…, batch, units)."""
        z = product(inputs, self.kernel, dropout_masks(self, inputs, training))
        return z if self.bias is None else z + value(self.bias, z)

    def step(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the states after a step, of `project`'s output (batch, units)."""
        trace = states[0] + self.decay * states[1] if self.decay else states[0]
        s = value(trace, projected)
        masks = recurrent_dropout_masks(self, s, training)
        h = self.activation(projected + product(s, self.recurrent_kernel, masks))
        y = product(h, self.output_kernel)
        if self.output_bias is not None:
            y = y + value(self.output_bias, y)
        y = self.output_activation(y)
        return y, [y, trace] if self.decay else [y]

    def call(
        self, inputs: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        return self.step(self.project(inputs, training), states, training)

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        return [ops.zeros((batch_size, k), dtype=self.compute_dtype) for k in self.state_size]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "output_units": self.output_units,
            "output_activation": keras.activations.serialize(self.output_activation),
            "decay": self.decay,
        }
