"""Recurrent: a cell run over the steps of sequences."""

import functools
import types
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private
from keras_recres.backend.types import Data, Shapes, Tensor
from keras_recres.layers import time_loop
from keras_recres.layers.checks import a_kind, check_choice, check_count, check_switch, takes_numpy

LOOPS = ("auto", "scan", "unroll")


@keras.saving.register_keras_serializable(package="keras_recres")
class Recurrent(keras.layers.RNN):
    """Runs a cell over the steps of sequences: `keras.layers.RNN`, the same on every backend.

    y_t, s_t = cell(x_t, s_{t−1}),  t = 1 … T

    As a residual block run again is a recurrent network in depth (RecurrentResidual, arXiv
    1604.03640), a cell run again is one in time. Beyond `keras.layers.RNN`:

    - A step that the mask leaves out keeps all states, of any shape, and repeats the previous
      output, zeros before the first; so padding changes nothing, on whichever side it lies. The
      mask that comes with the input counts also where an `initial_state` is given.
    - States are float32 in mixed precision; sequences of no step are allowed; an output and a
      state may have any shape; `sequences` may be several tensors, as the cell takes them.
    - `stateful` carries states through `fit`, `evaluate` and `predict`, and `reset_state` takes
      the cell's own first states, or those it is given.
    - `truncate` stops the gradient in the graph.

    A cell's `dropout` draws one mask for all steps; `keras.layers.Dropout` before this layer
    draws anew for each. A cell may offer `project(inputs, training)`, the part of a step that
    depends on the inputs (…, batch, features) alone, and `step(projected, states, training)`, the
    rest of it: then the first is computed of all steps at once, where that pays. And it may offer
    `all_steps(projected, states, training)`, the outputs (time, batch, …) and last states of
    sequences without a mask in training, or None where it has no faster way to them.

    Example:
    >>> layer = keras_recres.layers.Recurrent(keras.layers.GRUCell(8), return_state=True)
    >>> x = keras.ops.ones((2, 5, 3))
    >>> mask = keras.ops.convert_to_tensor([[True, True, True, False, False], [True] * 5])
    >>> output, state = layer(x, mask=mask)
    >>> tuple(output.shape), tuple(state.shape)
    ((2, 8), (2, 8))

    Args:
        cell: Recurrent cell of `keras.layers` or `keras_recres.layers`, or one of your own, or a
            list of them, one on top of another. In its `state_size` and `output_size` a tuple
            inside the list is the shape of one state.
        return_sequences: Whether to return the outputs of all steps.
        return_state: Whether to return, besides, the last states.
        go_backwards: Whether to begin with the last step. Outputs, and their mask, are then in
            the reversed order.
        stateful: Whether the last states of a batch are the first ones of the next, whose size
            is then fixed.
        truncate: None, or k ≥ 1: gradients do not flow back through the states at every k-th
            step, of those that count for an example, from the first.
        loop: "scan" (a loop in the graph, whose compile time does not grow with the length; a
            Python loop on PyTorch), "unroll" (the steps one after another, of a known number),
            or "auto". All give the same numbers.
        zero_output_for_mask: Whether outputs of steps that the mask leaves out are zeros, with
            `return_sequences`.

    Call arguments:
        sequences: Tensor (batch, time, …), or several in a structure.
        initial_state: The first states, or None for the cell's own.
        mask: Boolean (batch, time), or None.
        training: Whether the cell runs in training mode.
        constants: What every step's `cell.call(inputs, states, constants=…)` is given.

    Input shape: (batch, time, features).

    Output shape: (batch, features), with `return_sequences` (batch, time, features); a tuple of
    it and of each state with `return_state`.

    Raises:
        ValueError: If an argument is out of its range or a shape does not fit.
    """

    @takes_numpy
    def __init__(
        self,
        cell: keras.layers.Layer | Sequence[keras.layers.Layer],
        return_sequences: bool = False,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        truncate: int | None = None,
        loop: str = "auto",
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        cells = cell if isinstance(cell, list | tuple) else [cell]
        if not cells or not all(hasattr(c, "call") and hasattr(c, "state_size") for c in cells):
            raise ValueError(
                f"`cell` must be a recurrent cell, with `state_size` and `call(inputs, states)`, "
                f"or a list of them, but it is {cell!r}."
            )
        switches = {
            "return_sequences": return_sequences,
            "return_state": return_state,
            "stateful": stateful,
            "go_backwards": go_backwards,
            "zero_output_for_mask": zero_output_for_mask,
        }
        for name, value in switches.items():
            check_switch(name, value)
        if truncate is not None:
            check_count("truncate", truncate)
        check_choice("loop", loop, LOOPS)
        # Inputs are cast in `call`, which leaves states in the dtype of the weights.
        super().__init__(cell, **switches, autocast=False, **kwargs)
        self.truncate = truncate
        self.loop = loop

    @property
    def states(self) -> Any:
        """The states that a stateful layer goes on from, as the cell has them, or None."""
        return self._carried.states

    @states.setter
    def states(self, value):
        # In a plain namespace, or Keras would take the states for weights.
        self._carried = types.SimpleNamespace(states=value)

    @property
    def variables(self) -> list[keras.Variable]:
        # Without being weights, states go through `fit` and `predict` as random seeds do.
        return [*super().variables, *keras.tree.flatten(self.states or [])]

    def build(
        self,
        sequences_shape: Shapes,
        initial_state_shape: Shapes = None,
        constants_shape: Shapes = None,
    ) -> None:
        steps = _map_shapes(self._step_shape, sequences_shape)
        if isinstance(self.cell, keras.layers.Layer) and not self.cell.built:
            self.cell.build(steps)
            self.cell.built = True
        if self.stateful:
            while not _is_shape(steps):
                steps = next(iter(steps.values())) if isinstance(steps, dict) else steps[0]
            if steps[0] is None:
                raise ValueError(
                    f"{self.name!r} is stateful and must know the size of its batches, but the "
                    f"shape of its input is {tuple(sequences_shape)}: give keras.Input a "
                    "`batch_size`."
                )
            self._carried.states = keras.tree.map_structure(
                lambda state: keras.Variable(
                    state, trainable=False, dtype=state.dtype, name="rnn_state"
                ),
                self.get_initial_state(steps[0]),
            )

    def _step_shape(self, shape):
        if len(shape) < 3:
            raise ValueError(
                f"The input of {self.name!r} must have the shape (batch, time, features), but it "
                f"has the shape {tuple(shape)}."
            )
        return (shape[0], *shape[2:])

    def state_specs(self, batch: int | None = None) -> list[Any]:
        """Each state as a `keras.KerasTensor`, in the cell's structure."""
        specs = self._specs_of(self.cell, batch)
        return specs if isinstance(specs, list) else [specs]

    def _specs_of(self, cell, batch):
        if isinstance(cell, keras.layers.StackedRNNCells):
            return [self._specs_of(inner, batch) for inner in cell.cells]
        sizes = cell.state_size
        if isinstance(sizes, int):
            return self._spec(sizes, batch)
        return [self._spec(size, batch) for size in sizes]

    def _spec(self, size, batch):
        size = size if isinstance(size, list | tuple) else (size,)
        return keras.KerasTensor((batch, *size), dtype=self.variable_dtype)

    def output_spec(self, *axes: int | None) -> keras.KerasTensor:
        """A step's output as a `keras.KerasTensor`, with these axes before its own."""
        cell = self.cell
        while isinstance(cell, keras.layers.StackedRNNCells):
            cell = cell.cells[-1]
        size = getattr(cell, "output_size", None)
        if size is None:
            size = keras.tree.flatten(self._specs_of(cell, None))[0].shape[1:]
        size = size if isinstance(size, list | tuple) else (size,)
        return keras.KerasTensor((*axes, *size), dtype=self.compute_dtype)

    def get_initial_state(self, batch_size: int | None) -> list[Any]:
        """The cell's own first states, else zeros, in the dtypes that they keep."""
        if hasattr(self.cell, "get_initial_state"):
            states = self.cell.get_initial_state(batch_size=batch_size)
        else:
            states = keras.tree.map_structure(
                lambda spec: ops.zeros((batch_size, *spec.shape[1:]), dtype=spec.dtype),
                self.state_specs(),
            )
        return self._kept(states if keras.tree.is_nested(states) else [states])

    def _kept(self, states):
        """States, checked, in the cell's structure and in the dtypes that they keep."""
        specs = self.state_specs()
        states = [ops.convert_to_tensor(state) for state in keras.tree.flatten(states)]
        wanted = [spec.shape for spec in keras.tree.flatten(specs)]
        shapes = [tuple(state.shape) for state in states]
        if len(shapes) != len(wanted) or not all(map(_fits, shapes, wanted)):
            raise ValueError(
                f"The states of {self.name!r} must have the shapes {wanted}, where None is the "
                f"batch's size, but these have the shapes {shapes}."
            )
        # Also in mixed precision: what is added up over many steps would be rounded in each.
        dtypes = [keras.backend.standardize_dtype(state.dtype) for state in states]
        states = [
            ops.cast(state, self.variable_dtype) if keras.backend.is_float_dtype(dtype) else state
            for state, dtype in zip(states, dtypes, strict=True)
        ]
        return keras.tree.pack_sequence_as(specs, states)

    def reset_state(self, states: Data = None) -> None:
        """Lets a stateful layer begin anew.

        Args:
            states: The states to begin from, arrays as the cell has them; None for its own.

        Raises:
            ValueError: If the layer carries no states, or those given do not fit.
        """
        if self.states is None:
            if states is not None:
                raise ValueError(
                    f"{self.name!r} carries no states yet: it needs `stateful=True`, and a call."
                )
            return
        variables = keras.tree.flatten(self.states)
        batch = variables[0].shape[0]
        states = self.get_initial_state(batch) if states is None else self._kept(states)
        for variable, state in zip(variables, keras.tree.flatten(states), strict=True):
            variable.assign(state)

    def reset_states(self, states: Data = None) -> None:
        """`reset_state`, as Keras 2 called it."""
        self.reset_state(states)

    def call(
        self,
        sequences: Data,
        initial_state: Data = None,
        mask: Tensor | None = None,
        training: bool | None = None,
        constants: Data = None,
    ) -> Any:
        if mask is None:
            # Keras looks for it only where the sequences are all that the call is given.
            mask = keras.tree.map_structure(keras_private.get_mask, sequences)
        sequences = keras.tree.map_structure(lambda x: ops.cast(x, self.compute_dtype), sequences)
        first = keras.tree.flatten(sequences)[0]
        mask = self._checked_mask(mask, first)
        self._check_call(first.shape, constants)
        variables = keras.tree.flatten(self.states or [])
        if variables and first.shape[0] not in (None, variables[0].shape[0]):
            raise ValueError(
                f"{self.name!r} is stateful for batches of {variables[0].shape[0]}, but this one "
                f"has {first.shape[0]}: build the model anew, or leave the rest out."
            )
        if initial_state is not None:
            states = self._kept(initial_state)
        elif variables:
            # Copies: PyTorch needs the values of now for the gradient.
            values = [ops.copy(value) for value in backend.raw_values(variables)]
            states = keras.tree.pack_sequence_as(self.states, values)
        else:
            states = self.get_initial_state(ops.shape(first)[0])
        outputs, states = time_loop.run(self, sequences, states, mask, training, constants)
        if variables:
            with backend.full_precision():
                for variable, state in zip(variables, keras.tree.flatten(states), strict=True):
                    variable.assign(ops.stop_gradient(state))
        return (outputs, *states) if self.return_state else outputs

    def _check_call(self, shape, constants):
        if self.loop == "unroll" and shape[1] is None:
            raise ValueError(
                f"{self.name!r} cannot unroll an unknown number of steps, of an input of the "
                f"shape {tuple(shape)}: use loop='scan'."
            )
        cells = time_loop.cells_of(self.cell)
        if constants is not None and not any(time_loop.takes(c.call, "constants") for c in cells):
            raise ValueError(
                f"{self.name!r} is given `constants`, which no `call` of its cell, "
                f"{a_kind(cells[-1])}, takes: add the argument to it, or leave them out."
            )

    def _checked_mask(self, mask, x):
        """One boolean mask (batch, time) of those given, or None."""
        masks = [part for part in keras.tree.flatten(mask) if part is not None]
        for part in masks:
            shape = tuple(part.shape)
            if len(shape) != 2 or not all(map(_fits_axis, shape, x.shape)):
                raise ValueError(
                    f"The mask of {self.name!r} must have the shape (batch, time) of its input, "
                    f"{tuple(x.shape[:2])}, but it has the shape {shape}."
                )
        masks = [ops.cast(ops.convert_to_tensor(part), "bool") for part in masks]
        return functools.reduce(ops.logical_and, masks) if masks else None

    def compute_mask(self, sequences: Data, mask: Tensor | None = None) -> Any:
        masks = [part for part in keras.tree.flatten(mask) if part is not None]
        of_output = None
        if masks and self.return_sequences:
            of_output = functools.reduce(ops.logical_and, masks)
            if self.go_backwards:
                of_output = ops.flip(of_output, axis=1)
        if not self.return_state:
            return of_output
        return (of_output, *keras.tree.map_structure(lambda spec: None, self.state_specs()))

    def compute_output_spec(
        self, sequences: Data, initial_state: Data = None, constants: Data = None, **_: Any
    ) -> Any:
        shape = keras.tree.flatten(sequences)[0].shape
        self._check_call(shape, constants)
        batch, length = shape[:2]
        axes = (batch, length) if self.return_sequences else (batch,)
        output = self.output_spec(*axes)
        return (output, *self.state_specs(batch)) if self.return_state else output

    def compute_output_shape(
        self, sequences_shape: Shapes, initial_state_shape: Shapes = None, **_: Any
    ) -> Any:
        x = _map_shapes(lambda s: keras.KerasTensor(s, dtype=self.compute_dtype), sequences_shape)
        return keras.tree.map_structure(lambda spec: spec.shape, self.compute_output_spec(x))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["unroll"]
        return {**config, "truncate": self.truncate, "loop": self.loop}


def _is_shape(shape):
    return isinstance(shape, list | tuple) and all(n is None or isinstance(n, int) for n in shape)


def _map_shapes(function, shapes):
    """`function` of every shape in a structure of them."""
    if _is_shape(shapes):
        return function(tuple(shapes))
    if isinstance(shapes, dict):
        return {key: _map_shapes(function, shape) for key, shape in shapes.items()}
    return type(shapes)(_map_shapes(function, shape) for shape in shapes)


def _fits(shape, wanted):
    return len(shape) == len(wanted) and all(map(_fits_axis, shape, wanted))


def _fits_axis(size, wanted):
    return size is None or wanted is None or size == wanted
