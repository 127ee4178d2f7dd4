"""What the steps of a shared branch do not share: which sub-layers, and their weights."""

import difflib
import math
import types

import keras
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private
from keras_recres.layers import corrections

# Kinds of single weights that `unshare` may name.
KINDS = ("bias", "scale", "depthwise")


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
                + f"Allowed are 'norm', {', '.join(map(repr, KINDS))} and the names {names}."
            )
        matched += [layer for layer in hits if layer not in matched]
    inside = {
        id(part) for layer in matched for part in keras_private.sublayers(layer, include_self=False)
    }
    return [layer for layer in matched if id(layer) not in inside]


def own_weights(layer):
    """Gives a RecurrentResidual whose branch is built the weights of the steps after the first.

    Returns:
        A namespace: the `sublayers` of the branch that are not shared, the `variables` that are
        not, which are those of step 0, `per_step`, for each of these the list of its variables,
        the `corrections` of those that are shared, and the `singles`, pairs of a sub-layer that
        is partly shared and a weight of it that is own or corrected.
    """
    branch = layer.branch
    owners = corrections.owners(branch)
    names = {part.name for part in keras_private.sublayers(branch) if part.weights}
    kinds = [entry for entry in layer.unshare if entry in KINDS and entry not in names]
    sublayers = match_sublayers(branch, [e for e in layer.unshare if e not in kinds])
    variables = {id(w): w for sublayer in sublayers for w in sublayer.weights}
    for kind in kinds:
        hits = {id(w): w for w in branch.weights if kind_of(w, owners[id(w)]) == kind}
        if not hits:
            raise ValueError(f"`unshare` entry {kind!r} matches no weight of {branch.name!r}.")
        variables = {**variables, **hits}
    ranks = corrections.ranks(layer)
    low = []
    for weight in branch.weights:
        rank = ranks.get(id(weight))
        if rank is None or id(weight) in variables:
            continue
        matrix = corrections.matrix_of(weight, owners[id(weight)])
        if rank != "exact" and corrections.pays(rank, layer.steps, matrix.rows, matrix.columns):
            low.append(corrections.add_factors(layer, weight, rank))
        else:
            variables[id(weight)] = weight
    whole = {id(w) for sublayer in sublayers for w in sublayer.weights}
    singles = [w for w in (*variables.values(), *(c.variable for c in low)) if id(w) not in whole]
    own = types.SimpleNamespace(
        sublayers=sublayers,
        singles=[(owners[id(w)], w) for w in singles],
        variables=[],
        per_step=[],
        corrections=low,
    )
    for weight in variables.values():
        own.variables.append(weight)
        owner = owners[id(weight)].name
        # Step 0 uses the branch's own weight: unsharing leaves none unused.
        copies = [_add_copy(layer, weight, owner, t) for t in range(1, layer.steps)]
        own.per_step.append([weight, *copies])
    return own


def kind_of(weight, layer):
    """The kind of a weight of a layer: "norm", "bias", "scale", "depthwise"; None for a kernel."""
    if is_normalization(layer):
        return "norm"
    if "bias" in weight.name:
        return "bias"
    if "depthwise" in weight.name or type(layer).__name__.startswith("DepthwiseConv"):
        return "depthwise"
    return "scale" if math.prod(weight.shape) == max(weight.shape, default=1) else None


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
    factors = [backend.raw_values([c.a, c.b]) for c in layer.own_corrections]
    scale = None if layer.scale is None else ops.convert_to_tensor(layer.scale)
    embedding = None if layer.embedding is None else ops.convert_to_tensor(layer.embedding)
    values = []
    for t in range(steps):
        t = min(t, layer.steps - 1)
        value = {}
        if raw:
            value["own"] = [per_step[t] for per_step in raw]
        if factors:
            value["factors"] = [(a[t], b[t]) for a, b in factors]
        if scale is not None and t >= layer.first_scale:
            value["scale"] = scale[t - layer.first_scale]
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
    replaced = {
        id(part) for part, single in layer.own_singles if id(single) not in map(id, part.weights)
    }
    for part in {id(p): p for p in (*parts, *(p for p, _ in layer.own_singles))}.values():
        whole = part in parts and not known.issuperset(map(id, part.weights))
        if layer.steps > 1 and (whole or id(part) in replaced):
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
