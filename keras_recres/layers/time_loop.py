"""The loop inside Recurrent: over the steps of sequences, unrolled or in the graph."""

import contextlib
import functools
import inspect

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private
from keras_recres.layers.cells.parts import weights_read_once

# Up to so many steps unrolled ones compile as fast as a loop in the graph.
UNROLL_UP_TO = 4

KERAS_CELLS = keras.layers.SimpleRNNCell, keras.layers.LSTMCell, keras.layers.GRUCell


def run(layer, sequences, states, mask=None, training=False, constants=None):
    """Runs the cell of a built Recurrent over the steps, in their order or backwards.

    Args:
        layer: The Recurrent.
        sequences: Tensors (batch, time, …), a structure as the cell takes it.
        states: The first states, a structure as the cell has it, in the dtypes that they keep.
        mask: Boolean tensor (batch, time), or None.
        training: Whether the cell runs in training mode.
        constants: What every step is given beside its inputs, or None.

    Returns:
        The outputs of all steps, (batch, time, …), or the last one, and the last states.
    """
    xs = {"inputs": keras.tree.map_structure(_time_major, sequences)}
    first = keras.tree.flatten(sequences)[0]
    # Of TensorFlow's graphs the length may be known only when they run.
    batch, length = ops.shape(first)[0], first.shape[1]
    if mask is not None:
        xs["mask"] = _time_major(mask)
    if layer.go_backwards:
        xs = keras.tree.map_structure(lambda x: ops.flip(x, axis=0), xs)
    if layer.truncate and (mask is not None or length is None or length > layer.truncate):
        xs["cut"] = _cuts(layer.truncate, xs)
    hoists = _hoists(layer.cell, constants)
    step = Step(layer, states, training, constants, hoists)
    form = form_of_loop(layer.loop, length, first)
    whole = (
        bool(training and length and constants is None)
        and not ("mask" in xs or "cut" in xs)
        and hasattr(layer.cell, "all_steps")
        and (form == "scan" or keras.backend.backend() == "torch")
    )
    reading = _reading(layer.cell) if hoists or whole else contextlib.nullcontext()
    with _drawn_dropout(layer.cell, xs["inputs"], states, training), reading:
        if hoists or whole:
            projected = layer.cell.project(
                ops.cast(xs["inputs"], layer.cell.compute_dtype),
                **_training(layer.cell.project, training),
            )
            if whole and (found := layer.cell.all_steps(projected, states, training)) is not None:
                outputs, states = found
                return _time_major(outputs) if layer.return_sequences else outputs[-1], states
            if hoists:
                xs["inputs"] = projected
        shape = (batch, *layer.output_spec().shape)
        carry = {"states": keras.tree.flatten(states)}
        if mask is not None or not layer.return_sequences:
            # Before the first step that counts there is no output.
            carry["output"] = ops.zeros(shape, dtype=layer.compute_dtype)
        if length == 0:
            ys = {"output": ops.zeros((0, *shape), dtype=layer.compute_dtype)}
        elif form == "scan":
            carry, ys = step.in_graph(carry, xs, shape)
        else:
            with weights_read_once():
                carry, ys = _unrolled(step, carry, xs)
    states = keras.tree.pack_sequence_as(states, carry["states"])
    return (_time_major(ys["output"]) if layer.return_sequences else carry["output"]), states


def form_of_loop(loop, length, x):
    """What a layer's `loop` means for so many steps: "unroll" or "scan".

    Args:
        loop: The layer's argument.
        length: Number of steps, or None.
        x: A tensor of the inputs.
    """
    if keras.backend.backend() == "torch":
        # It runs eagerly: both are one Python loop.
        return "unroll"
    if loop != "auto":
        return loop
    # Outside a compiled function JAX would compile a loop anew at every call.
    short = length is not None and length <= UNROLL_UP_TO
    return "unroll" if short or not backend.is_traced(x) else "scan"


class Step:
    """One step of a Recurrent: `carry, y = step(carry, x)`.

    The carry holds the states and, where it is wanted later, the output before; x the inputs and,
    where there is a mask or a truncation, which examples the step is for, and for which of them
    its states are constants.
    """

    def __init__(self, layer, states, training, constants, hoisted):
        self.layer, self.structure = layer, states
        self.training, self.constants = training, constants
        self.hoisted = hoisted and functools.partial(
            layer.cell.step, **_training(layer.cell.step, training)
        )
        self.dtype = ops.zeros((), dtype=layer.compute_dtype).dtype
        self.zeros = layer.zero_output_for_mask and layer.return_sequences

    def __call__(self, carry, x):
        # Flat: a Python loop spends a good part of its time on structures.
        states = carry["states"]
        if "cut" in x:
            cut = x["cut"]
            states = [_where(cut, ops.stop_gradient(s), s) for s in states]
        if self.hoisted:
            output, new = self.hoisted(x["inputs"], states)
        else:
            packed = keras.tree.pack_sequence_as(self.structure, states)
            output, new = advance(
                self.layer.cell, x["inputs"], packed, self.training, self.constants
            )
            new = keras.tree.flatten(new)
        new = [_cast(n, s.dtype) for n, s in zip(new, states, strict=True)]
        output = after = _cast(output, self.dtype)
        if "mask" in x:
            mask = x["mask"]
            new = [_where(mask, n, s) for n, s in zip(new, states, strict=True)]
            after = _where(mask, output, carry["output"])
            output = _where(mask, output, ops.zeros_like(output)) if self.zeros else after
        carry = {"states": new, "output": after} if "output" in carry else {"states": new}
        return carry, ({"output": output} if self.layer.return_sequences else {})

    def in_graph(self, carry, xs, shape):
        """All steps as a loop in the graph, which takes a function without side effects.

        Everything that a cell may change, random state, statistics and losses, is passed in and
        out.

        Args:
            carry: What the first step is given.
            xs: Structure of tensors (time, …).
            shape: Shape of an output.
        """
        variables = getattr(self.layer.cell, "variables", [])
        changing = [i for i, v in enumerate(variables) if not v.trainable]
        values, changed, losses = backend.raw_values(variables), set(), []

        def step(carry, x, values=values):
            mapping = list(zip(variables, values, strict=True))
            for i, value in zip(changing, carry["variables"], strict=True):
                mapping[i] = (variables[i], value)
            with keras.StatelessScope(mapping, collect_losses=True) as scope:
                new, y = self({k: v for k, v in carry.items() if k in ("states", "output")}, x)
            for i in changing:
                if scope.get_current_value(variables[i]) is not mapping[i][1]:
                    changed.add(i)
            loss = carry["loss"]
            if scope.losses:
                losses.append(True)
                loss = loss + sum(ops.cast(value, "float32") for value in scope.losses)
                keras_private.forget_losses(self.layer.cell, scope.losses)
            new["variables"] = [scope.get_current_value(variables[i]) for i in changing]
            return {**new, "loss": loss}, y

        carry = {
            **carry,
            "variables": [ops.copy(values[i]) for i in changing],
            "loss": ops.zeros((), dtype="float32"),
        }
        outputs = {"output": (shape, self.layer.compute_dtype)}
        carry, ys = backend.scan_sequence(
            step,
            carry,
            xs,
            outputs if self.layer.return_sequences else {},
            values if self.training else None,
        )
        with backend.full_precision():
            for i, value in zip(changing, carry["variables"], strict=True):
                # What no step changes is not assigned: exporters of graphs refuse assignments.
                if i in changed:
                    variables[i].assign(value)
        if losses:
            self.layer.add_loss(carry["loss"])
        return carry, ys


def advance(cell, inputs, states, training=False, constants=None):
    """One step of a cell, or of a stack of them, on states of any structure.

    Returns:
        The output and the new states, in the structure of the old ones.
    """
    if isinstance(cell, keras.layers.StackedRNNCells):
        after = []
        for inner, own in zip(cell.cells, states, strict=True):
            inputs, own = advance(inner, inputs, own, training, constants)
            after.append(own)
        return inputs, after
    given = _training(cell.call, training)
    if constants is not None and takes(cell.call, "constants"):
        given["constants"] = constants
    nested = keras.tree.is_nested(states)
    before = list(states) if nested else [states]
    with _reading(cell):
        if isinstance(cell, keras.layers.Layer):
            inputs = keras.tree.map_structure(lambda x: ops.cast(x, _dtype(cell)), inputs)
            if not hasattr(cell, "step"):
                before = [ops.cast(s, _dtype(cell)) if _is_float(s) else s for s in before]
        output, after = cell.call(inputs, before, **given)
    return output, keras.tree.pack_sequence_as(states, keras.tree.flatten(after))


def cells_of(cell):
    """The cells of a stack, or a list of the one."""
    return cell.cells if isinstance(cell, keras.layers.StackedRNNCells) else [cell]


def _unrolled(step, carry, xs):
    ys = []
    columns = [_steps(x) for x in xs.values()]
    for values in zip(*columns, strict=True):
        carry, y = step(carry, dict(zip(xs, values, strict=True)))
        ys.append(y)
    return carry, keras.tree.map_structure(lambda *leaves: ops.stack(leaves), *ys)


def _steps(x):
    """The steps of sequences (time, …), in their structure."""
    if not keras.tree.is_nested(x):
        return ops.unstack(x)
    columns = zip(*map(ops.unstack, keras.tree.flatten(x)), strict=True)
    return [keras.tree.pack_sequence_as(x, values) for values in columns]


def _hoists(cell, constants):
    """Whether the input's product is taken of all steps at once.

    On a CPU, JAX loses more by the larger array than it gains by the larger product. So does
    TensorFlow on an Intel Xeon, a fifth; elsewhere it gained up to 15 %. On a GPU neither is
    measured.
    """
    return (
        keras.backend.backend() == "torch"
        and constants is None
        and hasattr(cell, "project")
        and hasattr(cell, "step")
    )


def _cuts(every, xs):
    """Before which steps the gradient stops, boolean (time, batch or 1).

    Every so many of the steps that count for an example, wherever its padding lies.
    """
    if "mask" in xs:
        counts = ops.cast(xs["mask"], "int32")
    else:
        counts = ops.ones_like(keras.tree.flatten(xs["inputs"])[0], dtype="int32")
        counts = ops.max(ops.reshape(counts, (*ops.shape(counts)[:1], -1)), axis=1, keepdims=True)
    before = ops.cumsum(counts, axis=0) - counts
    cut = ops.logical_and(before > 0, before % every == 0)
    return ops.logical_and(cut, ops.cast(counts, "bool"))


@contextlib.contextmanager
def _drawn_dropout(cell, inputs, states, training):
    """Inside, each cell with dropout has its masks, the same for all steps."""
    cells = cells_of(cell)
    states = [states] if cells == [cell] else states
    drop = [c for c in cells if training and hasattr(c, "get_dropout_mask")]
    for i, inner in enumerate(cells):
        if inner in drop:
            x = keras.tree.flatten(inputs)[0]
            features = x.shape[2:] if i == 0 else (cells[i - 1].output_size,)
            x = ops.zeros((ops.shape(x)[1], *features), dtype=inner.compute_dtype)
            inner.get_dropout_mask(x)
            h = keras.tree.flatten(states[i])[0]
            inner.get_recurrent_dropout_mask(ops.cast(h, inner.compute_dtype))
    try:
        yield
    finally:
        for inner in drop:
            inner.reset_dropout_mask()
            inner.reset_recurrent_dropout_mask()


def _reading(cell):
    """A scope in which the cell's weights are read in its compute dtype."""
    if isinstance(cell, keras.layers.Layer):
        return keras_private.autocast_scope(_dtype(cell))
    return contextlib.nullcontext()


def _dtype(cell):
    """The dtype that a cell computes in: in mixed precision Keras' cells in that of their states.

    They would round their states in each step. Cells of ours take wider states than inputs.
    """
    whole = isinstance(cell, KERAS_CELLS) and not hasattr(cell, "step")
    return cell.variable_dtype if whole else cell.compute_dtype


def _is_float(x):
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))


def takes(method, argument):
    """Whether a method has an argument of a name."""
    return argument in _arguments(getattr(method, "__func__", method))


@functools.lru_cache
def _arguments(function):
    return inspect.signature(function).parameters


def _training(method, training):
    """`training` as a keyword, if a method takes it."""
    return {"training": training} if takes(method, "training") else {}


def _cast(x, dtype):
    return x if x.dtype == dtype else ops.cast(x, dtype)


def _where(condition, x, y):
    """`x` for the examples of which the condition (batch,) is true, `y` for the others."""
    shape = (-1,) + (1,) * (len(x.shape) - 1)
    return ops.where(ops.reshape(condition, shape), x, y)


def _time_major(x):
    """(batch, time, …) as (time, batch, …), and back."""
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))
