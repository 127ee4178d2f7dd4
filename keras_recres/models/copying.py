"""Copies of models: layers made again with all that they hold, and compared on a batch."""

import warnings

import keras
import numpy as np
from keras import ops

from keras_recres.backend.keras_private import (
    function_of,
    losses_kept,
    producer,
    run_graph,
    sublayers,
    unsafe_code_allowed,
)
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import a_kind
from keras_recres.layers.copying import copy_state
from keras_recres.models.graph import calls
from keras_recres.models.random_inputs import random_inputs

# Sides to try for axes whose size is open.
SIDES = (32, 128)


class OtherOutputsError(ValueError):
    """A copy computes something else than its layer."""


def remade(operation, known):
    """A layer or operation made again from its configuration.

    Args:
        operation: The layer or operation.
        known: {id of a layer or operation: its copy}, to which this one is added: a layer has one
            copy, and what several `RecurrentResidual` share as their branch their copies share.

    Raises:
        ValueError: If the configuration doesn't suffice.
    """
    if id(operation) not in known:
        try:
            config = operation.get_config()
            if isinstance(operation, RecurrentResidual):
                config["branch"] = remade(operation.branch, known)
            known[id(operation)] = type(operation).from_config(config)
        except Exception as error:
            raise ValueError(
                f"{operation.name!r} in `model`, {a_kind(operation)}, cannot be made "
                f"again from its get_config(), which must name all arguments of its constructor."
            ) from error
    return known[id(operation)]


def cloned(model, replaced, known):
    """A model with the graph of another, without what its layers hold.

    Args:
        model: Built functional or Sequential model.
        replaced: {id of a layer: the one in its place}; all others are made again.
        known: As for `remade`: gets the copies.
    """

    def clone(operation):
        return replaced[id(operation)] if id(operation) in replaced else remade(operation, known)

    # Keras would compile the copy as well, for which losses and metrics of one's own would have to
    # be registered, and with an optimizer for other variables than are trainable in the end.
    compiled = [
        part for part in sublayers(model) if isinstance(part, keras.Model) and part.compiled
    ]
    try:
        for part in compiled:
            part.compiled = False
        # The code of a Lambda layer is in memory already, and not read from a file.
        with unsafe_code_allowed():
            new_model = keras.models.clone_model(
                model,
                input_tensors=None if isinstance(model, keras.Sequential) else inputs_like(model),
                clone_function=clone,
                recursive=True,
            )
    finally:
        for part in compiled:
            part.compiled = True
    # A frozen model would freeze the substitutes in it: its layers know for themselves.
    new_model.trainable = True
    return new_model


def inputs_like(model):
    """New inputs with the names of the old ones' layers, for which Keras takes the tensors'."""

    def like(x):
        layer, _ = producer(x)
        return keras.Input(
            batch_shape=x.shape,
            dtype=x.dtype,
            sparse=x.sparse,
            name=layer.name,
            optional=layer.optional,
        )

    return keras.tree.map_structure(like, model.input)


def copied(model):
    """A functional or Sequential model made again, layer by layer, with all that they hold.

    Raises:
        ValueError: If a layer can't be copied.
    """
    copies = {}
    new_model = cloned(model, {}, copies)
    copy_states(model, copies)
    check_copies(model, copies)
    return new_model


def copy_states(model, copies):
    """Gives the copies of a model's layers what these hold; `copies` as `remade` fills it.

    Raises:
        ValueError: If a copy has other weights, or no longer shares one that its layer shares.
    """
    owners, done = {}, set()
    for call in calls(model):
        layer, new = call.operation, copies.get(id(call.operation))
        both = isinstance(layer, keras.layers.Layer) and isinstance(new, keras.layers.Layer)
        if not both or id(layer) in done:
            continue
        done.add(id(layer))
        copy_state(layer, new, call.path)
        for weight, copy in zip(layer.weights, new.weights, strict=True):
            first, shared = owners.setdefault(id(weight), (call.path, copy))
            if shared is not copy:
                raise ValueError(
                    f"{call.path!r} in `model` shares {weight.path!r} with {first!r}, which copies "
                    f"made from their get_config() would not: let one layer have it, called twice."
                )


def check_copies(model, copies):
    """Compares layers with their copies on a batch of random inputs, each on what reaches it.

    Nothing that a call changes is kept. Layers that draw random numbers at inference are not
    compared.

    Args:
        model: Built functional or Sequential model.
        copies: {id of a layer or operation: function or layer that must compute the same}.

    Raises:
        ValueError: If one computes something else.
    """
    with losses_kept(model), keras.StatelessScope():
        for side in SIDES:
            try:
                _run(function_of(model), random_inputs(model, side=side), "", copies)
                return
            except OtherOutputsError:
                raise
            except Exception as error:
                # The model itself does not run: it wants inputs of another kind.
                why = str(error).split("\n")[0]
    warnings.warn(
        f"the copy of {model.name!r} is not compared with it, since the model does not run on "
        f"random inputs: {why}",
        stacklevel=3,
    )


def _run(function, x, prefix, copies):
    """Runs a graph, nested ones opened; `copies` as in `check_copies`."""

    def operation_fn(operation):
        path = prefix + operation.name
        inner = function_of(operation)
        if inner is not None:
            return lambda x, **_: _run(inner, x, f"{path}/", copies)
        copy = copies.get(id(operation))
        if copy is None:
            return operation

        def both(*args, **kwargs):
            y = operation(*args, **kwargs)
            why = f"the copy of {path!r}, {a_kind(operation)}, "
            try:
                same = _equal(y, copy(*args, **kwargs))
            except Exception as error:
                raise OtherOutputsError(f"{why}does not run: {error}") from error
            # What draws random numbers differs from itself.
            if not same and _equal(y, operation(*args, **kwargs)):
                raise OtherOutputsError(
                    f"{why}computes something else: the layer has something that its get_config(), "
                    f"save_own_variables() and save_assets() leave out."
                )
            return y

        return both

    return run_graph(function, x, operation_fn)


def _equal(some, others):
    for a, b in zip(keras.tree.flatten(some), keras.tree.flatten(others), strict=True):
        half = "16" in ops.dtype(a)
        a, b = ops.convert_to_numpy(a), ops.convert_to_numpy(b)
        if a.dtype.kind in "SUO":
            if not np.array_equal(a, b):
                return False
            continue
        a, b = a.astype("float64"), b.astype("float64")
        # Rounding goes with the largest numbers.
        scale = max(1, np.max(np.abs(a[np.isfinite(a)]), initial=0))
        if not np.allclose(b, a, rtol=0, atol=(0.05 if half else 1e-3) * scale, equal_nan=True):
            return False
    return True
