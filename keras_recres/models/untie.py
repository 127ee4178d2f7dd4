"""untie: a recurrent network as the plain one that computes the same."""

import keras

from keras_recres.backend.keras_private import (
    function_of,
    functional_class,
    run_graph,
    unsafe_code_allowed,
)
from keras_recres.layers import RecurrentResidual, tying
from keras_recres.layers.checks import a_kind
from keras_recres.models.copying import check_copies, copy_states, inputs_like, remade
from keras_recres.models.graph import calls, keep_facts


def untie(model: keras.Model) -> keras.Model:
    """A copy of a model in which every recurrent layer is the chain of its steps.

    Each `RecurrentResidual` that runs several steps becomes so many layers of one step, with copies
    of the weights: the outputs are the same, and training may then part what was shared, also
    where several recurrent layers share a branch. A call that says `steps` becomes so many layers.
    Nested functional and Sequential models are opened, and are functional ones in the copy. The
    given model does not change; the copy is not compiled.

    Example:
    >>> model = keras_recres.models.t2t_vit(
    ...     depth=3, steps=[2, 4, 2], input_shape=(32, 32, 3), num_classes=10, first_strides=2)
    >>> plain = untie(model)
    >>> [layer.name for layer in plain.layers if layer.name.startswith("block0")]
    ['block0_step0', 'block0_step1']

    Args:
        model: A built functional or Sequential model.

    Returns:
        A functional model.

    Raises:
        ValueError: If the model is subclassed or not built, has no layer to untie, or one that
            cannot be untied: it injects its input, puts out states or counts of steps, or computes
            something else when it is made again from its configuration.
    """
    if function_of(model) is None:
        raise ValueError(
            f"`model` must be a built functional or Sequential model, but it is {a_kind(model)}."
        )
    steps, parts = _steps_to_untie(model), {}
    if not steps:
        raise ValueError(
            f"{model.name!r} has nothing to untie: none of its layers is a RecurrentResidual of "
            "several steps."
        )

    def part(operation):
        """What is called in an operation's place."""
        key, inner = id(operation), function_of(operation)
        if key in steps and key not in parts:
            parts[key] = _chain(operation, steps[key])
        elif inner is not None and key not in parts:
            parts[key] = rebuilt(inner, operation)
        return parts[key] if key in parts else remade(operation, parts)

    def rebuilt(function, model):
        inputs = inputs_like(function)
        # A class of one's own that is made as Keras' is, such as the zoo's.
        same = getattr(type(model), "__init__", None) is functional_class().__init__
        kind = type(model) if same else keras.Model
        return kind(inputs, run_graph(function, inputs, part), name=model.name)

    # The code of a Lambda layer is in memory already, and not read from a file.
    with unsafe_code_allowed():
        new_model = rebuilt(function_of(model), model)
    copy_states(model, parts)
    check_copies(model, parts)
    return keep_facts(model, new_model)


def _steps_to_untie(model):
    """{id of a RecurrentResidual that runs several steps: the most that a call of it runs}."""
    called, steps = [], {}
    for call in calls(model):
        if isinstance(call.operation, RecurrentResidual):
            called.append((call, call.operation.of_call(**call.kwargs)))
    several = {id(c.operation) for c, asked in called if max(asked.steps, c.operation.steps) > 1}
    for call, asked in called:
        key = id(call.operation)
        if key not in several:
            continue
        if asked.return_states or asked.return_steps_used:
            raise ValueError(
                f"{call.path!r} cannot be untied: separate layers do not put out what "
                "return_states or return_steps_used ask for."
            )
        steps[key] = max(asked.steps, steps.get(key, 0))
    return steps


def _chain(layer, steps):
    """A function that calls as many separate layers as a call of a recurrent one has steps."""
    blocks = tying.untie(layer, steps)

    def call(x, mask=None, training=None, **kwargs):
        x = blocks[0](x, mask=mask, training=training)
        for block in blocks[1 : layer.of_call(**kwargs).steps]:
            x = block(x, training=training)
        return x

    return call
