"""paths: how much of a residual network's gradient comes through paths of each length."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres import backend
from keras_recres.backend import probe
from keras_recres.backend.keras_private import function_of
from keras_recres.backend.types import Data
from keras_recres.layers.checks import a_kind, check_count
from keras_recres.models.regions import Graph, adds_its_input
from keras_recres.probes import residual
from keras_recres.probes.paths_record import PathsRecord


def paths(
    model: keras.Model,
    x: Data,
    y: Data = None,
    *,
    blocks: Any = None,
    lengths: Sequence[int] | None = None,
    repeats: int = 10,
    scale: float = 1.0,
    seed: int = 0,
) -> PathsRecord:
    """The gradient of a residual network, by the lengths of the paths that it comes through.

    n units x ← λ x + F(x) are 2ⁿ paths: each unit is passed through F or through the shortcut.
    Their lengths, in units passed through F, have the distribution Binomial(n, ½). Measured is
    the gradient of a length k as in arXiv 1605.06431, section 4: the network runs forward whole,
    and backward through F in k random units and through the shortcut alone in the others. Where
    the shape changes a unit is x ← λ P(x) + F(x): P is what its sum is given through the fewer
    kernels, one at most, such as a projection or zeros beside the maps. So ResNet-50 has 16 units
    and ResNet-110 has 54. Other parts, such as a stem, are passed whole by every path; a
    `RecurrentResidual` is one unit, whatever its steps.

    Beside it stand the two forms of the gradient at the input of each unit (arXiv 1603.05027,
    equations 5 to 8): in a residual network the sum of what the shortcuts hand down, multiplied by
    λ in each, and of all that passed a branch, in a plain one the product of the branches'
    derivatives alone.

    Example:
    >>> model = keras_recres.models.preact_resnet(14)
    >>> record = paths(model, images, labels)
    >>> record.effective(0.95)  # (5, 17), say: the lengths that 95 % of the gradient comes from
    >>> record.plot("paths.png")
    >>> paths(model, images, labels, scale=0.9).shortcut  # falls by 0.9 a unit

    Args:
        model: A functional or Sequential model of one input; its first output counts.
        x: Array of examples as the model takes them, some tens, which are computed at once.
        y: Integer labels, one for each example (and cell): the gradient is that of the cross
            entropy. None for that of the largest output.
        blocks: Names of `models.blocks(model)`, or patterns, whose blocks are units; None for all
            residual ones, and those that change the shape.
        lengths: Integers k from 0 to n, the lengths to measure; None for all.
        repeats: Integer ≥ 1, draws of k units for each length.
        scale: λ, a finite number: shortcuts are multiplied by it, forward and backward.
        seed: Of the draws.

    Returns:
        A `PathsRecord`.

    Raises:
        ValueError: If there are no such blocks, one joins its shortcut by something else than a
            sum, or a number is out of its range.
    """
    check_count("repeats", repeats)
    if not np.isfinite(scale):
        raise ValueError(f"`scale` must be a finite number, but it is {scale!r}.")
    runs = residual.runs(model, blocks)
    # What runs a few times is not worth compiling.
    prepare = probe.compiled if repeats > 2 else probe.run_once
    steps, names = _steps(model, runs, float(scale), prepare, blocks is None)
    count = len(names)
    lengths = list(range(count + 1)) if lengths is None else np.atleast_1d(lengths).tolist()
    if not lengths or not all(isinstance(k, int) and 0 <= k <= count for k in lengths):
        raise ValueError(f"`lengths` must be integers from 0 to {count}, but it is {lengths!r}.")
    states = [ops.convert_to_tensor(x, dtype=function_of(model).inputs[0].dtype)]
    if len(states[0].shape) < 2 or not states[0].shape[0]:
        raise ValueError(f"`x` must be examples, but its shape is {tuple(states[0].shape)}.")
    for step in steps:
        states.append(step.forward(states[-1]))
    last = max(i for i, step in enumerate(steps) if step.is_unit)
    gradient = _loss_gradient(states[-1], y)
    for i in range(len(steps) - 1, last, -1):
        gradient = steps[i].backward(states[i], gradient)

    rng, measured = np.random.default_rng(seed), []
    for k in lengths:
        norms = []
        for _ in range(repeats if 0 < k < count else 1):
            through = set(rng.choice(count, k, replace=False).tolist())
            norms.append(_norm(_path(steps[: last + 1], states, gradient, through)))
        measured.append(np.mean(norms))
    return PathsRecord(
        names=tuple(names),
        lengths=np.array(lengths),
        gradient=np.array(measured),
        scale=float(scale),
        examples=int(states[0].shape[0]),
        **_by_depth(steps[: last + 1], states, gradient),
    )


class _Step:
    """A part of the network: a residual unit, or what every path passes whole.

    `projection` is P of a unit that changes the shape, a model.
    """

    def __init__(self, model, is_unit, scale, prepare, projection=None):
        self.is_unit, self.scale = is_unit, scale

        def output(model, x):
            return keras.tree.flatten(model(x, training=False))[0]

        def forward(x):
            y = output(model, x)
            if not is_unit or scale == 1:
                return y
            # λ P(x) + F(x) of P(x) + F(x).
            return y + (scale - 1) * (x if projection is None else output(projection, x))

        def backward_of(function):
            def backward(x, gradient):
                def value(x):
                    return ops.sum(ops.cast(function(x), "float32") * ops.cast(gradient, "float32"))

                return backend.gradients(value, [x])[0]

            return prepare(backward)

        self.forward, self.backward = prepare(forward), backward_of(forward)
        self._projected = projection and backward_of(lambda x: output(projection, x))

    def through_shortcut(self, x, gradient):
        """The part of the gradient that comes through λ P."""
        if self._projected:
            gradient = self._projected(x, gradient)
        return gradient if self.scale == 1 else self.scale * gradient

    def through_branch(self, x, gradient):
        """The part of the gradient that comes through F."""
        return self.backward(x, gradient) - self.through_shortcut(x, gradient)


def _steps(model, runs, scale, prepare, projected):
    """The parts of the network in their order, and the names of the units among them.

    `projected`: Whether what changes the shape may be a unit.
    """
    blocks, row = residual.parts(model, runs)
    of_blocks, steps, names = residual.names(runs), [], []
    for part in row:
        if not isinstance(part, int):
            tensor = part.inputs[0]
            for start, end, shortcut, name in _projections(part) if projected else ():
                if tensor is not start:
                    steps.append(_Step(keras.Model(tensor, start), False, scale, prepare))
                unit, shortcut = keras.Model(start, end), keras.Model(start, shortcut)
                steps.append(_Step(unit, True, scale, prepare, shortcut))
                names.append(name)
                tensor = end
            if tensor is not part.outputs[0]:
                rest = part if tensor is part.inputs[0] else keras.Model(tensor, part.outputs[0])
                steps.append(_Step(rest, False, scale, prepare))
            continue
        graph = Graph(function_of(blocks[part]))
        units = sum(region.residual for region in graph.regions)
        for region in graph.regions:
            operation = graph.nodes[region.end].operation
            kind = type(operation).__name__
            if region.residual and kind != "Add" and not adds_its_input(operation):
                raise ValueError(
                    f"The block {of_blocks[part]!r} of {model.name!r} joins its shortcut by "
                    f"{operation.name!r}, {a_kind(operation)}, and not by a sum."
                )
            start, end = graph.tensor(region.start), graph.tensor(region.end)
            steps.append(_Step(keras.Model(start, end), region.residual, scale, prepare))
            if region.residual:
                number = f".{sum(step.is_unit for step in steps)}" if units > 1 else ""
                names.append(of_blocks[part] + number)
    return steps, names


def _projections(model):
    """(start, end, shortcut, name of the sum) of the units of a part that change the shape."""
    graph, found = Graph(function_of(model)), []
    for region in graph.regions:
        node = graph.nodes[region.end]
        if type(node.operation).__name__ != "Add" or len(node.input_tensors) != 2:
            continue
        if region.residual or not region.closed or region.shared:
            continue
        sides = []
        for tensor in node.input_tensors:
            waiting, places = [graph.source[id(tensor)][0]], set()
            while waiting:
                place = waiting.pop()
                if place in region.nodes and place not in places:
                    places.add(place)
                    waiting += graph.before[place]
            weights = (getattr(graph.nodes[place].operation, "weights", ()) for place in places)
            sides.append((sum(any(len(w.shape) > 1 for w in some) for some in weights), tensor))
        (few, shortcut), (many, _) = sorted(sides, key=lambda side: side[0])
        if few < many and few <= 1:
            ends = graph.tensor(region.start), graph.tensor(region.end)
            found.append((*ends, shortcut, node.operation.name))
    return found


def _loss_gradient(outputs, y):
    """The gradient by the network's outputs, of each example's own value."""
    if y is None:
        shape = (outputs.shape[0], -1)

        def value(outputs):
            return ops.sum(ops.max(ops.reshape(outputs, shape), axis=-1))

        return probe.run_once(lambda x: backend.gradients(value, [x])[0])(outputs)
    labels, classes = np.asarray(ops.convert_to_numpy(y)), outputs.shape[-1]
    fits = labels.shape == tuple(outputs.shape[:-1]) and np.issubdtype(labels.dtype, np.integer)
    if not fits or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"`y` must be integers below {classes} of the shape {tuple(outputs.shape[:-1])}, but "
            f"they are {labels.dtype} of the shape {labels.shape}."
        )
    rows = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    logits = bool(rows.min() < 0 or np.abs(rows.sum(-1) - 1).max() > 1e-3)

    def cross_entropy(outputs):
        return ops.sum(
            keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=logits)
        )

    return probe.run_once(lambda x: backend.gradients(cross_entropy, [x])[0])(outputs)


def _path(steps, states, gradient, through):
    """The gradient at the input by the units `through` alone, shortcuts elsewhere."""
    unit = sum(step.is_unit for step in steps)
    for step, x in zip(reversed(steps), reversed(states[: len(steps)]), strict=True):
        if step.is_unit:
            unit -= 1
            if unit in through:
                gradient = step.through_branch(x, gradient)
            else:
                gradient = step.through_shortcut(x, gradient)
        elif keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
            gradient = step.backward(x, gradient)
        # Into integers, such as tokens, no gradient leads: the first unit's input has it.
    return gradient


def _by_depth(steps, states, gradient):
    """Norms at the input of each unit, and after the last one, of the parts of the gradient."""
    whole = shortcut = plain = gradient
    norms = [[_norm(gradient), _norm(gradient), 0.0, _norm(gradient)]]
    first = next(i for i, step in enumerate(steps) if step.is_unit)
    for i in range(len(steps) - 1, first - 1, -1):
        step, x = steps[i], states[i]
        whole = step.backward(x, whole)
        if step.is_unit:
            shortcut = step.through_shortcut(x, shortcut)
            plain = step.through_branch(x, plain)
            parts = whole, shortcut, whole - shortcut, plain
            norms.append([_norm(part) for part in parts])
        else:
            shortcut, plain = step.backward(x, shortcut), step.backward(x, plain)
    columns = np.array(norms[::-1]).T
    return dict(zip(("whole", "shortcut", "branches", "plain"), columns, strict=True))


def _norm(gradient):
    """Mean over the examples of the Euclidean norm."""
    rows = ops.convert_to_numpy(ops.cast(gradient, "float32")).astype("float64")
    return float(np.linalg.norm(rows.reshape(len(rows), -1), axis=1).mean())
