"""Parts of a model's graph as layers of their own, for `recurrent`."""

import itertools

import keras

from keras_recres.backend.keras_private import (
    function_of,
    functional_class,
    nodes_of,
    sublayers,
)
from keras_recres.models.copying import inputs_like, remade
from keras_recres.models.regions import Graph, arguments_of


def rebuilt(function, model, plans, copies):
    """A model made again with a recurrent layer from tensor to tensor of each plan.

    Args:
        function: The `Functional` of the model.
        model: The model, the outer one or one nested in it.
        plans: What `Repeat.plans` gives.
        copies: {id of a layer: its copy}, which is filled.
    """
    inside, ends = set(), {}
    for plan in plans:
        if plan.run.model is model:
            start, end = plan.tensors[0], plan.tensors[-1]
            inside.update(id(node) for node in nodes_between(function, start, end, plan.run.name))
            ends[id(end)] = (start, plan)
    inputs = inputs_like(function)
    known = {id(own): x for own, x in zip(function.inputs, keras.tree.flatten(inputs), strict=True)}
    for node in nodes_of(function):
        if id(node) in inside:
            for own in node.outputs:
                if id(own) in ends:
                    start, plan = ends[id(own)]
                    known[id(own)] = plan.layer(copies)(known[id(start)])
        elif not node.is_input:
            _run(node, known, plans, copies)
    outputs = keras.tree.map_structure(lambda x: known[id(x)], function.output)
    # A class of one's own that is made as Keras' is, such as the zoo's.
    same = getattr(type(model), "__init__", None) is functional_class().__init__
    kind = type(model) if same else keras.Model
    return kind(inputs, outputs, name=model.name)


def _run(node, known, plans, copies):
    """Calls the copy of a node's operation, a nested model being made again as a model is."""
    operation = node.operation
    inner = function_of(operation)
    if inner is not None and id(operation) not in copies:
        copies[id(operation)] = rebuilt(inner, operation, plans, copies)
    args, kwargs = node.arguments.fill_in(known)
    outputs = keras.tree.flatten(remade(operation, copies)(*args, **kwargs))
    known.update((id(own), y) for own, y in zip(node.outputs, outputs, strict=True))


def nodes_between(function, start, end, name):
    """The nodes that lead from one tensor of a `Functional` to another, in the order they run.

    Raises:
        ValueError: If another tensor leads to the end, too; `name` says of what.
    """
    nodes = nodes_of(function)
    source = {id(x): node for node in nodes for x in node.outputs}
    found, waiting = set(), [end]
    while waiting:
        x = waiting.pop()
        node = source[id(x)]
        if x is start or id(node) in found:
            continue
        if node.is_input:
            raise ValueError(
                f"{name!r} cannot be recurrent: besides the tensor that it changes it takes "
                f"{node.operation.name!r} from aside, which a RecurrentResidual has no place for."
            )
        found.add(id(node))
        waiting += node.input_tensors
    return [node for node in nodes if id(node) in found]


def branch_of(function, start, end, copies, name):
    """What leads from one tensor to another as a layer, made of copies; `copies` gets these.

    Returns:
        The layer, and a dtype policy for what surrounds it.
    """
    nodes = nodes_between(function, start, end, name)
    policies = [
        node.operation.dtype_policy
        for node in nodes
        if isinstance(node.operation, keras.layers.Layer)
        and node.operation.compute_dtype == end.dtype
    ]
    policy = policies[-1] if policies else keras.DTypePolicy(end.dtype)
    x = keras.Input(batch_shape=start.shape, dtype=start.dtype)
    known = {id(start): x}
    for node in nodes:
        _run(node, known, (), copies)
    # What is a layer needs no model around it, unless its call says more than its input.
    only = nodes[-1]
    given = keras.tree.flatten(arguments_of(only))
    if len(nodes) == len(given) == 1 and isinstance(only.operation, keras.layers.Layer):
        return copies[id(only.operation)], policy
    return keras.Model(x, known[id(end)], name=f"{name}_branch"), policy


def obstacle(run):
    """Why no layer of a run can be made again with other weights, or None."""
    for part in (part for block in run.layers for layer in block for part in _parts(layer)):
        if getattr(part, "quantization_mode", None) is not None:
            return f"has the quantised {part.name!r}"
        if getattr(part, "lora_enabled", False):
            return f"has low-rank updates beside the kernel of {part.name!r}"
    return None


def _parts(layer):
    return sublayers(layer) if isinstance(layer, keras.layers.Layer) else [layer]


def operations_of(run):
    """For each block of a run a list of its operations with weights, corresponding ones alike."""
    graph = Graph(function_of(run.model))
    places = {id(x): place for place, node in enumerate(graph.nodes) for x in node.outputs}
    cuts = [places[id(x)] for x in run.tensors]
    blocks = []
    for start, end in itertools.pairwise(cuts):
        inside = set(graph.region(start, end).nodes)
        operations = (graph.nodes[place].operation for place in graph.order([end], inside))
        with_weights = {id(x): x for x in operations if getattr(x, "weights", ())}
        blocks.append(list(with_weights.values()))
    return blocks


def weights_of(operation):
    """An operation's weights, in an order that operations of one form have in common."""
    function = function_of(operation)
    if function is None:
        return list(operation.weights)
    graph = Graph(function)
    order = graph.order([place for place, _ in graph.outputs], set(range(len(graph.nodes))))
    operations = {id(x): x for x in (graph.nodes[place].operation for place in order)}
    found = {}
    for inner in operations.values():
        if getattr(inner, "weights", ()):
            found.update((id(w), w) for w in weights_of(inner))
    return list(found.values())
