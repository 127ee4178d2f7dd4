"""The regions of a model's graph between the tensors through which everything later passes."""

import inspect
import re

import keras
import numpy as np

from keras_recres.backend.keras_private import function_of, nodes_of
from keras_recres.layers import FRN, RRN, RecurrentResidual, TransformerBlock

# What passes its input on at inference, in Keras, keras.applications, keras-hub and keras-cv.
IDENTITIES = {
    *("ActivityRegularization", "AlphaDropout", "DropPath", "Dropout", "GaussianDropout"),
    *("GaussianNoise", "Identity", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
    "StochasticDepth",
}
# Settings that change no output at inference: names, how weights begin, and rates of dropping.
FREE = re.compile(
    r"name|seed|trainable|build_config|rate|.*initializer|(.*_)?drop(out|_path|_connect)?(_rate)?"
)


class Graph:
    """The graph of a functional model, cut where everything later passes through one tensor.

    What is the identity at inference is skipped. The cuts are the post-dominators of an input in
    the graph that leads to an output: a mask that enters every block from aside breaks no cut. Of
    several inputs and outputs, those with the most cuts between them are taken.

    Attributes:
        nodes: Keras' nodes, in an order in which they run.
        cuts: Places in `nodes`, ascending.
        regions: A `Region` between each two neighbouring cuts.
    """

    def __init__(self, function):
        self.nodes = nodes_of(function)
        # Where each tensor comes from: the place of a node, and which of its outputs.
        self.source = {}
        for place, node in enumerate(self.nodes):
            passes = not node.is_input and _is_identity(node.operation)
            for index, tensor in enumerate(node.outputs):
                given = self.source[id(node.input_tensors[0])] if passes else (place, index)
                self.source[id(tensor)] = given
        self.before = [
            sorted({self.source[id(x)][0] for x in node.input_tensors}) for node in self.nodes
        ]
        self.after = [[] for _ in self.nodes]
        for place, node in enumerate(self.nodes):
            if not node.is_input and _is_identity(node.operation):
                continue
            for earlier in self.before[place]:
                self.after[earlier].append(place)
        self.outputs = [self.source[id(x)] for x in function.outputs]
        self.cuts = max((self._cuts(end) for end, _ in self.outputs), key=len)
        self._users = {}
        for place, node in enumerate(self.nodes):
            self._users.setdefault(id(node.operation), set()).add(place)
        self.regions = [
            self.region(start, end) for start, end in zip(self.cuts, self.cuts[1:], strict=False)
        ]

    def region(self, start, end):
        """The `Region` between two cuts."""
        return Region(self, start, end, self._users)

    def _cuts(self, end):
        """The most post-dominators of an input in the graph that leads to a node, and the node."""
        leads = {end}
        for place in range(end, -1, -1):
            if place in leads:
                leads.update(self.before[place])
        depth, dominator = {end: 0}, {}
        for place in sorted(leads - {end}, reverse=True):
            common, *others = (later for later in self.after[place] if later in leads)
            for other in others:
                while common != other:
                    if depth[common] >= depth[other]:
                        common = dominator[common]
                    else:
                        other = dominator[other]
            dominator[place], depth[place] = common, depth[common] + 1
        place = max((p for p in leads if self.nodes[p].is_input), key=depth.get, default=end)
        cuts = [place]
        while place != end:
            place = dominator[place]
            cuts.append(place)
        return cuts

    def tensor(self, cut):
        """The tensor of a cut: the first output of its node."""
        return self.nodes[cut].outputs[0]

    def form(self, ends, inside, start=None):
        """What a part of the graph computes, as text: equal for parts of equal structure.

        Args:
            ends: Places of the nodes that it is read from, backwards, in the order of arguments.
            inside: Places of its nodes.
            start: Place of the node before it; tensors from others are told apart.
        """
        order = self.order(ends, inside)
        numbers, operations, parts = {place: i for i, place in enumerate(order)}, {}, []

        def reference(x):
            if not isinstance(x, keras.KerasTensor):
                return _plain(x)
            place, index = self.source[id(x)]
            kind = "start" if place == start else f"#{numbers.get(place, f'outside {place}')}"
            return f"<{kind}.{index}>"

        for place in order:
            node = self.nodes[place]
            arguments = keras.tree.map_structure(reference, arguments_of(node))
            same = operations.setdefault(id(node.operation), len(operations))
            parts.append(f"{same}:{signature(node.operation)}{arguments}")
        return "\n".join(parts)

    def order(self, ends, inside):
        """Places of the nodes of a part in an order that parts of one form have in common.

        Args:
            ends: As for `form`.
            inside: As for `form`.
        """
        order, waiting = {}, list(reversed(ends))
        while waiting:
            place = waiting[-1]
            earlier = [self.source[id(x)][0] for x in self.nodes[place].input_tensors]
            missing = [p for p in earlier if p in inside and p not in order]
            if missing and place not in order:
                waiting += reversed(missing)
                continue
            order[waiting.pop()] = True
        return list(order)


class Region:
    """A part of a graph between two cuts.

    Attributes:
        start, end: Places of the cuts' nodes; the end's lies in the region.
        nodes: Places of its nodes, ascending.
        form: What it computes, as text.
        layers: Its layers and operations, in an order in which they run.
        shapes: Of what enters and what leaves it.
        parameters: Elements of its weights.
        closed: Whether nothing but its end's output is used elsewhere.
        shared: Whether a layer of it with weights is called elsewhere, too.
        ends_here: Whether what leaves it is used by more than the next region.
        residual: Whether the tensor that enters it is a summand of what leaves it.
    """

    def __init__(self, graph, start, end, users):
        self.start, self.end = start, end
        inside = {end}
        for place in range(start + 1, end):
            if any(p == start or p in inside for p in graph.before[place]) and graph.after[place]:
                inside.add(place)
        # What is computed from aside for this region alone.
        for place in range(end - 1, -1, -1):
            later = graph.after[place]
            aside = place != start and not graph.nodes[place].is_input
            if aside and later and inside.issuperset(later):
                inside.add(place)
        self.nodes = sorted(inside)
        self.form = graph.form([end], inside, start)
        self.shapes = tuple(
            [(x.shape, x.dtype) for x in graph.nodes[place].outputs] for place in (start, end)
        )
        outputs = {place for place, _ in graph.outputs}
        inner = inside - {end}
        self.closed = not inner & outputs and all(
            inside.issuperset(graph.after[place]) for place in inner
        )
        self.layers = tuple(dict.fromkeys(graph.nodes[place].operation for place in self.nodes))
        weights = {id(w): w for layer in self.layers for w in getattr(layer, "weights", ())}
        self.parameters = sum(int(np.prod(w.shape)) for w in weights.values())
        self.shared = any(
            getattr(layer, "weights", ()) and not inside.issuperset(users[id(layer)])
            for layer in self.layers
        )
        self.ends_here = end in outputs
        self.residual = self._residual(graph)

    def _residual(self, graph):
        node = graph.nodes[self.end]
        if adds_its_input(node.operation):
            return True
        direct = [graph.source[id(x)][0] == self.start for x in node.input_tensors]
        return (
            any(direct)
            and not all(direct)
            and not getattr(node.operation, "weights", ())
            and type(node.operation).__name__ != "Multiply"
        )


def arguments_of(node):
    """What a call says, by the names of its parameters and without those that have their defaults.

    Calls that do the same may be spelt in several ways: `layer(x)` and `layer(x, mask=None)`.
    """
    args, kwargs = node.arguments.args, node.arguments.kwargs
    try:
        call = inspect.signature(node.operation.call)
        named = call.bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return args, kwargs
    defaults = {name: parameter.default for name, parameter in call.parameters.items()}
    # Whatever the default of `training`, None asks Keras for the mode of the outer call.
    return {
        name: x
        for name, x in named.items()
        if x is not defaults[name] and (name, x) != ("training", None)
    }


def adds_its_input(layer):
    """Whether a layer of this library has the shortcut inside."""
    if isinstance(layer, RecurrentResidual):
        return layer.shortcut == "add" or adds_its_input(layer.branch)
    return isinstance(layer, FRN | RRN | TransformerBlock)


def _is_identity(operation):
    name = type(operation).__name__
    if name == "Activation":
        return operation.activation is keras.activations.linear
    return name in IDENTITIES


def signature(operation):
    """An operation's class, settings and weights' shapes, as text, without names."""
    function = function_of(operation)
    if function is not None:
        graph = Graph(function)
        ends = [place for place, _ in graph.outputs]
        return f"model({graph.form(ends, set(range(len(graph.nodes))))}){graph.outputs}"
    kind = f"{type(operation).__module__}.{type(operation).__name__}"
    try:
        config = operation.get_config()
    except NotImplementedError:
        return f"{kind} {id(operation)}"
    weights = [(w.shape, w.dtype) for w in getattr(operation, "weights", ())]
    names = {}
    policy = getattr(getattr(operation, "dtype_policy", None), "name", None)
    return f"{kind}({_plain(config, names)}, {policy}){weights}"


def _plain(value, names=None):
    """A setting without what is free; layers' names in it become numbers."""
    names = {} if names is None else names
    if isinstance(value, dict):
        if isinstance(value.get("name"), str):
            names.setdefault(value["name"], f"name{len(names)}")
        return {
            key: _plain(item, names)
            for key, item in value.items()
            if key != "dtype" and not FREE.fullmatch(str(key))
        }
    if isinstance(value, list | tuple):
        return [_plain(item, names) for item in value]
    if isinstance(value, str):
        return names.get(value, value)
    if value is None or isinstance(value, bool | int | float | complex | bytes):
        return value
    if hasattr(value, "shape"):
        array = keras.ops.convert_to_numpy(value)
        return f"{array.shape}{array.dtype}{array.tobytes().hex()}"
    return repr(value)
