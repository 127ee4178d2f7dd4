"""blocks: the repeated and the residual parts of a model, found by structure."""

import dataclasses
import itertools

import keras

from keras_recres.backend.keras_private import function_of
from keras_recres.layers.checks import a_kind
from keras_recres.models.multiply_adds import count_call
from keras_recres.models.regions import Graph


@dataclasses.dataclass(frozen=True, eq=False)
class BlockRun:
    """Blocks of equal structure that follow each other, or one block with a shortcut.

    Attributes:
        name: What the names of its blocks' last layers with weights begin with, "conv4_block",
            after the path of the nested model that it lies in, if any; numbered where several runs
            would have it.
        count: How many blocks.
        layers: For each block a tuple of its layers and operations, in an order in which they run.
        parameters: Elements of the weights of all its blocks.
        multiply_adds: Multiply-adds of all its blocks for an example, as `multiply_adds` counts
            them; None if they depend on a size that is open.
        residual: Whether a shortcut leads past every part with weights of a block.
        tensors: count + 1 KerasTensors of one shape: each block leads from one to the next.
        model: The model whose graph they are in: the searched one or one nested in it.
    """

    name: str
    count: int
    layers: tuple[tuple, ...]
    parameters: int
    multiply_adds: int | None
    residual: bool
    tensors: tuple
    model: keras.Model


def blocks(model: keras.Model) -> list[BlockRun]:
    """The runs of equal blocks of a model, and its single residual blocks.

    The model is cut at the tensors through which everything passes that comes later, the
    post-dominators of its input. The regions between are compared from their outputs backwards, by
    classes, settings, arguments and weights' shapes, not by names, seeds, initializers and rates of
    dropping; what is the identity at inference is skipped. A run is as many equal groups of regions
    as follow each other, inputs and outputs of one shape, with no layer and no inner tensor that
    is used elsewhere. A nested model is one operation outside, and searched by itself.

    Example:
    >>> runs = blocks(keras.applications.ResNet50(weights=None))
    >>> [(run.name, run.count) for run in runs]
    [('conv2_block', 2), ('conv3_block', 3), ('conv4_block', 5), ('conv5_block', 2)]

    Args:
        model: A built functional or Sequential model. It does not change.

    Returns:
        A list of `BlockRun`, in an order in which they run.

    Raises:
        ValueError: If the model is subclassed or not built.
    """
    return search(model)[0]


def search(model):
    """The blocks of a model, and why its other parts are among none.

    Returns:
        A list of `BlockRun`, and of (names of layers with weights, reason) in an order in which
        they run.

    Raises:
        ValueError: If the model is subclassed or not built.
    """
    if function_of(model) is None:
        raise ValueError(
            "`model` must be a built functional or Sequential model, since others have no graph to "
            f"search, but it is {a_kind(model)}."
        )
    runs, others = _search(model, "", set())
    names = [run.name.rstrip("_") for run in runs]
    numbers = {name: itertools.count(1) for name in names if names.count(name) > 1}
    for i, name in enumerate(names):
        if name in numbers:
            runs[i] = dataclasses.replace(runs[i], name=f"{name}_{next(numbers[name])}")
    return runs, others


def _search(model, prefix, searched):
    graph = Graph(function_of(model))
    regions, found, alone, i = graph.regions, [], [], 0
    while i < len(regions):
        i, period, count = _longest(regions, i)
        if count > 1 or (_fits(regions, i, i + 1) and regions[i].residual):
            end = i + period * count
            run = _run(model, graph, regions[i:end], count, prefix)
            found.append((regions[i].start, run))
            i = end
        else:
            alone.append(i)
            i += 1
    others = _stretches(regions, alone, prefix)
    for place, node in enumerate(graph.nodes):
        inner = node.operation
        if function_of(inner) is not None and id(inner) not in searched:
            searched.add(id(inner))
            more, rest = _search(inner, f"{prefix}{inner.name}/", searched)
            found += [(place, run) for run in more]
            others += [(place, other) for other in rest]
    found, others = (sorted(some, key=lambda pair: pair[0]) for some in (found, others))
    return [run for _, run in found], [other for _, other in others]


def _stretches(regions, alone, prefix):
    """Neighbours among the regions in no run that have one reason: (place, (names, reason))."""
    stretches = []
    for i in alone:
        why = _reason(regions[i])
        if stretches and stretches[-1][-1][-1] == i - 1 and stretches[-1][0] == why:
            stretches[-1][1].append(i)
        else:
            stretches.append((why, [i]))
    told = []
    for why, places in stretches:
        part = [regions[i] for i in places]
        # Of a nested model its own parts tell.
        names = [
            x.name
            for region in part
            for x in region.layers
            if getattr(x, "weights", ()) and function_of(x) is None
        ]
        if names:
            ends = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
            before, after = part[0].shapes[0], part[-1].shapes[1]
            shapes = " → ".join(", ".join(str(s[1:]) for s, _ in x) for x in (before, after))
            told.append((part[0].start, (prefix + ends, f"{why}: {shapes}")))
    return told


def _longest(regions, start):
    """Where the longest run begins that `start` belongs to first, its period and count."""
    best = start, 1, 1
    for period in range(1, (len(regions) - start) // 2 + 1):
        count = _count(regions, start, period)
        if count > 1 and count * period > best[1] * best[2]:
            best = start, period, count
    _, period, count = best
    # As many of the groups that begin with weights: what follows a sum belongs to its block.
    for shift in range(period if count > 1 else 0):
        if regions[start + shift].parameters:
            if _count(regions, start + shift, period) >= count:
                return start + shift, period, count
            break
    return best


def _count(regions, start, period):
    """How many equal groups of `period` regions follow each other from `start` on."""
    group = [region.form for region in regions[start : start + period]]
    end, count = start, 0
    while (
        [region.form for region in regions[end : end + period]] == group
        and _fits(regions, end, end + period)
        and regions[end].shapes[0] == regions[start].shapes[0]
        and not (count and regions[end - 1].ends_here)
    ):
        end, count = end + period, count + 1
    return count


def _fits(regions, start, end):
    """Whether a group of regions could be repeated."""
    group = regions[start:end]
    return (
        len(group[0].shapes[0]) == 1
        and group[0].shapes[0] == group[-1].shapes[1]
        and any(region.parameters for region in group)
        and all(region.closed and not region.shared for region in group)
        and not any(region.ends_here for region in group[:-1])
    )


def _reason(region):
    if region.shared:
        return "a layer with weights is called elsewhere, too"
    if not region.closed:
        return "a tensor inside is used elsewhere, too"
    return "no equal parts of one shape follow each other"


def _run(model, graph, regions, count, prefix):
    period = len(regions) // count
    groups = [regions[i : i + period] for i in range(0, len(regions), period)]
    layers = tuple(tuple(dict.fromkeys(x for r in group for x in r.layers)) for group in groups)
    last = [[x.name for x in block if getattr(x, "weights", ())][-1] for block in layers]
    alike = itertools.takewhile(lambda letters: len({*letters}) == 1, zip(*last, strict=False))
    name = "".join(letters[0] for letters in alike)
    # "block1" of block10 and block11 is not a name, as "block" is.
    if any(other[len(name) :][:1].isdigit() for other in last):
        name = name.rstrip("0123456789")
    multiply_adds = 0
    for place in (place for region in regions for place in region.nodes):
        node = graph.nodes[place]
        arguments = node.arguments.args, node.arguments.kwargs
        adds = count_call(node.operation, *arguments, node.operation.name, [])
        multiply_adds = None if None in (adds, multiply_adds) else multiply_adds + adds
    return BlockRun(
        name=prefix + (name or "block"),
        count=count,
        layers=layers,
        parameters=sum(region.parameters for region in regions),
        multiply_adds=multiply_adds,
        residual=all(region.residual for region in regions if region.parameters),
        tensors=tuple(map(graph.tensor, (*(group[0].start for group in groups), regions[-1].end))),
        model=model,
    )
