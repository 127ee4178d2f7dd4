"""PeepholeConvLSTM2D: a convolutional LSTM whose gates see its memory."""

from typing import Any, Self

import keras
from keras import ops

from keras_recres.backend.types import Initializer, Shape, Shapes, Sizes, Tensor
from keras_recres.layers.cells.gates import add_bias, add_kernel, bias_initializer
from keras_recres.layers.checks import check_choice, check_count, size_tuple, takes_numpy
from keras_recres.layers.recurrent import Recurrent

# Arguments that are the cell's.
OF_CELL = (
    "activation",
    "recurrent_activation",
    "use_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "unit_forget_bias",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "dropout",
    "recurrent_dropout",
    "seed",
)


class PeepholeConvCell(keras.layers.LSTMCell):
    """The cell of PeepholeConvLSTM2D, see there; `sizes` are those of the two kernels."""

    def __init__(self, filters, sizes, peephole, peephole_initializer, **kwargs):
        super().__init__(filters, **kwargs)
        self.sizes = sizes
        self.peephole_of = peephole
        self.peephole_initializer = keras.initializers.get(peephole_initializer)
        self.dropout_mask_count = None
        self._let_maps_be((None, None))

    def _let_maps_be(self, shape):
        self.output_size = (*shape, self.units)
        self.state_size = [self.output_size, self.output_size]

    def build(self, input_shape):
        *space, channels = input_shape[1:]
        self._let_maps_be(tuple(space))
        n = self.units
        self.kernel = None
        if channels:  # Else nothing is to be learnt of the input.
            self.kernel = add_kernel(self, "kernel", (*self.sizes[0], channels, 4 * n))
        self.recurrent_kernel = add_kernel(self, "recurrent_kernel", (*self.sizes[1], n, 4 * n))
        self.bias = add_bias(self, "bias", 4 * n, bias_initializer(self))
        self.peephole = None
        if self.peephole_of is not None:
            self.peephole = self.add_weight(
                shape=(3, n) if self.peephole_of == "channel" else (3, *space, n),
                name="peephole",
                initializer=self.peephole_initializer,
            )

    def project(self, inputs, training=False):
        """The part of the gates that comes from the input, for one step or for many."""
        *outer, channels = ops.shape(inputs)
        if self.kernel is None:
            projected = ops.zeros((*outer, 4 * self.units), dtype=inputs.dtype)
        else:
            if training and self.dropout:
                inputs = inputs * self.get_dropout_mask(inputs)
            maps = ops.reshape(inputs, (-1, *outer[-2:], channels))
            maps = ops.conv(maps, self.kernel, padding="same", data_format="channels_last")
            projected = ops.reshape(maps, (*outer, 4 * self.units))
        return projected if self.bias is None else projected + self.bias

    def step(self, projected, states, training=False):
        """The output and the new states, of what `project` made of a step's input."""
        h, memory = states
        h = ops.cast(h, projected.dtype)
        if training and self.recurrent_dropout:
            h = h * self.get_recurrent_dropout_mask(h)
        gates = projected + ops.conv(
            h, self.recurrent_kernel, padding="same", data_format="channels_last"
        )
        i, f, c, o = ops.split(ops.cast(gates, memory.dtype), 4, axis=-1)
        see_i, see_f, see_o = (0, 0, 0)
        if self.peephole is not None:
            see_i, see_f, see_o = ops.unstack(ops.cast(self.peephole, memory.dtype), 3)
        i = self.recurrent_activation(i + see_i * memory)
        f = self.recurrent_activation(f + see_f * memory)
        memory = f * memory + i * self.activation(c)
        h = self.recurrent_activation(o + see_o * memory) * self.activation(memory)
        return ops.cast(h, projected.dtype), [ops.cast(h, memory.dtype), memory]

    def call(self, inputs, states, training=False):
        return self.step(self.project(inputs, training), states, training)

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, *size), self.compute_dtype) for size in self.state_size]


@keras.saving.register_keras_serializable(package="keras_recres")
class PeepholeConvLSTM2D(Recurrent):
    """An LSTM of maps: convolutions make its gates, which also see its memory, as published.

    i = σ(W_i ∗ x + U_i ∗ h₋ + w_i ⊙ c₋ + b_i),  f = σ(W_f ∗ x + U_f ∗ h₋ + w_f ⊙ c₋ + b_f)

    c = f ⊙ c₋ + i ⊙ tanh(W_c ∗ x + U_c ∗ h₋ + b_c)

    o = σ(W_o ∗ x + U_o ∗ h₋ + w_o ⊙ c + b_o),  h = o ⊙ tanh(c)

    (arXiv 1506.04214, eq. 3). The equation lets w be maps; the parameters that its table 1 counts
    are those of one number a channel. `keras.layers.ConvLSTM2D` has no w. Convolutions keep the
    size of the maps.

    Example:
    >>> layer = keras_recres.layers.PeepholeConvLSTM2D(8, 3, return_sequences=True)
    >>> layer(keras.ops.ones((2, 5, 16, 16, 1))).shape
    (2, 5, 16, 16, 8)
    >>> layer.count_params()
    2648

    Args:
        filters: Integer ≥ 1, F, channels of h and c.
        kernel_size: Integer, or two, size of W's filters.
        peephole: What w is: "channel" for one number a channel, (3, F), "map" for one a pixel too,
            (3, height, width, F), both for i, f and o; None for none.
        recurrent_kernel_size: Size of U's filters; None for that of W's.
        peephole_initializer: Keras initializer of w.
        **kwargs: Further arguments of `keras.layers.LSTMCell` and of `Recurrent`.

    Input shape: (batch, steps, height, width, channels), known but for batch and steps. Of no
        channels at all there are no W: such a network runs of itself, from its `initial_state`.

    Output shape: (batch, height, width, filters), with `return_sequences` (batch, steps, height,
        width, filters). Two states, h and c, of the former.

    Raises:
        ValueError: If an argument is out of its range or an input has another rank.
    """

    @takes_numpy
    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        peephole: Tensor = "channel",
        recurrent_kernel_size: Sizes | None = None,
        peephole_initializer: Initializer = "zeros",
        **kwargs: Any,
    ) -> None:
        check_count("filters", filters)
        sizes = [size_tuple("kernel_size", kernel_size, 2)] * 2
        if recurrent_kernel_size is not None:
            sizes[1] = size_tuple("recurrent_kernel_size", recurrent_kernel_size, 2)
        check_choice("peephole", peephole, ("channel", "map", None))
        of_cell = {key: kwargs.pop(key) for key in OF_CELL if key in kwargs}
        cell = PeepholeConvCell(
            filters,
            sizes,
            peephole,
            peephole_initializer,
            dtype=kwargs.get("dtype"),
            name="cell",
            **of_cell,
        )
        super().__init__(cell, **kwargs)

    def _step_shape(self, shape):
        if len(shape) != 5 or None in shape[2:]:
            raise ValueError(
                f"The input of {self.name!r} must have the shape (batch, steps, height, width, "
                f"channels), of which the last three are known, but it has the shape "
                f"{tuple(shape)}."
            )
        return (shape[0], *shape[2:])

    def compute_output_shape(
        self, sequences_shape: Shapes, initial_state_shape: Shapes = None
    ) -> Shape:
        maps = (*self._step_shape(sequences_shape)[1:3], self.cell.units)
        batch, steps = sequences_shape[:2]
        shape = (batch, steps, *maps) if self.return_sequences else (batch, *maps)
        return (shape, (batch, *maps), (batch, *maps)) if self.return_state else shape

    def get_config(self) -> dict[str, Any]:
        config, of_cell = super().get_config(), self.cell.get_config()
        del config["cell"]
        sizes = self.cell.sizes
        return {
            **config,
            **{key: of_cell[key] for key in OF_CELL},
            "filters": self.cell.units,
            "kernel_size": sizes[0],
            "recurrent_kernel_size": sizes[1],
            "peephole": self.cell.peephole_of,
            "peephole_initializer": keras.initializers.serialize(self.cell.peephole_initializer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**config)
