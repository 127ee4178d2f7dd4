"""Which sub-layers of a shared branch get weights of their own for every step."""

import difflib

import keras

from keras_recres.backend.keras_private import sublayers


def match_sublayers(branch, unshare):
    """The layers with weights, the branch among them, that the entries of `unshare` mean.

    Args:
        branch: Built Keras layer.
        unshare: Names of (sub-)layers, or "norm" for every normalisation layer.

    Returns:
        List of layers, each once, none inside another.

    Raises:
        ValueError: For an entry that matches nothing.
    """
    candidates = [layer for layer in sublayers(branch) if layer.weights]
    matched = []
    for entry in unshare:
        if entry == "norm":
            hits = [layer for layer in candidates if is_normalization(layer)]
        else:
            hits = [layer for layer in candidates if layer.name == entry]
        if not hits:
            names = [layer.name for layer in candidates]
            near = difflib.get_close_matches(str(entry), names, n=1)
            raise ValueError(
                f"`unshare` entry {entry!r} matches no sub-layer with weights of {branch.name!r}; "
                + (f"did you mean {near[0]!r}? " if near else "")
                + f"Allowed are 'norm' and the names {names}."
            )
        matched += [layer for layer in hits if layer not in matched]
    inside = {id(part) for layer in matched for part in sublayers(layer, include_self=False)}
    return [layer for layer in matched if id(layer) not in inside]


def is_normalization(layer):
    """Whether a layer normalises: BatchNormalization, RMSNormalization, a user's own …Norm.

    `SpectralNormalization` and other wrappers do not: they normalise the kernel of a layer.
    """
    wraps = isinstance(layer, keras.layers.Wrapper)
    return "norm" in type(layer).__name__.lower() and not wraps


def check_own(layer, parts):
    """Refuses sub-layers whose variables were replaced since every step got its own of them.

    Args:
        layer: Built RecurrentResidual.
        parts: The sub-layers of its branch that steps do not share.

    Raises:
        ValueError: If `quantize`, `enable_lora` or an assignment did so.
    """
    known = {id(variable) for variable in layer.own_variables}
    for part in parts:
        if layer.steps > 1 and not known.issuperset(map(id, part.weights)):
            raise ValueError(
                f"{part.name!r} in the branch of {layer.name!r} got other variables after every "
                f"step had its own of it, which would then use the first step's: quantise or "
                f"adapt only layers that `unshare` leaves shared, or untie {layer.name!r} first."
            )


def check_frozen_alike(layer):
    """Refuses a variable that is frozen for some steps of a RecurrentResidual, and not for all."""
    for per_step in layer.own_per_step:
        if len({variable.trainable for variable in per_step}) > 1:
            raise ValueError(
                f"{per_step[0].path!r} was frozen or thawed after {layer.name!r} was built, which "
                f"its copies for the other steps were not: set `trainable` of its layer before "
                f"building, or of the whole {layer.name!r}."
            )
