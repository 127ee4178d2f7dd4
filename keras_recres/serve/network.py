"""A model as serving sees it: one input, features, logits, and layers that may run more steps."""

import keras
from keras import ops

from keras_recres.backend.keras_private import (
    function_of,
    nodes_of,
    output_index,
    producer,
    run_graph,
    set_mask,
)
from keras_recres.layers import RecurrentResidual

# Layers and operations that change nothing at inference where they keep the shape.
HANDS_ON = {"ActivityRegularization", "Cast", "Dropout", "Flatten", "Identity", "Reshape"}


class Network:
    """A classifier whose graph can be run with other steps than it was built with.

    The features are the input of the head, a last `Dense` layer; a network without one, such as
    `models.planar`, has its logits for features.

    Attributes:
        input_shape: Shape of one example.
        input_dtype: "float32", or the integers of what takes tokens.
        num_classes: Number of logits.
        steps: For every call of a `RecurrentResidual` the steps that it has, in the order of the
            graph, those of nested models included; empty if there are none, or if one of them
            returns what other steps would change in shape.
        why_no_steps: Where that is so, the sentence that says it; else None.

    Raises:
        ValueError: If the model cannot be served.
    """

    def __init__(self, model):
        function = function_of(model) if isinstance(model, keras.Model) else None
        if function is None:
            raise ValueError(
                f"`model_or_name` must be a built functional or Sequential model or a name of the "
                f"zoo, but it is {model!r}."
            )
        if len(function.inputs) != 1 or len(function.outputs) != 1:
            raise ValueError(
                f"{model.name!r} must have one input and one output to be served, but it has "
                f"{len(function.inputs)} and {len(function.outputs)}."
            )
        (inputs,), (logits,) = function.inputs, function.outputs
        if len(logits.shape) != 2 or logits.shape[1] is None or logits.shape[1] < 2:
            raise ValueError(
                f"{model.name!r} must return logits of shape (batch, classes), at least two "
                f"classes, but it returns {tuple(logits.shape)}."
            )
        if None in inputs.shape[1:]:
            raise ValueError(
                f"the input of {model.name!r} must have a known shape, but it is "
                f"{tuple(inputs.shape)}."
            )
        last = _last(function)
        if _activation(last) in ("softmax", "sigmoid"):
            raise ValueError(
                f"{model.name!r} must return logits, but its last layer {last.name!r} returns "
                "probabilities; build it without `classifier_activation`."
            )
        head, given = producer(logits)
        if type(head).__name__ == "Pad":  # Before one logit stands that of the other class, 0.
            head, given = producer(given[0])
        is_dense = isinstance(head, keras.layers.Dense)
        features = given[0] if is_dense else logits
        self.model = model
        self.input_shape, self.num_classes = tuple(inputs.shape[1:]), logits.shape[1]
        self.input_dtype = inputs.dtype if "int" in inputs.dtype else "float32"
        self.plain = keras.Model(inputs, [features, logits], name=f"{model.name}_with_features")
        recurrent = list(_recurrent(function))
        shapes = [
            op.name for op, asked in recurrent if asked.return_states or asked.return_steps_used
        ]
        self.why_no_steps = None
        if shapes:
            self.why_no_steps = (
                f"{model.name!r} has no signature with `steps`, since {shapes[0]!r} returns more "
                "than its last state."
            )
        elif not recurrent:
            self.why_no_steps = (
                f"{model.name!r} has no RecurrentResidual that could run more steps."
            )
        self.steps = () if shapes else tuple(ask.steps for _, ask in recurrent)

    def __call__(self, x):
        """(features, logits) as float32."""
        return _float32(self.plain(x, training=False))

    def with_steps(self, x, recur):
        """(features, logits) where `recur(i, layer, x)` runs the i-th recurrent layer."""
        counter = iter(range(len(self.steps)))
        return _float32(_run(function_of(self.plain), x, recur, counter))

    def with_static_steps(self, x, steps):
        """(features, logits) with other numbers of steps, one Python int a recurrent layer."""
        return self.with_steps(x, lambda i, layer, x: layer(x, steps=int(steps[i])))


def _last(function):
    """What computes the first output's values, behind what hands them on; nested models opened."""
    x, outer = function.outputs[0], []
    while True:
        operation, given = producer(x)
        inner = function_of(operation)
        if inner is not None:
            outer.append((inner, given))
            x = inner.outputs[output_index(x)]
        elif isinstance(operation, keras.layers.InputLayer) and outer:
            inner, given = outer.pop()
            x = next(y for own, y in zip(inner.inputs, given, strict=True) if own is x)
        elif len(given) == 1 and given[0].shape == x.shape and _hands_on(operation):
            x = given[0]
        else:
            return operation


def _hands_on(operation):
    """Whether values that keep their shape remain what they are at inference."""
    if isinstance(operation, keras.layers.Activation):
        return _activation(operation) == "linear"
    return type(operation).__name__ in HANDS_ON


def _activation(operation):
    """The name of a layer's activation, or of what an operation computes: "softmax"."""
    name = getattr(getattr(operation, "activation", None), "__name__", None)
    return name or type(operation).__name__.lower()


def _run(function, x, recur, counter):
    def operation_fn(operation):
        if isinstance(operation, RecurrentResidual):
            return lambda x, mask=None, **_: recur(next(counter), operation, _masked(x, mask))
        inner = function_of(operation)
        if inner is not None and any(_recurrent(inner)):
            return lambda x, mask=None, **_: _run(inner, _masked(x, mask), recur, counter)
        return operation

    outputs = run_graph(function, x, operation_fn)
    return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs


def _masked(x, mask):
    """`x` with the mask of its call, which may be given by name."""
    if mask is not None:
        set_mask(x, mask)
    return x


def _recurrent(function):
    """The RecurrentResidual of every call and what that asks, in the order of the graph's run."""
    for node in nodes_of(function):
        if isinstance(node.operation, RecurrentResidual):
            yield node.operation, node.operation.of_call(**node.arguments.kwargs)
        elif function_of(node.operation) is not None:
            yield from _recurrent(function_of(node.operation))


def _float32(tensors):
    return [ops.cast(x, "float32") for x in tensors]
