"""A functional Keras model as a plain PyTorch module: the same layers from torch.nn, one by one.

For benchmarks to compare with. `torch.fx` writes the module's `forward`, plain calls one after the
other on tensors with the channels first, as it would be written by hand; the weights are the Keras
model's.
"""

import collections

import keras
import torch
import torch.nn.functional as F
from keras import ops
from torch import fx, nn

from keras_recres import layers
from keras_recres.backend.keras_private import function_of, nodes_of


def plain_module(model):
    """The module of a model.

    Args:
        model: Functional Keras model of one input and one output, channels last, of convolutions,
            norms, ReLUs, poolings, dense layers, sums, concatenations and residual branches.

    Returns:
        A `torch.fx.GraphModule` from (batch, channels, height, width).

    Raises:
        ValueError: A layer is of another class than these.
    """
    writer = _Writer()
    writer.graph.output(writer.write(function_of(model), [writer.graph.placeholder("x")])[0])
    return fx.GraphModule(writer.root, writer.graph)


class _Writer:
    def __init__(self):
        self.root, self.graph = nn.Module(), fx.Graph()

    def write(self, function, inputs):
        """The nodes of a function's outputs."""
        known = {id(own): x for own, x in zip(function.inputs, inputs, strict=True)}
        nodes = nodes_of(function)
        uses = collections.Counter(id(x) for node in nodes for x in node.input_tensors)
        # What comes from outside is used there, too.
        uses.update(id(x) for x in (*function.inputs, *function.outputs))
        for node in nodes:
            if node.is_input:
                continue
            given = [known[id(x)] for x in node.input_tensors]
            inner = function_of(node.operation)
            if inner is not None:
                written = self.write(inner, given)
            else:
                first = node.input_tensors[0]
                once = uses[id(first)] == 1
                written = [self.call(node.operation, given, tuple(first.shape), once)]
            known.update((id(own), y) for own, y in zip(node.outputs, written, strict=True))
        return [known[id(own)] for own in function.outputs]

    def call(self, layer, given, shape, once):
        """The node of a layer's or an operation's output."""
        kind, x = type(layer).__name__, given[0]
        if kind == "Add":
            y = x
            for other in given[1:]:
                y = self.graph.call_function(torch.add, (y, other))
            return y
        if kind == "Concatenate":
            return self.graph.call_function(torch.cat, (given, 1))
        if kind == "Flatten":
            if shape[1:3] != (1, 1):
                raise ValueError(f"{layer.name!r} flattens maps, whose order is another here.")
            return self.graph.call_function(torch.flatten, (x, 1))
        if kind == "Pad":
            *_, right = layer.pad_width  # Channels of zeros.
            return self.graph.call_function(F.pad, (x, (0, 0, 0, 0, *right)))
        if isinstance(layer, layers.RecurrentResidual):
            if (layer.steps, layer.shortcut, layer.residual_scale) != (1, "add", None):
                raise ValueError(f"{layer.name!r} is not a plain residual unit.")
            return self.graph.call_function(
                torch.add, (x, self.write(function_of(layer.branch), [x])[0])
            )
        for module in _modules(layer, shape, once):
            name = f"{layer.name}_{len(self.graph.nodes)}"
            self.root.add_module(name, module)
            x = self.graph.call_module(name, (x,))
        return x


def _modules(layer, shape, once):
    """The modules of torch.nn, one after the other, that a layer is.

    Args:
        layer: Keras layer.
        shape: Of its input, channels last.
        once: Whether nothing else uses its input, so that it may be overwritten.
    """
    kind = type(layer).__name__
    weights = {w.name: torch.tensor(ops.convert_to_numpy(w.value)) for w in layer.weights}
    if kind == "Conv2D":
        pads, inner = _padding(layer, layer.kernel_size, shape)
        height, width, channels, filters = layer.kernel.shape
        conv = nn.Conv2d(
            channels * layer.groups,
            filters,
            (height, width),
            layer.strides,
            inner,
            groups=layer.groups,
            bias=layer.use_bias,
        )
        conv.weight.data = weights["kernel"].permute(3, 2, 0, 1).contiguous()
        if layer.use_bias:
            conv.bias.data = weights["bias"]
        return [*pads, conv, *_activation(layer)]
    if isinstance(layer, keras.layers.BatchNormalization):
        norm = nn.BatchNorm2d(shape[-1], layer.epsilon, 1 - layer.momentum)
        for ours, theirs in (("gamma", norm.weight), ("beta", norm.bias)):
            # What Keras' layer lacks is 1 or 0 and not trained.
            theirs.data = weights.get(ours, theirs.data)
            theirs.requires_grad = ours in weights
        norm.running_mean, norm.running_var = weights["moving_mean"], weights["moving_variance"]
        return [norm]
    if kind == "Dense":
        dense = nn.Linear(*layer.kernel.shape, bias=layer.use_bias)
        dense.weight.data = weights["kernel"].T.contiguous()
        if layer.use_bias:
            dense.bias.data = weights["bias"]
        return [dense, *_activation(layer)]
    if kind in ("Activation", "ReLU"):
        return _activation(layer, once)
    if kind == "ZeroPadding2D":
        (top, bottom), (left, right) = layer.padding
        return [nn.ZeroPad2d((left, right, top, bottom))]
    if kind == "CeilMaxPooling2D":
        return [nn.MaxPool2d(layer.pool_size, layer.strides, layer.padding, ceil_mode=True)]
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        pads, inner = _padding(layer, layer.pool_size, shape)
        if pads:
            raise ValueError(f"{layer.name!r} pads its two sides differently.")
        if kind == "MaxPooling2D":
            return [nn.MaxPool2d(layer.pool_size, layer.strides, inner)]
        # TensorFlow's mean leaves the padding out.
        pool = nn.AvgPool2d(layer.pool_size, layer.strides, inner, count_include_pad=False)
        return [pool]
    if kind == "GlobalAveragePooling2D":
        return [nn.AdaptiveAvgPool2d(1), *([] if layer.keepdims else [nn.Flatten()])]
    if kind == "Dropout":
        return [nn.Dropout(layer.rate)]
    raise ValueError(f"{layer.name!r} is a {kind}, which is not written here in PyTorch.")


def _activation(layer, inplace=True):
    activation = getattr(layer, "activation", keras.activations.relu)
    if activation is keras.activations.linear:
        return []
    if activation is not keras.activations.relu or getattr(layer, "max_value", None):
        raise ValueError(f"The activation of {layer.name!r} is not written here in PyTorch.")
    return [nn.ReLU(inplace=inplace)]


def _padding(layer, size, shape):
    """Modules that pad before, and the padding of the layer itself."""
    if layer.padding == "valid":
        return [], 0
    sides = []
    for side, k, stride in zip(shape[1:3], size, layer.strides, strict=True):
        missing = max((-(-side // stride) - 1) * stride + k - side, 0)
        sides.append((missing // 2, missing - missing // 2))
    if all(before == behind for before, behind in sides):
        return [], tuple(before for before, _ in sides)
    return [nn.ZeroPad2d((*sides[1], *sides[0]))], 0
