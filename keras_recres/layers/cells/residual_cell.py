"""ResidualCell and CellBranch: a residual block as a recurrent cell, and a cell as a block."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_recres")
class ResidualCell(keras.layers.Layer):
    """One step of a residual block as a cell for `keras.layers.RNN` and `Recurrent`.

    x_t = x_{t−1} + s f(z),  z = x_{t−1}, x_{t−1} + u_t or [x_{t−1}, u_t]

    with the equations of `RecurrentResidual` (arXiv 1604.03640, section 2), whose input x_0 is the
    initial state, and which is given again as u_t, the sequence, where a step injects it.

    Args:
        branch: f, a Keras layer that returns the state's shape.
        state_shape: Shape of x without the batch axis.
        shortcut: "add", or "none" for x_t = x_{t−1} + s (f(z) − x_{t−1}).
        residual_scale: s; None for 1.
        inject_input: None, "add" or "concat", see z.
    """

    def __init__(
        self,
        branch,
        state_shape,
        shortcut="add",
        residual_scale=None,
        inject_input=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.branch = branch
        self.shortcut = shortcut
        self.residual_scale = residual_scale
        self.inject_input = inject_input
        self.state_shape = tuple(state_shape)
        # Keras' own RNN knows vectors alone, `Recurrent` states of any shape.
        vector = len(self.state_shape) == 1
        self.state_size = self.state_shape[0] if vector else [self.state_shape]
        self.output_size = self.state_size if vector else self.state_shape

    def build(self, input_shape):
        if not self.branch.built:
            *inner, channels = self.state_shape
            wide = channels * (2 if self.inject_input == "concat" else 1)
            self.branch(keras.KerasTensor((None, *inner, wide), dtype=self.compute_dtype))

    def call(self, inputs, states, training=False):
        x = z = states[0]
        inputs = ops.cast(inputs, x.dtype)
        if self.inject_input == "add":
            z = x + inputs
        elif self.inject_input == "concat":
            z = ops.concatenate([x, inputs], axis=-1)
        y = ops.cast(self.branch(z, training=training), x.dtype)
        s = 1.0 if self.residual_scale is None else self.residual_scale
        x = (x if self.shortcut == "add" else (1 - s) * x) + s * y
        return x, [x]

    def get_config(self):
        return {
            **super().get_config(),
            "branch": keras.saving.serialize_keras_object(self.branch),
            "state_shape": list(self.state_shape),
            "shortcut": self.shortcut,
            "residual_scale": self.residual_scale,
            "inject_input": self.inject_input,
        }

    @classmethod
    def from_config(cls, config):
        branch = keras.saving.deserialize_keras_object(config["branch"])
        return cls(**{**config, "branch": branch})


@keras.saving.register_keras_serializable(package="keras_recres")
class CellBranch(keras.layers.Layer):
    """One step of a recurrent cell as a branch: [states, input] → [new states, the same input].

    Args:
        cell: A recurrent cell whose states are vectors.
    """

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell
        self.sizes = keras.tree.flatten(cell.state_size)

    def build(self, input_shape):
        if not self.cell.built:
            self.cell.build((*input_shape[:-1], input_shape[-1] - sum(self.sizes)))
            self.cell.built = True

    def call(self, inputs, training=False):
        places = [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        *states, x = ops.split(inputs, places, axis=-1)
        states = keras.tree.pack_sequence_as(self.cell.state_size, states)
        states = states if isinstance(states, list | tuple) else [states]
        _, states = self.cell(x, states, training=training)
        return ops.concatenate([*keras.tree.flatten(states), x], axis=-1)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "cell": keras.saving.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "cell": keras.saving.deserialize_keras_object(config["cell"])})
