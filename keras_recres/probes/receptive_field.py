"""receptive_field: which part of the input each layer of a network sees."""

from typing import overload

import keras
import numpy as np
from keras import ops

from keras_recres import backend
from keras_recres.backend import probe
from keras_recres.backend.keras_private import function_of
from keras_recres.backend.types import Data, ShapeLike
from keras_recres.layers.checks import a_kind
from keras_recres.models.graph import inputs_of_shape
from keras_recres.probes.receptive_fields import ReceptiveField, ReceptiveFields
from keras_recres.probes.windows import OpenSideError, Unknown, seen

# Of the gradient, in the window that counts as the effective field: as in two deviations of a
# Gaussian, arXiv 1701.04128.
SHARE = 0.9545


@overload
def receptive_field(
    model: keras.Model,
    layer: None = None,
    *,
    input_shape: ShapeLike | None = ...,
    x: Data = ...,
    seed: int = ...,
) -> ReceptiveFields: ...


@overload
def receptive_field(
    model: keras.Model,
    layer: str | keras.layers.Layer,
    *,
    input_shape: ShapeLike | None = ...,
    x: Data = ...,
    seed: int = ...,
) -> ReceptiveField: ...


def receptive_field(
    model: keras.Model,
    layer: str | keras.layers.Layer | None = None,
    *,
    input_shape: ShapeLike | None = None,
    x: Data = None,
    seed: int = 0,
) -> ReceptiveFields | ReceptiveField:
    """Size, stride and offset of the part of the input that a layer's units see, exactly.

    Unit i of an axis sees the cells s i + o … s i + o + r − 1 of the input, of which those below 0
    and beyond the last one are padding. A window of k cells with strides t, dilation d and p cells
    of padding before makes of (r, s, o)

        r + (k − 1) d s,  s t,  o − p s

    and where branches meet, the smallest window that holds all of theirs. That is read off the
    graph, through nested models, branches and recurrent steps. Units that see all of the input at
    any place, such as those behind a global mean, have a stride of 0.

    With examples the effective field is measured beside it, which is smaller, since most ways
    begin in the middle: the shortest window of each axis with 95.45 % of the absolute gradient of
    the unit in the middle, whose channels have random weights (arXiv 1701.04128).

    Example:
    >>> model = keras.applications.VGG19(weights=None)
    >>> receptive_field(model, "block5_conv3").size
    (220, 220)
    >>> receptive_field(model).plot("fields.png")

    Args:
        model: A functional or Sequential model of one input with one to three spatial axes.
        layer: Name or path ("inner/conv1") of a layer, or the layer; None for all layers that see
            more than what they are given.
        input_shape: Shape of an example without the batch axis, for models that take any size.
        x: Array of examples as the model takes them, for the effective field.
        seed: Of the channels' weights.

    Returns:
        A `ReceptiveField`; a `ReceptiveFields`, which is a sequence of them, if `layer` is None.

    Raises:
        ValueError: If there is no such layer, its field cannot be told (a layer before it has no
            rule, or depends on a side that is open), or the input has no spatial axes.
    """
    function = function_of(model)
    if function is None:
        raise ValueError(
            f"`model` must be a built functional or Sequential model, but it is {a_kind(model)}."
        )
    inputs = function.inputs
    if len(inputs) != 1 or not 3 <= len(inputs[0].shape) <= 5:
        shapes = ", ".join(str(x.shape) for x in inputs)
        raise ValueError(
            f"`model` must have one input with one to three spatial axes, but {model.name!r} takes "
            f"{shapes}."
        )
    if x is not None and not keras.backend.is_float_dtype(inputs[0].dtype):
        raise ValueError(
            f"`x` must be None for {model.name!r}, which takes {inputs[0].dtype}: there is no "
            "gradient by it."
        )
    given = inputs_of_shape(model, input_shape)
    try:
        calls = list(seen(function, inputs[0] if given is None else given))
    except OpenSideError:
        raise ValueError(
            f"What the layers of {model.name!r} see depends on the size of the input, which is "
            "open: give `input_shape`, for instance (224, 224, 3)."
        ) from None
    if layer is not None:
        call = _call_of(layer, calls, model)
        if isinstance(call.after, Unknown):
            raise ValueError(
                f"What {call.path!r} sees cannot be told, since {call.after.reason}: "
                f"{call.after.layer!r}."
            )
        return _field(call, function, x, seed)
    fields, unknown = [], None
    for call in calls:
        if isinstance(call.after, Unknown):
            unknown = unknown or call.after
        elif any(_sizes(call.after)[i] > max(sizes) for i, sizes in _by_axis(call.before)):
            fields.append(_field(call, function, x, seed))
    sides = (inputs[0] if given is None else given).shape[1:-1]
    return ReceptiveFields(tuple(fields), tuple(sides), unknown and tuple(unknown))


def _sizes(windows):
    return tuple(window.last - window.first + 1 for window in windows)


def _by_axis(before):
    """(axis, sizes of what the inputs see) of each axis."""
    return enumerate(zip(*map(_sizes, before), strict=True))


def _call_of(layer, calls, model):
    """The last call of a layer."""
    name = layer if isinstance(layer, str) else layer.name
    found = [
        call
        for call in calls
        if (name in (call.path, call.operation.name) if layer is name else call.operation is layer)
    ]
    if not found:
        names = [call.path for call in calls]
        shown = ", ".join(map(repr, names[:8])) + (", …" if len(names) > 8 else "")
        raise ValueError(f"{model.name!r} has no layer {name!r}; its layers are {shown}.")
    return found[-1]


def _field(call, function, x, seed):
    windows = call.after
    gradient = effective = None
    if x is not None and call.output is not None and any(window.stride for window in windows):
        gradient = _gradient(keras.Model(function.inputs[0], call.output), x, len(windows), seed)
        axes = range(gradient.ndim)
        effective = tuple(
            _shortest(gradient.sum(tuple(a for a in axes if a != axis))) for axis in axes
        )
    return ReceptiveField(
        layer=call.path,
        size=_sizes(windows),
        stride=tuple(window.stride for window in windows),
        offset=tuple(window.first for window in windows),
        effective=effective,
        gradient=gradient,
    )


def _gradient(part, x, axes, seed):
    """Mean absolute gradient of the unit in the middle, over examples and the input's channels."""
    x = ops.convert_to_tensor(x, dtype=part.inputs[0].dtype)
    shape = part.outputs[0].shape
    sides = ops.shape(part(x[:1], training=False))[1:-1] if None in shape[1:] else shape[1:-1]
    middle = (slice(None), *(int(side) // 2 for side in sides))
    weights = np.random.default_rng(seed).normal(size=(x.shape[0], shape[-1]))
    weights = ops.convert_to_tensor(weights, dtype="float32")

    def value(x):
        return ops.sum(ops.cast(part(x, training=False)[middle], "float32") * weights)

    gradient = probe.run_once(lambda x: backend.gradients(value, [x])[0])(x)
    return np.abs(ops.convert_to_numpy(ops.cast(gradient, "float32"))).mean((0, axes + 1))


def _shortest(mass):
    """How many neighbours have `SHARE` of a mass at least, as few as do."""
    below = np.concatenate([[0], np.cumsum(mass, dtype="float64")])
    if not below[-1]:
        return 0
    # For each beginning the first end behind which enough lies.
    wanted = below[:-1] + SHARE * below[-1]
    ends = np.searchsorted(below, wanted * (1 - 1e-12))
    lengths = (ends - np.arange(len(mass)))[ends < len(below)]
    return int(lengths.min())
