"""DepthGatedLSTMCell: LSTMs one on another, whose memories are joined by gates."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import ShapeLike, Tensor
from keras_recres.layers.cells.parts import product, value
from keras_recres.layers.cells.peephole_lstm_cell import PeepholeLSTMCell
from keras_recres.layers.checks import check_count, check_switch, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class DepthGatedLSTMCell(PeepholeLSTMCell):
    """One step of several LSTMs one on another, each of which may take over the memory below.

    d = σ(W_d x + w_c ⊙ c₋ + w_l ⊙ c_below + b_d)
    c = d ⊙ c_below + f ⊙ c₋ + i ⊙ tanh(W_c x + U_c h₋ + b_c)

    where x is h of the layer below, ₋ the step before, and all else as in `PeepholeLSTMCell`
    (arXiv 1508.03790, section 3). The lowest layer has no depth gate; with `input_memory` it has
    one, without w_l, and in the place of c_below it has P x, as in the authors' code. The output
    is h of the highest layer.

    Example:
    >>> cell = keras_recres.layers.DepthGatedLSTMCell(8, depth=2)
    >>> layer = keras_recres.layers.Recurrent(cell)
    >>> layer(keras.ops.ones((2, 5, 3))).shape
    (2, 8)
    >>> layer.count_params()  # the lower one 408, the upper one 568 and n² + 3n
    1064

    Args:
        units: Integer n ≥ 1, size of each h and c.
        depth: Integer ≥ 1, number of layers.
        input_memory: Whether the lowest layer has a depth gate.
        **kwargs: What `PeepholeLSTMCell` takes beside, for each layer.

    Input shape: (batch, features).

    Output shape: (batch, units), and the states h and c of each layer, the highest first.

    Raises:
        ValueError: If an argument is out of its range.
    """

    @takes_numpy
    def __init__(self, units: int, depth: int, input_memory: bool = False, **kwargs: Any) -> None:
        check_count("depth", depth)
        check_switch("input_memory", input_memory)
        super().__init__(units, **kwargs)
        self.depth = depth
        self.input_memory = input_memory
        self.state_size = [units] * (2 * depth)
        config, seed = PeepholeLSTMCell.get_config(self), self.seed
        self.layers = [
            PeepholeLSTMCell.from_config(
                {**config, "name": f"layer{i}", "seed": None if seed is None else seed + i}
            )
            for i in range(depth)
        ]
        self.gates = [
            _DepthGate(self, lowest=i == 0, name=f"gate{i}") if i or input_memory else None
            for i in range(depth)
        ]

    def build(self, input_shape: ShapeLike) -> None:
        for layer, gate in zip(self.layers, self.gates, strict=True):
            layer.build(input_shape)
            if gate is not None:
                gate.build(input_shape)
            input_shape = (input_shape[0], self.units)

    def project(self, inputs: Tensor, training: bool = False) -> Tensor:
        """What the lowest layer makes of inputs (…, batch, features), before its first state."""
        parts = [self.layers[0].project(inputs, training)]
        if self.input_memory:
            parts += self.gates[0].project(inputs)
        return ops.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]

    def step(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """The output and the states after a step, of `project`'s output."""
        after, below, n = [], None, self.units
        z, of_gate = projected[..., : 4 * n], projected[..., 4 * n : 5 * n]
        if self.input_memory:
            below = projected[..., 5 * n :]
        for i, (layer, gate) in enumerate(zip(self.layers, self.gates, strict=True)):
            own = states[2 * (self.depth - 1 - i) :][:2]
            if i:
                x = value(after[0], projected)
                z, (of_gate,) = layer.project(x, training), gate.project(x)
            carried = None if gate is None else gate.call(of_gate, own[1], below)
            _, new = layer.step(z, own, training, carried)
            after, below = [*new, *after], new[1]
        return after[0], after

    def all_steps(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False
    ) -> tuple[Tensor, list[Tensor]] | None:
        """None: one step after another."""
        return None

    def get_dropout_mask(self, step_input: Tensor) -> list[Tensor] | None:
        """Draws the masks of all layers' inputs; each layer keeps its own."""
        for i, layer in enumerate(self.layers):
            rows = ops.shape(step_input)[0]
            layer.get_dropout_mask(
                ops.zeros((rows, self.units), step_input.dtype) if i else step_input
            )

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> list[Tensor] | None:
        """Draws the masks of all layers' recurrent features."""
        for layer in self.layers:
            layer.get_recurrent_dropout_mask(step_input)

    def reset_dropout_mask(self) -> None:
        """Forgets the masks of the inputs."""
        for layer in self.layers:
            layer.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        """Forgets the masks of the recurrent features."""
        for layer in self.layers:
            layer.reset_recurrent_dropout_mask()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "depth": self.depth,
            "input_memory": self.input_memory,
        }


class _DepthGate(keras.layers.Layer):
    """d ⊙ c_below, with the initializers, regularizers and constraints of a cell."""

    def __init__(self, cell, lowest, name):
        super().__init__(name=name, dtype=cell.dtype_policy, autocast=False)
        config = PeepholeLSTMCell.get_config(cell)
        self.units, self.use_bias, self.lowest = cell.units, cell.use_bias, lowest
        self.activation = cell.recurrent_activation
        kinds = {
            "initializer": keras.initializers,
            "regularizer": keras.regularizers,
            "constraint": keras.constraints,
        }
        # Of each its own, which no other layer has drawn from.
        self.options = {
            of: {kind: module.get(config[f"{of}_{kind}"]) for kind, module in kinds.items()}
            for of in ("kernel", "bias")
        }
        self.peephole_initializer = keras.initializers.get(config["peephole_initializer"])

    def build(self, input_shape):
        n, m = self.units, input_shape[-1]
        self.kernel = self.add_weight((m, n), name="kernel", **self.options["kernel"])
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight((n,), name="bias", **self.options["bias"])
        rows = 1 if self.lowest else 2
        self.peephole = self.add_weight((rows, n), self.peephole_initializer, name="peephole")
        if self.lowest:
            options = self.options["kernel"]
            self.memory_kernel = self.add_weight((m, n), name="memory_kernel", **options)

    def project(self, inputs):
        z = product(inputs, self.kernel)
        if self.bias is not None:
            z = z + value(self.bias, z)
        return [z, product(inputs, self.memory_kernel)] if self.lowest else [z]

    def call(self, projected, memory, below):
        projected, below = value(projected, memory), value(below, memory)
        seen = [memory] if self.lowest else [memory, below]
        peepholes = value(self.peephole, memory, rows=True)
        z = projected + sum(p * c for p, c in zip(peepholes, seen, strict=True))
        return self.activation(z) * below
