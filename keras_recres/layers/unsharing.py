"""What the steps of a shared branch do not share: which sub-layers, and their weights."""

import difflib
import types

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private


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
    candidates = [layer for layer in keras_private.sublayers(branch) if layer.weights]
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
    inside = {
        id(part) for layer in matched for part in keras_private.sublayers(layer, include_self=False)
    }
    return [layer for layer in matched if id(layer) not in inside]


def own_weights(layer):
    """Gives a RecurrentResidual whose branch is built the weights of the steps after the first.

    Returns:
        A namespace: the `sublayers` of the branch that are not shared, their `variables`, which
        are those of step 0, and `per_step`, for each of these the list of its variables.
    """
    sublayers = match_sublayers(layer.branch, layer.unshare)
    own = types.SimpleNamespace(sublayers=sublayers, variables=[], per_step=[])
    for sublayer in own.sublayers:
        for weight in sublayer.weights:
            own.variables.append(weight)
            # Step 0 uses the branch's own weight: unsharing leaves none unused.
            copies = [_add_copy(layer, weight, sublayer.name, t) for t in range(1, layer.steps)]
            own.per_step.append([weight, *copies])
    return own


def _add_copy(layer, weight, sublayer_name, step):
    return layer.add_weight(
        shape=weight.shape,
        # A copy: JAX may not be handed one buffer twice.
        initializer=lambda shape, dtype: ops.copy(ops.convert_to_tensor(weight, dtype=dtype)),
        dtype=weight.dtype,
        trainable=weight.trainable,
        # As BatchNormalization's, which the policy must not round.
        autocast=keras_private.autocasts(weight),
        regularizer=weight.regularizer,
        constraint=weight.constraint,
        name=f"step{step}_{sublayer_name}_{weight.name}",
    )


def step_values(layer, steps):
    """What the first `steps` steps do not share: a list of dicts, one a step."""
    layer.check_own()
    check_frozen_alike(layer)
    raw = [backend.raw_values(per_step) for per_step in layer.own_per_step]
    scale = None if layer.scale is None else ops.convert_to_tensor(layer.scale)
    embedding = None if layer.embedding is None else ops.convert_to_tensor(layer.embedding)
    values = []
    for t in range(steps):
        t = min(t, layer.steps - 1)
        value = {}
        if raw:
            value["own"] = [per_step[t] for per_step in raw]
        if scale is not None:
            value["scale"] = scale[t]
        if embedding is not None:
            value["embedding"] = embedding[t]
        values.append(value)
    return values


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
