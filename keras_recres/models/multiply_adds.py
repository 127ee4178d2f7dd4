"""multiply_adds: the computation that a model spends on an example."""

import dataclasses

import keras

from keras_recres.backend.keras_private import function_of
from keras_recres.backend.types import Shapes
from keras_recres.layers.checks import a_kind
from keras_recres.models.graph import calls, inputs_of_shape
from keras_recres.models.product_rules import (
    PRODUCTS_WITHOUT_WEIGHTS,
    RULES,
    WITHOUT_PRODUCTS,
    OpenSizeError,
)


@dataclasses.dataclass(frozen=True)
class MultiplyAdds:
    """The multiply-adds of one forward pass per example.

    Attributes:
        total: Their number, without the `unknown` layers.
        layers: For each layer that has some, {path: number}; all calls of the layer together.
        unknown: Paths of the layers and operations whose number is not known.
    """

    total: int
    layers: dict
    unknown: tuple


def multiply_adds(model: keras.Model, input_shape: Shapes = None) -> MultiplyAdds:
    """The number of multiply-adds that a model spends on one example in inference.

    Counted is one for every product of a feature and a weight in convolutions (those with the
    padding, too) and dense maps, and in attention for every product of two features; not counted
    are biases, activations, normalisation, pooling and sums. The numbers are those of the layers'
    equations: a form that computes more, because it is faster, counts the same, and
    `RecurrentResidual` counts all of its steps, whether or not examples exit early.

    A layer of one's own is counted if it has a method `multiply_adds(input_shape)`; otherwise, if
    it has weights, it is among the `unknown`, as are those without a rule here.

    Example:
    >>> model = keras.applications.MobileNet(weights=None)
    >>> keras_recres.models.multiply_adds(model).total
    568740352

    Args:
        model: A built functional or Sequential model, or, if `input_shape` is given, any layer.
        input_shape: Shape of an example without the batch axis, for models that take inputs of
            any size; None for the model's own.

    Returns:
        A `MultiplyAdds`.

    Raises:
        ValueError: If the model is subclassed or not built, or its numbers depend on a size that
            is not known.
    """
    if function_of(model) is not None:
        found = calls(model, inputs_of_shape(model, input_shape))
    elif input_shape is not None and model.built:
        inputs = keras.KerasTensor((None, *input_shape), dtype=model.compute_dtype)
        found = [(model.name, model, (inputs,), {}, None)]
    else:
        raise ValueError(
            f"`model` must be a functional or a built Sequential model, since the calls of others "
            f"are not known before they run, but it is {a_kind(model)}; give "
            f"`input_shape` to count a single built layer."
        )
    counts, unknown = {}, []
    for path, operation, args, kwargs, _ in found:
        count = count_call(operation, args, kwargs, path, unknown)
        if count is None:
            raise ValueError(
                f"The multiply-adds of {path!r} depend on the size of the input, which is open: "
                f"give `input_shape`, for instance (224, 224, 3)."
            )
        if count:
            counts[path] = counts.get(path, 0) + count
    return MultiplyAdds(sum(counts.values()), counts, tuple(dict.fromkeys(unknown)))


def count_call(operation, args, kwargs, path, unknown):
    """The multiply-adds of one call, or None if they depend on a size that is not known.

    Args:
        operation: Layer or operation.
        args: Its arguments, with KerasTensors.
        kwargs: Its keyword arguments.
        path: How to name it in `unknown`.
        unknown: List to which the paths of layers are appended whose number is not known.
    """
    args, kwargs = keras.tree.map_structure(
        lambda x: tuple(x.shape) if isinstance(x, keras.KerasTensor) else x, (args, kwargs)
    )
    try:
        return _count(operation, path, unknown, args, kwargs)
    except OpenSizeError:
        return None


def _count(operation, path, unknown, args, kwargs):
    """As `count_call`, with shapes in the place of tensors."""

    def inner(layer, *shapes):
        return _count(layer, f"{path}/{layer.name}", unknown, shapes, {})

    if function_of(operation) is not None:
        inputs = [keras.KerasTensor(shape, dtype=operation.compute_dtype) for shape in args]
        total = 0
        for call in calls(operation, inputs, f"{path}/"):
            count = count_call(call.operation, call.args, call.kwargs, call.path, unknown)
            if count is None:
                raise OpenSizeError
            total += count
        return total
    if hasattr(operation, "multiply_adds"):
        return operation.multiply_adds(*args)
    for kind, rule in RULES.items():
        if isinstance(operation, kind):
            return rule(operation, inner, *args, **kwargs)
    without_weights = not getattr(operation, "weights", ())
    if without_weights:
        known = type(operation).__name__ not in PRODUCTS_WITHOUT_WEIGHTS
    else:
        known = isinstance(operation, WITHOUT_PRODUCTS)
    if not known:
        unknown.append(path)
    return 0
