"""Which cells of the input each cell of a layer's output sees, from the graph alone."""

import typing

import keras
import numpy as np

from keras_recres import layers
from keras_recres.backend.keras_private import function_of, nodes_of
from keras_recres.layers.checks import a_kind
from keras_recres.models.regions import IDENTITIES


class Window(typing.NamedTuple):
    """What a tensor's cells see along one axis: cell i the input's stride i + first … + last.

    A stride of 0 says that every cell sees the same, such as the whole input.
    """

    stride: int
    first: int
    last: int


class Unknown(typing.NamedTuple):
    """In the place of windows: there is no rule for a layer before."""

    layer: str
    reason: str


class OpenSideError(ValueError):
    """What is seen depends on the side of the input, which is open."""


class Seen(typing.NamedTuple):
    """A call of a layer or operation, what its inputs see and what its output does."""

    path: str
    operation: object
    before: tuple
    after: tuple | Unknown
    output: object


# What has one cell of the output from the same cell of its inputs, if the sides are equal.
CELLWISE = {
    *IDENTITIES,
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Rescaling", "Normalization"),
    *("BatchNormalization", "LayerNormalization", "RMSNormalization", "UnitNormalization"),
    *("Dense", "GroupedDense", "MetaDense", "FRN", "RRN", "AlphaReLU", "SharedSlope"),
    *("LocalResponseNormalization", "RandomizedReLU", "MetaLayer", "RBFOutput"),
    *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Average"),
    *("Concatenate", "Negative", "Absolute", "Square", "Sqrt", "Rsqrt", "Power", "Exp", "Log"),
    *("Clip", "Cast", "StopGradient", "Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Celu", "Gelu"),
    *("Sigmoid", "Silu", "Tanh", "Softplus", "Softsign", "HardSigmoid", "HardSilu", "HardTanh"),
}
# Whose every cell has all cells of its inputs.
GLOBAL = {
    *("Flatten", "Reshape", "Permute", "Transpose", "Mean", "Sum", "Max", "GroupNormalization"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"),
}
# By which axes of the inputs a layer does not mix cells; others of it do.
CHANNEL_AXES = {"LayerNormalization", "RMSNormalization", "UnitNormalization", "Softmax"}


def seen(function, inputs):
    """What each call of a functional model sees of its input.

    Args:
        function: A `Functional` of one input of rank 3 to 5.
        inputs: A KerasTensor for it, whose sides are those that count.

    Yields:
        `Seen` of every call, nested models opened, in an order in which they run.
    """
    rank = len(inputs.shape) - 2
    yield from _walk(function, [inputs], [(Window(1, 0, 0),) * rank], "", {})


def _walk(function, inputs, windows, prefix, results):
    """As `seen`; `results` gets the tensors of the outputs, and what they see, by their place."""
    tensors, known = {}, {}
    for own, x, seen_by in zip(function.inputs, inputs, windows, strict=True):
        tensors[id(own)], known[id(x)] = x, seen_by
    for node in nodes_of(function):
        if node.is_input:
            continue
        operation = node.operation
        args, kwargs = node.arguments.fill_in(tensors)
        given = [tensors[id(x)] for x in node.input_tensors]
        if [x.shape[1:] for x in given] == [x.shape[1:] for x in node.input_tensors]:
            outputs = node.outputs
        else:
            outputs = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
        before, path = tuple(known[id(x)] for x in given), prefix + operation.name
        inner = function_of(operation)
        if inner is not None and not any(isinstance(w, Unknown) for w in before):
            of_inner = {}
            yield from _walk(inner, given, before, f"{path}/", of_inner)
            after = [of_inner[i] for i in range(len(outputs))]
        else:
            after = [through(operation, path, given, before, outputs[0], args, kwargs)]
            after *= len(outputs)
            yield Seen(path, operation, before, after[0], node.outputs[0] if not prefix else None)
        for own, x, seen_by in zip(node.outputs, outputs, after, strict=True):
            tensors[id(own)], known[id(x)] = x, seen_by
    for i, own in enumerate(function.outputs):
        results[i] = known[id(tensors[id(own)])]


def through(operation, path, given, before, output, args=(), kwargs=None):
    """What the output of a call sees.

    Args:
        operation: Layer or operation.
        path: How to name it.
        given: KerasTensors that it is given.
        before: What they see: windows, or `Unknown`.
        output: KerasTensor that it gives.
        args: Of the call.
        kwargs: Of the call.

    Returns:
        A tuple of `Window`, one for each axis of the model's input, or an `Unknown`.
    """
    for windows in before:
        if isinstance(windows, Unknown):
            return windows
    try:
        return _through(operation, path, given, before, output, args, kwargs or {})
    except _NoRule as error:
        # What sees all there is already sees the same after any operation.
        if all(window.stride == 0 for windows in before for window in windows):
            return _union(before)
        return Unknown(path, str(error))


class _NoRule(Exception):
    """Why there is no rule for a call."""


def _through(operation, path, given, before, output, args, kwargs):
    kind, shape = type(operation).__name__, given[0].shape
    first_data = getattr(operation, "data_format", None) == "channels_first"
    sides = shape[2:] if first_data else shape[1:-1]
    if isinstance(operation, layers.RecurrentResidual):
        return _recurrent(operation, path, given, before, args, kwargs)
    if isinstance(operation, layers.Highway):
        inner = (operation.transform, operation.gate)
        return _union([*before, *(_inside(part, path, given[0], before[0]) for part in inner)])
    if isinstance(operation, keras.layers.TimeDistributed):
        raise _NoRule(f"there is no rule for {a_kind(operation)}")
    if kind in GLOBAL or (kind in CHANNEL_AXES and not _of_channels(operation, shape, first_data)):
        return _union([_whole(w, x.shape, first_data) for w, x in zip(before, given, strict=True)])
    if kind in CELLWISE:
        return _cellwise(operation, given, before, output, first_data)
    windows = before[0]
    if len(given) > 1 or len(sides) != len(windows):
        raise _NoRule(f"there is no rule for {a_kind(operation)} of such inputs")
    if kind.startswith("ZeroPadding") or kind == "Pad":
        return _shifted(windows, [-left for left in _padding(operation, kind, first_data)])
    if kind.startswith("Cropping"):
        pairs = operation.cropping if len(windows) > 1 else [operation.cropping]
        return _shifted(windows, [pair[0] for pair in pairs])
    if isinstance(operation, layers.CeilMaxPooling2D):
        left = [operation.padding] * 2
        return _slide(windows, sides, operation.pool_size, operation.strides, left=left)
    if isinstance(operation, layers.Conv3dSubstitute):
        size = operation.kernel_size[1:]
        return _slide(windows, sides, size, operation.strides, padding="same")
    if kind in ("TrainableSubsampling2D",):
        return _slide(windows, sides, operation.pool_size, operation.pool_size)
    # Convolutions that reach beyond themselves by strides, and what pools.
    transposed = "Transpose" in kind
    size = getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    strides, padding = getattr(operation, "strides", None), getattr(operation, "padding", None)
    if transposed or size is None or padding not in ("same", "valid", "causal"):
        raise _NoRule(f"there is no rule for {a_kind(operation)}")
    rank = len(windows)
    size, strides, dilation = (
        (value,) * rank if isinstance(value, int) else tuple(value)
        for value in (size, strides or 1, getattr(operation, "dilation_rate", 1))
    )
    return _slide(windows, sides, size, strides, dilation, padding)


def _slide(windows, sides, size, strides, dilation=None, padding="valid", left=None):
    """What a kernel of so many cells sees that stands at every `strides`-th."""
    result = []
    for axis, (window, side) in enumerate(zip(windows, sides, strict=True)):
        stride, extent = strides[axis], (size[axis] - 1) * (dilation or (1,) * 9)[axis] + 1
        before = left[axis] if left else 0
        if padding == "causal":
            before = extent - 1
        elif padding == "same":
            if side is None and stride > 1:
                raise OpenSideError
            # Of the cells that are missing, as many before as behind, or one fewer.
            missing = extent - stride if side is None else (-(-side // stride) - 1) * stride
            missing = missing + extent - side if side is not None else missing
            before = max(missing, 0) // 2
        result.append(
            Window(
                window.stride * stride,
                window.first - before * window.stride,
                window.last + (extent - 1 - before) * window.stride,
            )
        )
    return tuple(result)


def _shifted(windows, cells):
    return tuple(
        Window(w.stride, w.first + n * w.stride, w.last + n * w.stride)
        for w, n in zip(windows, cells, strict=True)
    )


def _padding(operation, kind, first_data):
    """How many cells come before the first one on each axis."""
    if kind == "Pad":
        pairs = list(operation.pad_width)
        if np.any(pairs[0]):
            raise _NoRule("it pads examples")
        return [pair[0] for pair in pairs[1:-1]]
    padding = operation.padding
    return [padding[0]] if np.ndim(padding) == 1 else [pair[0] for pair in padding]


def _whole(windows, shape, first_data=False):
    """What all cells of a tensor see together."""
    sides = shape[2:] if first_data else shape[1:-1]
    if len(sides) != len(windows):
        sides = (1,) * len(windows)  # It has lost its axes: each cell sees all there is.
    result = []
    for window, side in zip(windows, sides, strict=True):
        if side is None and window.stride:
            raise OpenSideError
        last = window.last + ((side or 1) - 1) * window.stride
        result.append(Window(0, window.first, last))
    return tuple(result)


def _union(of_inputs):
    """What is seen by one of several at least, on the axes where they stand alike."""
    result = []
    for windows in zip(*of_inputs, strict=True):
        strides = {window.stride for window in windows}
        if len(strides) > 1:
            raise _NoRule("it joins inputs of other strides")
        first, last = (f(w[i] for w in windows) for f, i in ((min, 1), (max, 2)))
        result.append(Window(strides.pop(), first, last))
    return tuple(result)


def _cellwise(operation, given, before, output, first_data):
    if type(operation).__name__ == "Concatenate":
        rank = len(given[0].shape)
        if operation.axis % rank != (1 if first_data else rank - 1) and any(
            window.stride for windows in before for window in windows
        ):
            raise _NoRule("it joins inputs side by side")
    moving = [any(window.stride for window in windows) for windows in before]
    if any(moving) and not all(moving):
        # Beside what sees all, such as the gate of a channel, the others' cells do, too.
        before = [_whole(w, x.shape, first_data) for w, x in zip(before, given, strict=True)]
    return _union(before)


def _of_channels(operation, shape, first_data):
    axis = operation.axis
    axes = {a % len(shape) for a in (axis if isinstance(axis, list | tuple) else [axis])}
    return axes == {1 if first_data else len(shape) - 1}


def _inside(layer, path, x, windows):
    """What a layer inside another one sees, whose inputs and outputs have equal sides."""
    function = function_of(layer)
    if function is not None:
        of_inner = {}
        for _ in _walk(function, [x], [windows], f"{path}/", of_inner):
            pass
        result = of_inner[0]
    else:
        result = through(layer, f"{path}/{layer.name}", [x], [windows], x)
    if isinstance(result, Unknown):
        raise _NoRule(f"there is no rule for {result.layer!r} in it")
    return result


def _recurrent(layer, path, given, before, args, kwargs):
    steps = kwargs.get("steps")
    windows, x = before[0], given[0]
    if layer.inject_input == "concat":
        x = keras.KerasTensor((*x.shape[:-1], 2 * x.shape[-1]), dtype=x.dtype)
    for _ in range(layer.steps if steps is None else int(steps)):
        inner = _inside(layer.branch, path, x, windows)
        keep = layer.shortcut == "add" or layer.inject_input is not None
        windows = _union([windows, inner] if keep else [inner])
    return windows
