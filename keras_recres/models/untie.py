"""untie: a recurrent network as the plain one that computes the same."""

import keras
from keras import ops

from keras_recres.backend.keras_private import function_of
from keras_recres.layers import RecurrentResidual
from keras_recres.models.graph import keep_facts


def untie(model):
    """A copy of a model in which every recurrent layer is the chain of its steps.

    Each `RecurrentResidual` that runs several steps becomes so many layers of one step, with copies
    of the weights: the outputs are the same, and training may then part what was shared. The given
    model does not change; the copy is not compiled.

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
            cannot be untied: it injects its input, or puts out states or counts of steps.
    """
    if function_of(model) is None:
        raise ValueError(
            f"`model` must be a built functional or Sequential model, but it is a "
            f"{type(model).__name__}."
        )
    chains, copies = {}, []

    def clone(layer):
        if not isinstance(layer, RecurrentResidual) or layer.steps == 1:
            new = type(layer).from_config(layer.get_config())
            if isinstance(layer, keras.layers.Layer):  # And no operation such as x[:, 0].
                copies.append((layer, new))
            return new
        if layer.return_states or layer.return_steps_used:
            raise ValueError(
                f"{layer.name!r} cannot be untied: separate layers do not put out what "
                "return_states or return_steps_used ask for."
            )
        chain = layer.untie()
        chains[id(chain[0])] = chain
        return chain[0]

    def call(layer, *args, **kwargs):
        first, *others = chains.get(id(layer), [layer])
        x = first(*args, **kwargs)
        for other in others:
            x = other(x)
        return x

    function = function_of(model)
    new_model = keras.models.clone_model(function, clone_function=clone, call_function=call)
    if not chains:
        raise ValueError(
            f"{model.name!r} has nothing to untie: none of its layers is a RecurrentResidual of "
            "several steps."
        )
    for layer, new in copies:
        for weight, copy in zip(layer.weights, new.weights, strict=True):
            # A copy: JAX may not be handed one buffer twice.
            copy.assign(ops.copy(ops.convert_to_tensor(weight)))
    return keep_facts(model, new_model)
