"""One call of a recurrent layer, taken apart: its steps forward, and backward again."""

import contextlib
import functools
import inspect

import keras
import numpy as np
from keras import ops, tree

from keras_recres import backend
from keras_recres.backend import keras_private, probe
from keras_recres.layers import Recurrent, RecurrentResidual, depth_loop, unsharing
from keras_recres.layers.checks import a_kind

KINDS = {"time": keras.layers.RNN, "depth": RecurrentResidual}


class Recurrence:
    """The steps h_t = F(h_{t−1}, x_t) of a layer on some examples.

    A step's state is all that passes on to the next one: for an LSTM h and c, one after the other.
    A step that a mask leaves out, or that comes after an early exit, keeps it.

    Attributes:
        layer: The layer.
        call: What its call was given, by the names of its arguments.
        outputs: What it put out.
        states: For each t from 0 to T a list of the state's parts, (examples, …) each.
        live: Which steps are taken, bool (examples, T).
        cuts: Where training stops the gradient of h_t before step t + 1, bool (examples, T).

    Args:
        model: A built Keras model.
        x: Its examples, a tensor or several.
        along: "time" or "depth".
        layer: The layer or its name; None for the first that is called.
    """

    def __init__(self, model, x, along, layer):
        self.model, self.x = model, x
        candidates = _candidates(model, along, layer)
        self._reach(candidates)
        self.output_state = None
        (self._in_time if along == "time" else self._in_depth)(**self.call)
        self._forward()

    def _reach(self, candidates):
        """Runs the model, and keeps what the first of the layers is given."""
        seen = {}

        def call(layer, original, *args, **kwargs):
            outputs = original(*args, **kwargs)
            if not seen:
                # Keras fills in no defaults, and masks and `training` come by name.
                given = inspect.signature(original).bind(*args, **kwargs).arguments
                if isinstance(layer, Recurrent) and given.get("mask") is None:
                    # Which it also reads off its input.
                    given["mask"] = keras_private.get_mask(next(iter(given.values())))
                tensors = {k: v for k, v in given.items() if _has_tensors(v)}
                seen.update(layer=layer, given=given, tensors=tensors, outputs=outputs)
            return outputs

        def run(x):
            seen.clear()
            with exchanged(candidates, call), _unchanged(self.model):
                self.model(x, training=False)
            return (seen["tensors"], seen["outputs"]) if seen else ()

        found = probe.run_once(run)(self.x)
        if not found:
            raise ValueError(f"{self.model.name!r} has {candidates[0].name!r}, and never calls it.")
        tensors, self.outputs = found
        self.layer, self.call = seen["layer"], {**seen["given"], **tensors}

    def _in_time(
        self, sequences, initial_state=None, mask=None, training=False, constants=None, **_
    ):
        layer, cell = self.layer, self.layer.cell
        if constants is not None or tree.is_nested(sequences):
            given = "several sequences" if constants is None else "`constants`"
            raise ValueError(
                f"The call of {layer.name!r} is given {given}, and a step is followed with one "
                "tensor and its state alone: give `layer` another one, or concatenate the inputs."
            )
        if initial_state is None:
            initial_state = layer.states if layer.stateful else None
        if initial_state is None:
            initial_state = layer.get_initial_state(batch_size=sequences.shape[0])
        initial_state = initial_state if tree.is_nested(initial_state) else [initial_state]
        structure = list(initial_state)
        self.initial = [ops.cast(state, "float32") for state in tree.flatten(structure)]
        sequence = ops.flip(sequences, 1) if layer.go_backwards else sequences
        times = sequences.shape[1]
        self.given = [([sequence[:, t]], []) for t in range(times)]
        self.live = np.ones((sequences.shape[0], times), bool)
        if mask is not None:
            mask = ops.convert_to_numpy(mask[0] if isinstance(mask, list | tuple) else mask)
            self.live = mask.astype(bool)[:, :: -1 if layer.go_backwards else 1]
        # Steps that count for an example, before each: training truncates at multiples of k.
        before = np.cumsum(self.live, axis=1) - self.live
        k = getattr(layer, "truncate", None) or times + 1
        self.cuts = self.live & (before > 0) & (before % k == 0)
        takes = inspect.signature(cell.call).parameters
        options = {"training": False} if "training" in takes else {}

        def step(given, shared, states):
            output, states = cell(given[0], tree.pack_sequence_as(structure, states), **options)
            return [output, *tree.flatten(states)]

        self.step = step

    def _in_depth(self, inputs, mask=None, training=None, **asked):
        layer = self.layer
        asked = layer.of_call(**asked)
        inputs = ops.cast(inputs, layer.compute_dtype)
        values = unsharing.step_values(layer, asked.steps)
        self.initial = [inputs]
        batched = [inputs] if mask is None else [inputs, mask]
        self.given = [(batched, tree.flatten(value)) for value in values]
        self.live = np.ones((inputs.shape[0], asked.steps), bool)
        self.cuts = np.zeros_like(self.live)
        self.cuts[:, asked.steps - asked.backprop_steps] = asked.backprop_steps < asked.steps

        def step(given, shared, states):
            mask = given[1] if len(given) > 1 else None
            pure = depth_loop.PureStep(layer, mask, False, False, scan=False)
            constants = {"x0": given[0], "weights": backend.raw_values(pure.constant_variables)}
            carry = {"x": states[0], "state": pure.read_state()}
            with keras_private.autocast_scope(layer.compute_dtype):
                carry, _ = pure.step(carry, tree.pack_sequence_as(values[0], shared), constants)
            return [carry["x"], carry["x"]]

        self.step = step

    def _forward(self):
        threshold = getattr(self.layer, "exit_threshold", None)

        run = probe.compiled(self._stepped)
        states = [ops.cast(state, "float32") for state in self.initial]
        self.states = [[ops.convert_to_numpy(state) for state in states]]
        for t, (given, shared) in enumerate(self.given):
            before = self.states[-1]
            output, *after = map(ops.convert_to_numpy, run(given, shared, _tensors(before)))
            self.output = output
            # Nearly every cell puts out a part of its state.
            same = (i for i, part in enumerate(after) if part.shape == output.shape)
            same = (i for i in same if np.allclose(after[i], output, 1e-2))
            self.output_state = next(same, None)
            keeps = ~self.live[:, t]
            after = [np.where(_wide(keeps, a), b, a) for a, b in zip(after, before, strict=True)]
            self.states.append(after)
            if threshold is not None:
                change, size = (
                    np.linalg.norm(_rows([x]), axis=1) for x in (after[0] - before[0], before[0])
                )
                self.live[:, t + 1 :] &= (change > threshold * size)[:, None]

    @property
    def sizes(self):
        """Numbers in each part of the state."""
        return [int(np.prod(state.shape[1:])) for state in self.states[0]]

    def directly(self, objective):
        """What the loss says of the layer's outputs themselves.

        Args:
            objective: Function of the model's outputs, a scalar.

        Returns:
            Gradients by the output of every step, (examples, T, m), and by the last state,
            (examples, n), NumPy arrays in float64.
        """

        def value(*changes):
            seen = []

            def call(layer, original, *args, **kwargs):
                outputs = original(*args, **kwargs)
                if seen:
                    return outputs
                seen.append(layer)
                return tree.pack_sequence_as(
                    outputs,
                    [_moved(o, c) for o, c in zip(tree.flatten(outputs), changes, strict=True)],
                )

            with exchanged([self.layer], call), _unchanged(self.model):
                return objective(self.model(self.x, training=False))

        outputs = [ops.cast(x, "float32") for x in tree.flatten(self.outputs)]
        where = [i for i, x in enumerate(outputs) if len(x.shape) > 1]
        zeros = [ops.zeros_like(x) for x in outputs]
        run = probe.run_once(lambda *zeros: backend.gradients(value, list(zeros)))
        found = [ops.convert_to_numpy(g).astype("float64") for g in run(*zeros)]
        return self._placed([found[i] for i in where])

    def _placed(self, gradients):
        count, times = self.live.shape
        first, last = gradients[0], np.zeros((count, sum(self.sizes)))
        if isinstance(self.layer, RecurrentResidual):
            every = first.shape[0] == times and first.ndim > self.states[0][0].ndim
            each = np.moveaxis(first, 0, 1) if every else first[:, None]
        else:
            each = first if self.layer.return_sequences else first[:, None]
            if len(gradients) > 1:
                last = _rows(gradients[1:])
        each = each.reshape(count, each.shape[1], -1)
        each = np.concatenate([np.zeros((count, times - each.shape[1], each.shape[2])), each], 1)
        each = each.copy()
        zeros = getattr(self.layer, "zero_output_for_mask", False)
        # What a step puts out that is left out: zeros, or the output before it, which is zeros
        # before the first; where outputs are a part of the state, this is carried along with it.
        nothing = ~self.live if zeros else np.cumsum(self.live, axis=1) == 0
        each[nothing] = 0
        for t in range(times - 1, 0, -1) if self.output_state is None else ():
            each[:, t - 1] += np.where(self.live[:, t, None], 0, each[:, t])
            each[~self.live[:, t], t] = 0
        if isinstance(self.layer, RecurrentResidual):
            # Earlier states are constants as outputs, too.
            each[:, : self.cuts[0].argmax()] = 0
        return each, last

    def _stepped(self, given, shared, states):
        with keras.StatelessScope():
            return [ops.cast(x, "float32") for x in self.step(given, shared, list(states))]

    def _pulled(self, given, shared, states, gradients):
        """Gradients by the state before a step, of those by its output and the state after it."""

        def value(*states):
            results = self._stepped(given, shared, states)
            return sum(ops.sum(r * g) for r, g in zip(results, gradients, strict=True))

        return backend.gradients(value, states)

    def _pushed(self, given, shared, states, changes):
        """The change of the state after a step that a change before it makes."""
        states, changes = tuple(states), tuple(changes)
        return probe.jvp(lambda *s: tuple(self._stepped(given, shared, s)[1:]), states, changes)[1]

    def stretches(self, iterations=30):
        """Spectral norms of ∂h_T/∂h_t without the matrices, by power iterations from below.

        Returns:
            (examples, T + 1), float64.
        """
        count, times = self.live.shape
        splits = np.cumsum(self.sizes)[:-1]
        push, pull = probe.compiled(self._pushed), probe.compiled(self._pulled)
        output = np.zeros_like(self.output)

        def through(run, t, rows, *others):
            scale = np.maximum(abs(rows).max(-1, keepdims=True), np.finfo("float64").tiny)
            given, shared = self.given[t]
            parts = np.split(rows / scale, splits, axis=-1)
            parts = [p.reshape(s.shape) for p, s in zip(parts, self.states[t], strict=True)]
            moved = run(given, shared, _tensors(self.states[t]), _tensors([*others, *parts]))
            moved = _rows([ops.convert_to_numpy(part) for part in moved]) * scale
            return np.where(self.live[:, t, None], moved, rows)

        norms = np.ones((count, times + 1))
        rows = np.random.default_rng(0).normal(size=(count, sum(self.sizes)))
        for t in range(times - 1, -1, -1):
            for _ in range(iterations):
                rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
                for k in range(t, times):
                    rows = through(push, k, rows)
                norms[:, t] = np.linalg.norm(rows, axis=1)
                for k in range(times - 1, t - 1, -1):
                    rows = through(pull, k, rows, output)
        return norms

    def backward(self, each, last, jacobian=True):
        """Goes back from the last state, in float64 however far.

        Args:
            each: As `directly` gives it.
            last: As `directly` gives it.
            jacobian: Whether to carry ∂h_T/∂h_t along.

        Yields:
            For each t from T to 0: t, the gradient of the loss by h_t (examples, n), and
            ∂h_T/∂h_t (examples, n, n) or None.
        """
        count, times = self.live.shape
        size = sum(self.sizes)
        begins = np.cumsum([0, *self.sizes])
        rows = 1 + (size if jacobian else 0)
        # Row 0 of an example is the gradient of the loss, the others are those of h_T.
        going = np.zeros((count, rows, size))
        going[:, 0] = last
        if jacobian:
            going[:, 1:] = np.eye(size)
        direct = np.zeros((count, rows, each.shape[2]))

        pull = probe.compiled(self._pulled)
        for t in range(times, -1, -1):
            added = np.zeros((count, size))
            if t and self.output_state is not None:
                first = begins[self.output_state]
                added[:, first : first + each.shape[2]] = each[:, t - 1]
            elif t:
                direct[:, 0] = each[:, t - 1]
            yield t, going[:, 0] + added, going[:, 1:] if jacobian else None
            if not t:
                return
            if t < times:
                going[self.cuts[:, t], 0] = 0
            going[:, 0] += added
            # Scaled row by row: float32 ends at 1e-38, which 0.5¹²⁸ is below.
            scale = np.maximum(abs(going).max(-1), abs(direct).max(-1, initial=0))[..., None]
            scale[scale == 0] = 1
            given, shared = self.given[t - 1]
            before = self.states[t - 1]
            gradients = [direct / scale, *np.split(going / scale, begins[1:-1], axis=-1)]
            shapes = [direct.shape[2:], *(state.shape[1:] for state in before)]
            gradients = [g.reshape(-1, *shape) for g, shape in zip(gradients, shapes, strict=True)]
            if self.output_state is not None:
                gradients[0] = gradients[0].reshape(-1, *before[self.output_state].shape[1:])
            pulled = pull(
                [ops.repeat(x, rows, axis=0) for x in given],
                shared,
                _tensors([np.repeat(state, rows, axis=0) for state in before]),
                _tensors(gradients),
            )
            pulled = _rows([ops.convert_to_numpy(g) for g in pulled]).reshape(going.shape) * scale
            going = np.where(self.live[:, t - 1, None, None], pulled, going)


@contextlib.contextmanager
def exchanged(layers, call):
    """Calls call(layer, its own call, …) in the place of the layers' own `call`."""
    for layer in layers:
        vars(layer)["call"] = functools.partial(call, layer, layer.call)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["call"]


@contextlib.contextmanager
def _unchanged(model):
    """States, statistics and losses of the model remain as they are."""
    with keras_private.losses_kept(model), keras.StatelessScope(collect_losses=True):
        yield


def _candidates(model, along, layer):
    """The layers of which the first one called is meant."""
    kind = KINDS[along]
    every = [part for part in keras_private.sublayers(model) if isinstance(part, kind)]
    chosen = [part for part in every if layer is None or layer in (part, part.name)]
    if not chosen:
        names = ", ".join(dict.fromkeys(repr(part.name) for part in every)) or "none"
        wanted = "" if layer is None else f" {getattr(layer, 'name', layer)!r}"
        raise ValueError(
            f"`model` must have a layer{wanted} that recurs in {along}, {a_kind(kind)}, but "
            f"those of {model.name!r} are: {names}."
        )
    return chosen


def _has_tensors(value):
    return value is not None and all(ops.is_tensor(leaf) for leaf in tree.flatten(value))


def _moved(output, change):
    moved = output + ops.cast(change, output.dtype) if len(output.shape) > 1 else output
    if (mask := keras_private.get_mask(output)) is not None:
        keras_private.set_mask(moved, mask)
    return moved


def _tensors(arrays):
    return [ops.convert_to_tensor(np.ascontiguousarray(x, "float32")) for x in arrays]


def _rows(arrays):
    """The parts of the state of each example in one row, float64."""
    return np.concatenate([x.reshape(len(x), -1).astype("float64") for x in arrays], axis=1)


def _wide(flags, x):
    return flags.reshape(-1, *[1] * (x.ndim - 1))
