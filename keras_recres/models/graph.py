"""Every call of a layer in a model's graph, nested models opened."""

import typing

import keras

from keras_recres.backend.keras_private import function_of, nodes_of


class Call(typing.NamedTuple):
    """One call of a layer or operation: what goes in and what comes out, as KerasTensors."""

    path: str
    operation: object
    args: tuple
    kwargs: dict
    outputs: list


# What `zoo.load` says of a model, as its attributes.
FACTS = ("preprocess", "zoo_record", "zoo_tag", "class_names")


def keep_facts(model, copy):
    """Gives a copy of a model what the zoo said of it and of the models in it; returns the copy."""
    for name in FACTS:
        if hasattr(model, name):
            setattr(copy, name, getattr(model, name))
    copies = {layer.name: layer for layer in copy.layers}
    for layer in model.layers:
        if function_of(layer) is not None and layer.name in copies:
            keep_facts(layer, copies[layer.name])
    return copy


def inputs_of_shape(model, input_shape):
    """A KerasTensor for the only input of a model, of a shape without the batch axis, or None.

    Raises:
        ValueError: If the model has several inputs, or the shape another rank.
    """
    if input_shape is None:
        return None
    own = function_of(model).inputs
    if not isinstance(input_shape, list | tuple):
        raise ValueError(f"`input_shape` must be a tuple of sides, but it is {input_shape!r}.")
    if len(own) != 1 or len(input_shape) != len(own[0].shape) - 1:
        shapes = ", ".join(str(x.shape[1:]) for x in own)
        raise ValueError(
            f"`input_shape` must fit the one input of a model, but it is {tuple(input_shape)}, and "
            f"{model.name!r} takes {shapes}."
        )
    return keras.KerasTensor((None, *input_shape), dtype=own[0].dtype)


def calls(model, inputs=None, prefix=""):
    """The calls of all layers and operations of a model, in an order in which they can run.

    Models inside are opened, the paths of their layers being "inner/layer"; other layers are not,
    whatever they are made of. A layer that is called several times comes several times. No layer
    is called and none gets a new node, so that the model remains as it is.

    Args:
        model: A model for which `function_of` gives a graph.
        inputs: KerasTensors for its inputs, if other ones than its own.
        prefix: Beginning of the paths, "" or "outer/".

    Yields:
        A `Call` each.
    """
    function = function_of(model)
    given = function.inputs if inputs is None else keras.tree.flatten(inputs)
    known = {id(own): x for own, x in zip(function.inputs, given, strict=True)}
    for node in nodes_of(function):
        if node.is_input:
            continue
        operation = node.operation
        args, kwargs = node.arguments.fill_in(known)
        if all(known[id(x)].shape[1:] == x.shape[1:] for x in node.input_tensors):
            outputs = node.outputs
        else:
            outputs = keras.tree.flatten(operation.compute_output_spec(*args, **kwargs))
        known.update((id(own), y) for own, y in zip(node.outputs, outputs, strict=True))
        if function_of(operation) is None:
            yield Call(prefix + operation.name, operation, args, kwargs, outputs)
        else:
            inner = args[0] if args else kwargs["inputs"]
            yield from calls(operation, inner, f"{prefix}{operation.name}/")
