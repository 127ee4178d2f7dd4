"""Which sub-layers of a shared branch get weights of their own for every step."""

import difflib

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
    """Whether a layer normalises: BatchNormalization, RMSNormalization, a user's own …Norm."""
    return "norm" in type(layer).__name__.lower()
