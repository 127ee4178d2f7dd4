"""fully_convolutional: a classifier of one image size as one of any larger size."""

import keras
from keras import ops

from keras_recres.backend.keras_private import function_of, run_graph
from keras_recres.layers.checks import a_kind
from keras_recres.layers.copying import copy_state
from keras_recres.models.copying import remade
from keras_recres.models.graph import calls, keep_facts


def fully_convolutional(model: keras.Model) -> keras.Model:
    """A copy of a classifier of images that takes any larger image, and answers everywhere in it.

    The first dense layer after a `Flatten` becomes a convolution of the size of the maps that were
    flattened, those after it convolutions of 1 x 1 (arXiv 1312.6229, section 3.3; 1409.1556,
    section 3.2). At the size that the model was made for its answer is the only one of a map of
    1 x 1, (batch, 1, 1, classes); of larger images each answer is that of a window of this size, as
    far as no padding lies between. Average the map for one answer an image. A model without a
    `Flatten`, such as one that ends in a mean of its maps, only gets open sides.

    Example:
    >>> layers = [keras.Input((8, 8, 3)), keras.layers.MaxPooling2D(2), keras.layers.Flatten()]
    >>> model = keras.Sequential([*layers, keras.layers.Dense(10)])
    >>> keras_recres.models.fully_convolutional(model)(keras.ops.ones((1, 10, 12, 3))).shape
    (1, 2, 3, 10)

    Args:
        model: A built functional or Sequential model with one input, (batch, height, width,
            channels).

    Returns:
        A functional keras.Model with weights of its own, from (batch, any height, any width,
        channels); nested models are opened.

    Raises:
        ValueError: If the model has another input, something between a `Flatten` and its dense
            layer needs the size of the maps, or a layer does not take maps of any size.
    """
    function = function_of(model)
    if function is None:
        raise ValueError(
            f"`model` must be a built functional or Sequential model, but it is {a_kind(model)}."
        )
    if len(function.inputs) != 1 or len(function.inputs[0].shape) != 4:
        shapes = ", ".join(str(x.shape[1:]) for x in function.inputs)
        raise ValueError(
            f"`model` must take one input, (height, width, channels), but {model.name!r} takes "
            f"{shapes}."
        )
    (x,) = function.inputs
    inputs = keras.Input((None, None, x.shape[-1]), dtype=x.dtype)
    outputs = _Opened(model).run(function, inputs)
    return keep_facts(model, keras.Model(inputs, outputs, name=model.name))


class _Opened:
    """A model's graph, run once more with open sides."""

    def __init__(self, model):
        self.uses = {id(call.operation): call for call in calls(model)}
        self.copies = {}
        # {id of a tensor that was a vector: the maps' shape at the trained size}
        self.flattened = {}
        # Tensors that were looked up there stay, or another could get the id of one.
        self.kept = []

    def run(self, function, x):
        return run_graph(function, x, self.opened)

    def opened(self, operation):
        inner = function_of(operation)
        if inner is not None:
            return lambda x, **_: self.run(inner, x)

        def call(*args, **kwargs):
            try:
                y = self.call(operation, args, kwargs)
            except _Refusal as refusal:
                raise ValueError(str(refusal)) from None
            except (TypeError, ValueError) as error:
                why = str(error).split("\n")[0]
                raise ValueError(
                    f"{operation.name!r}, {a_kind(operation)}, does not take maps of any "
                    f"size: {why}"
                ) from error
            self.kept.append(y)
            return y

        return call

    def call(self, operation, args, kwargs):
        x, use = args[0] if args else None, self.uses[id(operation)]
        shape = self.flattened.get(id(x))
        if isinstance(operation, keras.layers.Flatten) and len(x.shape) == 4:
            shape = tuple(use.args[0].shape[1:])
            y = self.copy(operation, lambda: keras.layers.Identity(name=operation.name))(x)
            self.flattened[id(y)] = shape
            return y
        if isinstance(operation, keras.layers.Dense) and len(x.shape) == 4:
            return self.convolution(operation, x, shape[:2] if shape else (1, 1))
        if shape is None:
            y = self.copy(operation, lambda: remade(operation, {}))(*args, **kwargs)
            self.copy_state(operation)
            return y
        if getattr(operation, "weights", ()) or use.outputs[0].shape != use.args[0].shape:
            raise _Refusal(
                f"Between a Flatten and a dense layer there may be only what has no weights and "
                f"keeps the shape, but there is {operation.name!r}, {a_kind(operation)}."
            )
        y = self.copy(operation, lambda: remade(operation, {}))(*args, **kwargs)
        self.flattened[id(y)] = shape
        return y

    def copy(self, operation, make):
        """The copy of a layer or operation, the same one for every call."""
        if id(operation) not in self.copies:
            self.copies[id(operation)] = make()
        return self.copies[id(operation)]

    def copy_state(self, operation):
        if getattr(operation, "weights", ()):
            copy_state(operation, self.copies[id(operation)])

    def convolution(self, dense, x, sides):
        def make():
            return keras.layers.Conv2D(
                dense.units,
                sides,
                activation=dense.activation,
                use_bias=dense.use_bias,
                dtype=dense.dtype_policy,
                name=dense.name,
            )

        layer = self.copy(dense, make)
        y = layer(x)
        # A Flatten has rows before columns before maps, as kernels have them.
        layer.kernel.assign(ops.reshape(dense.kernel, layer.kernel.shape))
        if dense.use_bias:
            layer.bias.assign(ops.convert_to_tensor(dense.bias))
        return y


class _Refusal(Exception):
    """What is refused, a sentence."""
