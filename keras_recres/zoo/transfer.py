"""Weights from a file into a model, whole or as far as they fit."""

from __future__ import annotations

import warnings

import h5py
from keras import ops

from keras_recres.backend.keras_private import producer
from keras_recres.layers import RecurrentResidual, tying
from keras_recres.zoo import channels


def read(model, path):
    """Loads a `.weights.h5` file into a model of the same shapes.

    Raises:
        ValueError: The file is not HDF5, or has other weights.
    """
    reason = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.load_weights(path)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error)
    for warning in caught:
        if "Skipping nested container" not in str(warning.message):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        elif not reason:
            # Where a group is missing, Keras only warns and leaves fresh weights.
            reason = str(warning.message)
    reason = reason or surplus(model, path)
    if reason:
        reason = " ".join(reason.split())
        reason = reason if len(reason) < 300 else reason[:300] + "…"
        raise ValueError(f"The weights in {path} do not fit {model.name!r}: {reason}")


def surplus(model, path):
    """Why a file is a larger model's, which Keras loads without a word; "" if it is not."""
    held = 0

    def count(name, entry):
        nonlocal held
        if isinstance(entry, h5py.Dataset) and not name.startswith("optimizer/"):
            held += entry.size

    with h5py.File(path) as file:
        file.visititems(count)
    wanted = model.count_params()
    return "" if held == wanted else f"they are {held:,} numbers, and the model has {wanted:,}"


def fits(model, path):
    """Like `read`, but returns False where that raises; the model is then of no use."""
    try:
        read(model, path)
    except ValueError:
        return False
    return True


def copy(donor, model, changes, in_channels=None):
    """Copies the weights of `donor` into `model`, layer by layer, and checks that all fit.

    Both come from the same builder, so their layers have the same names. What may differ follows
    from the changed arguments, and nothing else may: the heads (of each output the last layer with
    weights) with `num_classes`, frozen tables with `input_shape`, a missing head with
    `features_only`, what is learned per step with `steps`.

    Args:
        donor: Model with the weights.
        model: Model to fill.
        changes: Builder arguments in which `model` differs from `donor`, with the new values.
        in_channels: Channels of the image, where kernels that read it may be adapted.

    Returns:
        Names of the layers that keep their fresh weights: the heads, with `num_classes`.

    Raises:
        ValueError: Weights do not fit the changed arguments.
    """
    given = {layer.name: layer for layer in donor.layers if layer.weights}
    layers = [layer for layer in model.layers if layer.weights]
    heads = [head(output) for output in model.outputs]
    # Where a recurrent layer comes last, its neurons are the logits.
    heads = [layer for layer in heads if not isinstance(layer, RecurrentResidual)]
    fresh = []
    for layer in layers:
        source = given.get(layer.name)
        if "steps" in changes and isinstance(source, RecurrentResidual):
            tying.copy_steps(source, layer)
            continue
        if source is None or len(source.weights) != len(layer.weights):
            raise _misfit(donor, layer.name, changes)
        if layer in heads and "num_classes" in changes:
            fresh.append(layer.name)
            continue
        if in_channels and any(o.shape != n.shape for o, n in _pairs(source, layer)):
            values = channels.adapted(source, layer, donor.input_shape[-1], in_channels)
            if values is not None:
                layer.set_weights(values)
                continue
        for old, new in _pairs(source, layer):
            if old.shape == new.shape:
                new.assign(ops.convert_to_numpy(old))
            elif new.trainable or "input_shape" not in changes:
                raise _misfit(donor, layer.name, changes)
            # Else a fixed table, computed from the input's size: it has its values already.
    left = given.keys() - {layer.name for layer in layers}
    if left and "features_only" not in changes:
        raise _misfit(donor, sorted(left)[0], changes)
    return fresh


def _pairs(source, layer):
    return zip(source.weights, layer.weights, strict=True)


def head(x):
    """The last layer with weights before an output, a KerasTensor."""
    layer, given = producer(x)
    while given and not getattr(layer, "weights", ()):
        layer, given = producer(given[0])
    return layer


def _misfit(donor, layer, changes):
    asked = ", ".join(f"{key}={value!r}" for key, value in changes.items())
    return ValueError(
        f"The weights of {donor.name!r} do not fit {asked}: layer {layer!r} has other weights "
        "with these arguments; leave them out or pass weights=None."
    )
