"""The loop inside RecurrentResidual: unrolled or scanned, with the same numbers."""

import contextlib
import itertools

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private
from keras_recres.layers import dropping, unsharing

# Up to this many steps unrolled ones are as fast as a loop in the graph, or faster; above, the loop
# wins by its compile time, and for branches of any size by its step time, too: a transformer block
# on JAX takes 9 s to compile unrolled 16 times and 1 s scanned, and its steps 28 against 22 ms.
# Measured on two CPU cores with `python -m training.benchmark recurrence`.
UNROLL_UP_TO = {"jax": 2, "tensorflow": 16, "torch": float("inf")}
# A light branch, one layer with a kernel and a bias, is dearer in a loop in the graph by what each
# turn stores and starts: with 64 steps by a quarter on JAX and by 70 % on TensorFlow. With so many
# steps unrolling it pays, and compiling still takes half a second.
LIGHT_WEIGHTS = 2
UNROLL_LIGHT = range(17, 65)
# Steps in one turn of the loop. TensorFlow pays for every turn; JAX does not.
STEPS_A_TURN = {"jax": 1, "tensorflow": 4, "torch": 1}


def form_of_loop(loop, steps, weights, traced=True, stateful=False):
    """What a layer's `loop` means for so many steps on this backend: "unroll" or "scan".

    Args:
        loop: The layer's argument; anything but "auto" is the answer.
        steps: Number of steps.
        weights: Number of weight tensors in the branch.
        traced: Whether the call is part of a function that is being compiled.
        stateful: Whether a step changes statistics or random state.
    """
    if loop != "auto":
        return loop
    name = keras.backend.backend()
    if not traced or steps <= UNROLL_UP_TO[name]:
        # Outside a compiled function JAX would compile a scan anew at every call.
        return "unroll"
    if stateful and name == "tensorflow":
        # There the backward pass of a loop with state computes the steps again (see `PureStep`).
        return "unroll"
    light = weights <= LIGHT_WEIGHTS and steps in UNROLL_LIGHT
    return "unroll" if light else "scan"


def run(layer, x0, steps, backprop_steps, mask=None, training=None, return_states=False):
    """Runs the branch of a built RecurrentResidual.

    Args:
        layer: The RecurrentResidual.
        x0: Its input, (batch, …), in its compute dtype.
        steps: Number of steps, ≥ 1.
        backprop_steps: How many of them, the last ones, gradients flow through: 1 to `steps`.
        mask: Mask to hand to the branch, or None.
        training: Whether the branch runs in training mode; if not, examples may stop early.
        return_states: Whether to return all states.

    Returns:
        The last state or all of them on a new first axis, and the steps each example took.
    """
    form = form_of_loop(
        layer.loop,
        steps,
        len(layer.branch.weights),
        traced=backend.is_traced(x0),
        stateful=bool(training and layer.branch.non_trainable_variables),
    )
    scan = form == "scan" and not _synchronises(layer, training)
    scan = scan and not (training and layer.own_rates)
    may_exit = layer.exit_threshold is not None and not training
    values = unsharing.step_values(layer, steps)
    k = backprop_steps
    full = ops.full((ops.shape(x0)[0],), steps, dtype="int32")
    # Where the backend has no such scope, `PureStep` cuts the gradients off.
    no_gradients = None if k == steps else backend.no_gradients()
    own = layer.own_variables or layer.own_corrections
    plain = not (scan or layer.remat or may_exit or own)
    if plain and (k == steps or no_gradients):
        # Nothing asks for a pure function: call the branch as any layer calls another.
        states, x = [], x0
        for t, value in enumerate(values):
            cut = no_gradients if t < steps - k else contextlib.nullcontext()
            with cut, dropping.rates_of(layer, t):
                x = update(layer, x, x0, value, mask, training)
            states.append(x)
        return (ops.stack(states) if return_states else x), full

    pure = PureStep(layer, mask, training, return_states, scan)
    constants = {"x0": x0, "weights": backend.raw_values(pure.constant_variables)}
    before = pure.read_state()
    carry = {"x": x0, "state": before}
    if may_exit:
        carry.update(pure.all_active(x0))
    all_ys = []
    # A first step without what later ones have is in no loop with them.
    alone = int(len(values[0]) < len(values[-1]))
    step = pure.exiting if may_exit else pure.step
    for start, end in itertools.pairwise(sorted({0, alone, steps - k, steps})):
        segment = values[start:end]
        if scan:
            stacked = keras.tree.map_structure(lambda *leaves: ops.stack(leaves), *segment)
            turn = STEPS_A_TURN[keras.backend.backend()]
            carry, ys = backend.scan(
                step, carry, stacked, constants, len(segment), turn, pure.recompute
            )
        else:
            carry, ys = _unrolled(step, carry, segment, constants, start)
        all_ys.append(ys)
        if end == steps - k:
            # Truncated backpropagation: what came before the last k steps is a constant.
            carry = {**carry, "x": ops.stop_gradient(carry["x"])}
            all_ys = keras.tree.map_structure(ops.stop_gradient, all_ys)
    if len(all_ys) > 1:
        ys = keras.tree.map_structure(lambda *parts: ops.concatenate(parts), *all_ys)
    if pure.exits_with_loss:
        ys = {**ys, "loss": carry["loss"]}
    pure.write_state(before, carry["state"], ys)
    outputs = ys["states"] if return_states else carry["x"]
    return outputs, carry["used"] if may_exit else full


def update(layer, x, x0, value, mask, training):
    """x_{t+1} from x_t: one step of the recurrence, the equations of RecurrentResidual."""
    inputs = x
    if "embedding" in value:
        inputs = inputs + ops.cast(value["embedding"], x.dtype)
    if layer.inject_input == "add":
        inputs = inputs + x0
    elif layer.inject_input == "concat":
        inputs = ops.concatenate([inputs, x0], axis=-1)
    if mask is not None:
        # On the tensor, and not as an argument: also for masking layers deep inside the branch.
        keras_private.set_mask(inputs, mask)
    # `training` is said explicitly: remat runs the branch again when this call's context is gone.
    y = ops.cast(layer.branch(inputs, training=training), x.dtype)
    scale = layer.residual_scale
    if isinstance(scale, str):
        scale = ops.cast(value["scale"], x.dtype) if "scale" in value else None
    if layer.shortcut == "none":
        return y if scale is None else x + scale * (y - x)
    return x + (y if scale is None else scale * y)


class PureStep:
    """One step as a function without side effects, as loops in a graph and remat need it.

    Everything that a branch may read or write beside its input is passed in and out: weights,
    statistics, random state, losses. The carry is {"x": state of the recurrence, "state": values
    of the shared variables that a step may change}.
    """

    def __init__(self, layer, mask, training, return_states, scan):
        self.layer, self.return_states = layer, return_states
        self.exits_with_loss = False
        self.mask, self.training = mask, training
        owned = {id(v) for v in layer.own_variables}
        weights = {id(v) for v in layer.branch.weights}
        # At inference only random state changes: weights stay out of the carry, and of the
        # assignments that an exported graph would otherwise hold.
        # Nor does a frozen weight change that has corrections: it would become the last step's.
        fixed = owned | {id(c.variable) for c in layer.own_corrections}
        self.state_variables = [
            v
            for v in layer.branch.non_trainable_variables
            if id(v) not in fixed and (training or id(v) not in weights)
        ]
        carried = {id(v) for v in self.state_variables}
        self.constant_variables = [
            v for v in layer.branch.variables if id(v) not in carried and id(v) not in owned
        ]
        # TensorFlow's own gradient of a loop is right only where the steps have no state, and does
        # not go together with its remat: there the loop itself computes its steps again.
        self.recompute = (
            scan
            and keras.backend.backend() == "tensorflow"
            and bool(layer.remat or (training and layer.branch.non_trainable_variables))
        )
        self.remat = layer.remat and not (self.recompute or _synchronises(layer, training))

    def apply(self, t, *args):
        def step(*args):
            # Also when the step is computed again for its gradients.
            with dropping.rates_of(self.layer, t):
                return self._apply(*args)

        return (keras.remat(step) if self.remat else step)(*args)

    def read_state(self):
        # Copies: a recomputation must find the values of now, not what is assigned after the loop.
        return [ops.copy(value) for value in backend.raw_values(self.state_variables)]

    def step(self, carry, value, constants, t=0):
        x, state, y = self.apply(t, carry["x"], carry["state"], value, constants)
        if self.return_states:
            y = {**y, "states": x}
        return {"x": x, "state": state}, y

    def all_active(self, x0):
        """What `exiting` carries beside the state, before the first step."""
        batch = (ops.shape(x0)[0],)
        return {
            "active": ops.full(batch, True, dtype="bool"),
            "used": ops.full(batch, 0, dtype="int32"),
            "loss": ops.zeros((), dtype="float32"),
        }

    def exiting(self, carry, value, constants, t=0):
        """A step that leaves finished examples alone, and does nothing when all have finished.

        Used at inference only: statistics do not change. Losses are those of the steps done.
        """

        def advance():
            x, state, y = self.apply(t, carry["x"], carry["state"], value, constants)
            # A loop cannot hand it out otherwise. Known once the step was traced, as it is for all.
            self.exits_with_loss = self.exits_with_loss or "loss" in y
            active = carry["active"]
            wide = ops.reshape(active, (-1,) + (1,) * (len(x.shape) - 1))
            change = _norm(x - carry["x"])
            going = change > self.layer.exit_threshold * _norm(carry["x"])
            return {
                "x": ops.where(wide, x, carry["x"]),
                "state": state,
                "active": ops.logical_and(active, going),
                "used": carry["used"] + ops.cast(active, "int32"),
                "loss": carry["loss"] + y.get("loss", 0.0),
            }

        carry = ops.cond(ops.any(carry["active"]), advance, lambda: carry)
        return carry, ({"states": carry["x"]} if self.return_states else {})

    def _apply(self, x, state, value, constants):
        layer = self.layer
        mapping = [
            *zip(self.constant_variables, constants["weights"], strict=True),
            *zip(self.state_variables, state, strict=True),
            *zip(layer.own_variables, value.get("own", ()), strict=True),
        ]
        shared = {id(v): weight for v, weight in mapping}
        mapping += [
            (c.variable, shared[id(c.variable)] + c.change(a, b))
            for c, (a, b) in zip(layer.own_corrections, value.get("factors", ()), strict=True)
        ]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            before = dict(scope.state_mapping)
            x = update(layer, x, constants["x0"], value, self.mask, self.training)
        for variable in self.constant_variables:
            if scope.state_mapping[id(variable)] is not before[id(variable)]:
                options = "loop='unroll', remat=False, unshare=() and backprop_steps=None"
                raise ValueError(
                    f"the branch of {layer.name!r} changes its weight {variable.path!r} when it is "
                    f"called, as SpectralNormalization does, which would be lost here: use "
                    f"{options} for such a branch."
                )
        y = {}
        own = [scope.get_current_value(v) for v in layer.own_variables if not v.trainable]
        if own and self.training:
            y["own"] = own
        if scope.losses:
            y["loss"] = sum(ops.cast(loss, "float32") for loss in scope.losses)
            keras_private.forget_losses(layer.branch, scope.losses)
        return x, [scope.get_current_value(v) for v in self.state_variables], y

    def write_state(self, before, state, ys):
        """Assigns what the steps left: statistics, random state and losses."""
        layer = self.layer
        with backend.full_precision():
            for variable, old, value in zip(self.state_variables, before, state, strict=True):
                # What no step changed is not assigned: exporters of graphs refuse assignments.
                if value is not old:
                    variable.assign(value)
            if "own" in ys:
                copies = [c for c in layer.own_per_step if not c[0].trainable]
                for per_step, values in zip(copies, ys["own"], strict=True):
                    # Steps beyond the last copy read it, and leave it as it is.
                    for t in range(min(len(per_step), values.shape[0])):
                        per_step[t].assign(values[t])
        if "loss" in ys:
            layer.add_loss(ops.sum(ys["loss"]))


def _synchronises(layer, training):
    """Whether replicas meet inside the branch, which TensorFlow's loops and remat do not allow."""
    if not training or keras.backend.backend() != "tensorflow":
        return False
    parts = keras_private.sublayers(layer.branch)
    return any(getattr(part, "synchronized", False) for part in parts)


def _unrolled(step, carry, values, constants, start):
    ys = []
    for t, value in enumerate(values, start):
        carry, y = step(carry, value, constants, t)
        ys.append(y)
    return carry, keras.tree.map_structure(lambda *leaves: ops.stack(leaves), *ys)


def _norm(x):
    """Euclidean norm of every example, in float32 at least, for comparisons."""
    x = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
    return ops.sqrt(ops.sum(ops.square(x), axis=tuple(range(1, len(x.shape)))))
