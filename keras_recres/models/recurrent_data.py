"""What `recurrent` learns from data: moments of features, statistics of norms, errors, controls."""

import contextlib
import dataclasses

import keras
import numpy as np
from keras import ops

from keras_recres.backend.keras_private import (
    function_of,
    losses_kept,
    nodes_of,
    tracing_places,
)
from keras_recres.models.norms import fit_norms

BATCH = 32


def batches_of(model, data):
    """Data as lists of tensors, one for each input of a model, of `BATCH` examples.

    Raises:
        ValueError: If the data are not what the model takes.
    """
    inputs = function_of(model).inputs
    arrays = [np.asarray(x) for x in keras.tree.flatten(data)]
    shapes = [tuple(x.shape) for x in inputs]
    fits = len(arrays) == len(shapes) and all(
        a.ndim == len(shape)
        and len(a)
        and all(s in (None, n) for s, n in zip(shape, a.shape, strict=True))
        for a, shape in zip(arrays, shapes, strict=True)
    )
    if not fits or len({len(a) for a in arrays}) > 1:
        raise ValueError(
            f"`data` must be examples as {model.name!r} takes them, of shapes {shapes}, but it has "
            f"the shapes {[a.shape for a in arrays]}."
        )
    for start in range(0, len(arrays[0]), BATCH):
        yield [
            ops.convert_to_tensor(a[start : start + BATCH], dtype=x.dtype)
            for a, x in zip(arrays, inputs, strict=True)
        ]


def walk(function, inputs, found):
    """Runs the graph of a `Functional`, nested ones opened.

    Args:
        function: The `Functional`.
        inputs: List of tensors.
        found: {id of a KerasTensor: None}; gets the values of these.

    Returns:
        List of its outputs.
    """
    known = {id(own): x for own, x in zip(function.inputs, inputs, strict=True)}
    for node in nodes_of(function):
        if node.is_input:
            continue
        args, kwargs = node.arguments.fill_in(known)
        inner = function_of(node.operation)
        if inner is None:
            outputs = keras.tree.flatten(node.operation(*args, **kwargs))
        else:
            outputs = walk(inner, keras.tree.flatten(args[0] if args else kwargs["inputs"]), found)
        for own, y in zip(node.outputs, outputs, strict=True):
            known[id(own)] = y
            if id(own) in found:
                found[id(own)] = y
    return [known[id(x)] for x in function.outputs]


def moments(model, data, changes):
    """Dᵀ C D of changes D of kernels, C the second moments of what a kernel multiplies.

    No layer's kind is known here: it is the Gram matrix of what the layer computes with D as its
    kernel, without bias and activation.

    Args:
        model: The model.
        data: As for `batches_of`.
        changes: {id of a layer: list of (key, its weight, `Correction` of its form, D)}.

    Returns:
        {key: (n, n) array, or None where the layer's outputs do not tell the columns of D}.
    """
    owner, attribute = tracing_places()["layer_call"]
    call, found = getattr(owner, attribute), {}

    def watched(self, *args, **kwargs):
        for key, weight, form, change in changes.get(id(self), ()):
            y = _response(call, self, weight, form.values(change), args, kwargs)
            columns = _columns(self, weight, y, form.columns)
            gram = None if columns is None else columns.T @ columns
            found[key] = gram if found.get(key) is None else found[key] + gram
        return call(self, *args, **kwargs)

    with _unchanged(model):
        setattr(owner, attribute, watched)
        try:
            for inputs in batches_of(model, data):
                walk(function_of(model), inputs, {})
        finally:
            setattr(owner, attribute, call)
    return found


@contextlib.contextmanager
def _unchanged(model):
    with losses_kept(model), keras.StatelessScope():
        yield


def _response(call, layer, weight, value, args, kwargs):
    """What a layer computes with another kernel, no bias and no activation."""
    mapping = [(w, ops.zeros_like(w.value)) for w in layer.weights if "bias" in w.name]
    mapping.append((weight, ops.convert_to_tensor(value, dtype=weight.dtype)))
    activation = getattr(layer, "activation", None)
    with keras.StatelessScope(mapping):
        try:
            if activation is not None:
                layer.activation = keras.activations.linear
            return call(layer, *args, **kwargs)
        finally:
            if activation is not None:
                layer.activation = activation


def _columns(layer, weight, y, columns):
    """Outputs as rows of as many numbers as a kernel's matrix has columns; None if they differ."""
    y = ops.convert_to_numpy(ops.cast(y, "float32")).astype("float64")
    equation = getattr(layer, "equation", None)
    if equation and weight.name == "kernel":
        inputs, output = equation.replace(" ", "").split("->")
        kept = [letter for letter in inputs.split(",")[1] if letter in output]
        # From the end, since the dots of an equation stand before.
        places = [output.index(letter) - len(output) for letter in kept]
        y = np.moveaxis(y, places, range(-len(kept), 0))
    elif getattr(layer, "data_format", None) == "channels_first":
        y = np.moveaxis(y, 1, -1)
    return y.reshape(-1, columns) if y.size % columns == 0 else None


class Errors:
    """Sums of squares of differences, and of what they are relative to, and of agreements."""

    def __init__(self):
        self.squares, self.whole, self.agree, self.count = 0.0, 0.0, 0, 0

    def add(self, y, wanted):
        """Compares a batch of outputs, lists of tensors or one each."""
        y, wanted = ([_numpy(x) for x in keras.tree.flatten(some)] for some in (y, wanted))
        self.squares += sum(np.sum((a - b) ** 2) for a, b in zip(y, wanted, strict=True))
        self.whole += sum(np.sum(b**2) for b in wanted)
        same = y[0].argmax(-1) == wanted[0].argmax(-1)
        self.agree, self.count = self.agree + same.sum(), self.count + same.size

    @property
    def relative(self):
        return float((self.squares / max(self.whole, 1e-30)) ** 0.5)

    @property
    def agreement(self):
        return float(self.agree / max(self.count, 1))


def _numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")


def compare_outputs(model, others, data):
    """{name: (relative error, agreement)} of functions of a list of inputs, to those of a model."""
    errors = {name: Errors() for name in others}
    with _unchanged(model):
        for inputs in batches_of(model, data):
            wanted = walk(function_of(model), inputs, {})
            for name, other in others.items():
                errors[name].add(walk(function_of(other), inputs, {}), wanted)
    return {name: (e.relative, e.agreement) for name, e in errors.items()}


def compare_features(model, plans, data):
    """Gives plans of folded runs the `errors` of the features after every step."""
    errors = [[Errors() for _ in range(plan.made.steps)] for plan in plans]
    with _unchanged(model):
        for inputs in batches_of(model, data):
            found = {id(x): None for plan in plans for x in plan.tensors}
            walk(function_of(model), inputs, found)
            for plan, own in zip(plans, errors, strict=True):
                x0, *wanted = (found[id(x)] for x in plan.tensors)
                states = plan.made(x0, return_states=True)
                # Of dropped blocks one state is left, that after the last.
                for t, x in enumerate(wanted[-plan.made.steps :]):
                    own[t].add(states[t], x)
    for plan, own in zip(plans, errors, strict=True):
        plan.errors = tuple(e.relative for e in own)


def learn(model, new_model, plans, data, assemble):
    """Fits folded runs to data.

    Args:
        model: The model.
        new_model: The one that `plans` made.
        plans: Of folded runs and others.
        data: As for `batches_of`.
        assemble: Function of a list of plans that gives a model.

    Returns:
        The `outputs` of a `RecurrentTable`.
    """
    folded = [plan for plan in plans if plan.folds]
    found = moments(model, data, _join([plan.changes() for plan in folded]))
    for plan in folded:
        plan.begin(found)
    inexact = any(error > 0 for plan in folded for *_, errors in plan.kernels for error in errors)
    if inexact:
        fit_norms(new_model, _as_taken(new_model, data))
    compare_features(model, folded, data)
    outputs = compare_outputs(model, {"folded": new_model}, data)
    if not inexact or any(plan.control for plan in folded):
        return outputs
    twins = [
        type(plan)(dataclasses.replace(plan.rule, rank="exact"), plan.run) if plan.folds else plan
        for plan in plans
    ]
    control = assemble(twins)
    pairs = [(plan, twin) for plan, twin in zip(plans, twins, strict=True) if plan.folds]
    for _, twin in pairs:
        twin.made.steps = 1
    for low_rank in (False, True):
        for plan, twin in pairs:
            twin.begin()
            if low_rank:
                twin.made.steps = twin.count
                twin.approximate(plan, found)
        if low_rank and not any(rank for plan, _ in pairs for _, rank, _ in plan.kernels):
            continue
        fit_norms(control, _as_taken(control, data))
        name = "low rank without a shared kernel" if low_rank else "blocks dropped"
        outputs |= compare_outputs(model, {name: control}, data)
    return outputs


def _join(dicts):
    joined = {}
    for some in dicts:
        for key, values in some.items():
            joined.setdefault(key, []).extend(values)
    return joined


def _as_taken(model, data):
    """Batches in the structure of a model's inputs."""
    for batch in batches_of(model, data):
        yield keras.tree.pack_sequence_as(model.input, batch)
