"""Sees what the layers of a model put out while it runs once."""

import difflib
import fnmatch
import math

import keras
from keras import ops, tree

from keras_recres.backend import keras_private, probe
from keras_recres.layers import RecurrentResidual
from keras_recres.probes.tracing import is_float

GLOBAL_MAX_POOLINGS = (
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalMaxPooling3D,
)
# At which inputs functions have their kinks, if not at 0 alone.
KINKS = {
    "relu6": (0.0, 6.0),
    "hard_tanh": (-1.0, 1.0),
    "hard_sigmoid": (-3.0, 3.0),
}


class Refusal(ValueError):
    """What a probe cannot do, in one sentence."""


class Recorder:
    """Records rows: the outputs of layers, and of the steps of recurrent ones.

    Attributes:
        outputs: Tensors (batch, …), in the order in which they were computed.
        labels: For each of them (path, identity of the layer).
        kinks: For each of them how often a piecewise linear function, in what was computed
            before, is on different pieces for one example and the next, (batch − 1,); or None as
            long as there was no such function.
        failed: Path of the layer in whose call an error was raised, or None.

    Args:
        dtype: What the layers compute in.
        batch: Number of examples.
        wanted: None for the layers that models call directly, "all" for every layer, or a list of
            names, wildcards and layers.
        steps: Whether every step of a RecurrentResidual is recorded, and not only the last one.
    """

    def __init__(self, dtype, batch, wanted=None, steps=True):
        self.dtype = dtype
        self.batch = batch
        self.wanted = wanted
        self.steps = steps
        self.outputs, self.labels, self.kinks = [], [], []
        self._called, self._recorded = [], []
        self.failed = None
        self._stack = []
        self._crossed = None
        self._quiet = self._hidden = 0

    def called(self, original, layer, args, kwargs):
        """Runs the call of a layer, and records its output."""
        self._stack.append(layer)
        try:
            path = "/".join(inner.name for inner in self._stack[1:]) or layer.name
            wanted = self._wants(layer, path)
            states = None
            if wanted and self.steps and isinstance(layer, RecurrentResidual):
                outputs, states = _with_states(original, layer, args, kwargs)
            elif isinstance(layer, keras.layers.RNN):
                outputs = self.in_a_loop(original, (layer, *args), kwargs)
            elif isinstance(layer, keras.layers.PReLU):
                if not (self._quiet or self._hidden):
                    self._count(args[0], lambda x: ops.greater(x, 0))
                outputs = self._quietly(original, (layer, *args), kwargs)
            else:
                outputs = original(layer, *args, **kwargs)
            if isinstance(layer, GLOBAL_MAX_POOLINGS) and not self._hidden:
                self._global_max(layer, args[0])
        except Exception:
            self.failed = self.failed or path
            raise
        finally:
            self._stack.pop()
        self._called.append((id(layer), layer.name, path))
        if wanted:
            found = states if states is not None else [_first_float(outputs)]
            for output in found:
                self._record(output, path, layer)
        return outputs

    def _wants(self, layer, path):
        if self.wanted is None:
            # A model is what its layers are, unless it does something after them.
            parents = self._stack[:-1]
            return all(isinstance(parent, keras.Model) for parent in parents) and not isinstance(
                layer, keras.Model
            )
        if self.wanted == "all":
            return True
        return any(_matches(entry, id(layer), layer.name, path) for entry in self.wanted)

    def _record(self, output, path, layer):
        if self._hidden or output is None or not self._is_batch(output):
            return
        self.outputs.append(output)
        self.labels.append((path, id(layer)))
        self._recorded.append((id(layer), path.rpartition("/")[-1], path))
        self.kinks.append(self._crossed)

    def begin(self, inputs):
        """Records the curve itself, as the row "input"."""
        output = _first_float(inputs)
        if self.wanted is None or (self.wanted != "all" and "input" in self.wanted):
            self._record(output, "input", None)

    def finish(self, output, model):
        """Records the model's own output, if no layer put it out.

        Returns:
            `outputs`, which are forgotten here.

        Raises:
            Refusal: If there is nothing, or not all that is wanted.
        """
        output = _first_float(output)
        if self.wanted is None and not any(output is other for other in self.outputs):
            self._record(output, model.name, model)
        for entry in self.wanted if isinstance(self.wanted, tuple) else ():
            self._check_found(entry)
        if not self.outputs:
            raise Refusal(
                f"no layer of {model.name!r} puts out floating-point numbers for every example."
            )
        # Only labels are needed from here on, and these tensors are no longer alive outside.
        outputs, self.outputs = self.outputs, []
        return outputs

    def _check_found(self, entry):
        """Raises a Refusal if an entry of `wanted` has no row."""
        if any(_matches(entry, *call) for call in self._recorded):
            return
        name = entry if isinstance(entry, str) else entry.name
        if any(_matches(entry, *call) for call in self._called):
            raise Refusal(
                f"the layer {name!r} of `layers` does not put out floating-point numbers for "
                f"every example, or does so inside a loop, where it cannot be seen."
            )
        names = sorted({path for _, _, path in self._called})
        close = difflib.get_close_matches(name, names, n=3) or names[:12]
        raise Refusal(
            f"`layers` has {name!r}, but the model calls no such layer; there are "
            f"{', '.join(map(repr, close))}{', …' if len(close) < len(names) else ''}."
        )

    def all_kinks(self):
        """`kinks` as a list of tensors, empty if there are none."""
        if self._crossed is None:
            return []
        none = ops.zeros_like(self._crossed)
        return [none if crossed is None else crossed for crossed in self.kinks]

    def rows(self):
        """[(path, step)]: the step counts the outputs of a layer, None if it has one."""
        rows = []
        for label in self.labels:
            before = sum(row[1] == label for row in rows)
            rows.append(((label[0], before if self.labels.count(label) > 1 else None), label))
        return [row for row, _ in rows]

    def switched(self, name, original, args, kwargs):
        """Runs a piecewise linear function, and counts where it changes its piece."""
        if not (self._quiet or self._hidden):
            self._count_kinks(name, original, args, kwargs)
        return self._quietly(original, args, kwargs)

    def in_a_loop(self, function, args, kwargs):
        """Calls what runs layers inside a loop of the backend, whose tensors stay in there."""
        self._hidden += 1
        try:
            return function(*args, **kwargs)
        finally:
            self._hidden -= 1

    def _is_batch(self, x):
        return len(x.shape) > 0 and x.shape[0] == self.batch

    def _count_kinks(self, name, original, args, kwargs):
        if not args or not is_float(args[0]) or len(args[0].shape) < 2:
            return
        x = args[0]
        if not self._is_batch(x):
            return
        if name in ("maximum", "minimum"):
            self._count(x, lambda x: ops.greater(x, args[1]))
        elif name in ("max_pool", "adaptive_max_pool"):
            self._count(_positions_of_maxima(original, x, args[1:], kwargs))
        else:
            for kink in KINKS.get(name, (0.0,)):
                self._count(x, lambda x, kink=kink: ops.greater(x, kink))

    def _quietly(self, original, args, kwargs):
        """Some of these functions are made of others, for one and the same kink."""
        self._quiet += 1
        try:
            return original(*args, **kwargs)
        finally:
            self._quiet -= 1

    def _global_max(self, layer, x):
        axes = list(range(1, len(x.shape)))
        channels = axes[-1] if layer.data_format == "channels_last" else 1
        axes.remove(channels)
        x = ops.reshape(ops.transpose(x, (0, channels, *axes)), (self.batch, x.shape[channels], -1))
        self._count(x, lambda x: ops.argmax(x, axis=-1))

    def _count(self, x, piece=lambda x: x):
        """Adds up how many entries of `piece(x)` differ from one example to the next."""
        piece = piece(x)
        differ = ops.cast(ops.not_equal(piece[1:], piece[:-1]), self.dtype)
        differ = ops.sum(ops.reshape(differ, (self.batch - 1, -1)), axis=-1)
        self._crossed = differ if self._crossed is None else self._crossed + differ


def _matches(entry, identity, name, path):
    """Whether an entry of `layers`, a name with wildcards or a layer, means this one."""
    if isinstance(entry, str):
        return entry in (name, path) or any(fnmatch.fnmatchcase(n, entry) for n in (name, path))
    return id(entry) == identity


def _with_states(original, layer, args, kwargs):
    """Calls a RecurrentResidual: what it would have returned, and the state after each step."""
    returns_states = kwargs.get("return_states")
    returns_states = layer.return_states if returns_states is None else returns_states
    outputs = original(layer, *args, **{**kwargs, "return_states": True})
    states, rest = (outputs[0], outputs[1:]) if isinstance(outputs, tuple) else (outputs, ())
    each = [states[t] for t in range(states.shape[0])]
    if returns_states:
        return outputs, each
    mask = kwargs.get("mask")
    mask = keras_private.get_mask(args[0]) if mask is None and args else mask
    if mask is not None:
        keras_private.set_mask(each[-1], mask)
    return ((each[-1], *rest) if rest else each[-1]), each


def _first_float(outputs):
    """The first floating-point tensor of a structure, or None."""
    return next((leaf for leaf in tree.flatten(outputs) if is_float(leaf)), None)


def _positions_of_maxima(pool, x, args, kwargs):
    """Where in x a max pooling finds its maxima: its derivative in the direction of positions."""
    shape = tuple(x.shape[1:])
    positions = ops.reshape(ops.arange(math.prod(shape), dtype=x.dtype), (1, *shape))
    positions = ops.broadcast_to(positions, x.shape)
    return probe.jvp(lambda x: pool(x, *args, **kwargs), (x,), (positions,))[1]
