"""substitute: a model with layers of fewer parameters in the place of some of its own."""

import difflib
import fnmatch
from collections.abc import Mapping

import keras

from keras_recres.backend.keras_private import function_of, print_message
from keras_recres.backend.types import Rule, Shapes
from keras_recres.layers.checks import a_kind
from keras_recres.models.copying import check_copies, cloned, copy_states
from keras_recres.models.graph import calls, inputs_of_shape, keep_facts
from keras_recres.models.substitution_table import SubstitutionTable, compare

# Arguments of Keras layers that act on the weights, and that a substitute may not have.
ON_WEIGHTS = ("kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint")


def substitute(
    model: keras.Model,
    rules: Rule | Mapping[str, Rule],
    *,
    input_shape: Shapes = None,
    verbose: bool = True,
) -> tuple[keras.Model, SubstitutionTable]:
    """A copy of a model in which layers with fewer parameters replace some of its layers.

    Every substitute gives the shape and dtype that the layer gave which it replaces, so that all
    other layers remain as they are, with copies of their weights. The substitutes begin with fresh
    weights, unless a rule has given them some: train the model, or only them with the others
    frozen. Frozen layers remain frozen; substitutes are trainable. The given model does not change.

    Layers inside nested functional and Sequential models are replaced, too; what is inside other
    layers, such as the branch of a `RecurrentResidual`, is not. A layer used several times
    remains one layer. The copy is not compiled. It has the class of the model if that class is
    constructed as `keras.Model` is, and is a plain functional model otherwise.

    Fewer multiply-adds are not always less time: see the forms of `Conv3dSubstitute` and
    `MetaConv2D`, which compute more where that is faster than what the backend offers.

    Example:
    >>> from keras_recres.models import rules, substitute
    >>> model = keras.applications.VGG16(weights=None, input_shape=(64, 64, 3), classes=10)
    >>> slim, table = substitute(
    ...     model,
    ...     {"block*": rules.conv3d(volume_depth=16), "fc?": rules.meta_dense(groups=16)},
    ...     verbose=False,
    ... )
    >>> model.count_params(), slim.count_params()
    (39929674, 1796990)

    Args:
        model: A built functional or Sequential model.
        rules: A dict {pattern: rule}, or one rule for all layers. A pattern is a layer's name or
            path with wildcards, as in "block*", "encoder/*" or "*"; a layer's first rule in the
            order of the dict that gives a substitute is taken. Rules are those of
            `keras_recres.models.rules`, or functions rule(layer, input_shape) that return a new
            layer, or a pair of it and a note for the table, a string that says why there is none,
            or None.
        input_shape: Shape of an example without the batch axis, for the multiply-adds of models
            that take inputs of any size; None for the model's own.
        verbose: Whether to print the table.

    Returns:
        The new model, and a `SubstitutionTable` of the parameters and multiply-adds before and
        after. Layers that a rule was meant for and that had to be kept are in it with the reason.

    Raises:
        ValueError: If the model is subclassed or not built, a layer cannot be made again from its
            configuration or then computes something else, a rule fails, or it matches nothing that
            it replaces or that an earlier one has not replaced.
    """
    if function_of(model) is None:
        raise ValueError(_no_graph(model))
    if callable(rules):
        rules = {"*": rules}
    if (
        not isinstance(rules, dict)
        or not rules
        or not all(isinstance(pattern, str) for pattern in rules)
        or not all(map(callable, rules.values()))
    ):
        raise ValueError(
            f"`rules` must be a dict of patterns and rules, such as {{'conv*': "
            f"rules.conv3d(volume_channels=4)}}, or one rule, but it is {rules!r}."
        )
    used = {}
    for call in calls(model, inputs_of_shape(model, input_shape)):
        used.setdefault(id(call.operation), []).append(call)
    decisions = _apply_rules(model, rules, used)
    replaced = {key: new for key, (new, _) in decisions.items() if new is not None}
    copies = {}
    new_model = cloned(model, replaced, copies)
    copy_states(model, copies)
    check_copies(model, copies)
    # What computes a mask is an operation of its own in the graph, which Keras makes by itself.
    new_layers = {key: uses[0].operation for key, uses in used.items()} | copies | replaced
    keep_facts(model, new_model)
    table = compare(model, new_model, used, decisions, new_layers)
    if verbose:
        print_message(table)
    return new_model, table


def _no_graph(model):
    if isinstance(model, keras.Sequential):
        return (
            f"`model` must be built, but the Sequential {model.name!r} is not: begin it with a "
            f"keras.Input, or call it once."
        )
    return (
        f"`model` must be a functional or Sequential model, since the layers of others cannot be "
        f"replaced from outside, but it is {a_kind(model)}."
    )


def _apply_rules(model, rules, used):
    """{id of a layer: (its substitute or None, note)} for those that a rule was meant for."""
    layers = {
        key: uses[0]
        for key, uses in used.items()
        if isinstance(uses[0].operation, keras.layers.Layer)
    }
    decisions = {}
    for pattern, rule in rules.items():
        # A name may have what are wildcards elsewhere: "fc[1]" is that layer, if there is one.
        for matches in (str.__eq__, fnmatch.fnmatchcase):
            hits = [
                key
                for key, use in layers.items()
                if any(matches(name, pattern) for name in (use.operation.name, use.path))
            ]
            if hits:
                break
        if not hits:
            raise ValueError(_no_match(model, pattern, layers))
        # Where an earlier rule gave a substitute, or said why not, this one has no say, or another.
        asked = [key for key in hits if decisions.get(key, (None,))[0] is None]
        if not asked:
            raise ValueError(
                f"The pattern {pattern!r} of `rules` matches {len(hits)} "
                f"layer{'s' * (len(hits) > 1)} of {model.name!r}, all of which an earlier rule has "
                f"replaced: put it before that one, or leave it out."
            )
        meant = 0
        for key in asked:
            new, note = _apply_rule(rule, used[key], pattern)
            if new is None and not note:
                continue
            meant += 1
            if new is None and key in decisions:
                note = f"{decisions[key][1]}; {note}"
            decisions[key] = (new, note)
        if not meant:
            kinds = sorted({type(layers[key].operation).__name__ for key in asked})
            raise ValueError(
                f"The pattern {pattern!r} of `rules` matches {len(asked)} "
                f"layer{'s' * (len(asked) > 1)} of {model.name!r}, but none of a kind that its "
                f"rule replaces, only {', '.join(kinds)}."
            )
    return decisions


def _no_match(model, pattern, layers):
    names = [use.path for use in layers.values() if use.operation.weights]
    plain = pattern.translate({ord(c): None for c in "*?[]!"})
    near = difflib.get_close_matches(plain, names, n=3, cutoff=0.4)
    return (
        f"The pattern {pattern!r} of `rules` matches no layer of {model.name!r}; "
        + ("similar names are " if near else "its layers are ")
        + ", ".join(map(repr, near or names[:5]))
        + (", …" if not near and len(names) > 5 else ".")
    )


def _apply_rule(rule, uses, pattern):
    """A built substitute that fits all uses of a layer, or None, and a note."""
    layer = uses[0].operation
    inputs = [
        [x for x in keras.tree.flatten((use.args, use.kwargs)) if isinstance(x, keras.KerasTensor)]
        for use in uses
    ]
    if any(len(tensors) != 1 for tensors in inputs):
        return None, ""
    try:
        new = rule(layer, tuple(inputs[0][0].shape))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The rule of {pattern!r} fails for {layer.name!r} (a rule is a function of a layer "
            f"and its input shape, such as rules.meta_dense(groups=16) returns): {error}"
        ) from error
    new, *told = new if isinstance(new, tuple) else (new,)
    if new is None or isinstance(new, str):
        return None, new or ""
    if not isinstance(new, keras.layers.Layer) or new is layer:
        raise ValueError(
            f"The rule of {pattern!r} must return a new layer, a string that says why there is "
            f"none, or None, but for {layer.name!r} it returned {new!r}."
        )
    if not new.built:
        new.build(tuple(inputs[0][0].shape))
    for (x,), use in zip(inputs, uses, strict=True):
        got = new.compute_output_spec(keras.KerasTensor(x.shape, dtype=new.compute_dtype))
        want = use.outputs[0]
        if (tuple(got.shape[1:]), got.dtype) != (tuple(want.shape[1:]), want.dtype):
            return None, (
                f"{type(new).__name__} gives {tuple(got.shape[1:])} in {got.dtype}, not "
                f"{tuple(want.shape[1:])} in {want.dtype}"
            )
    lost = [name for name in ON_WEIGHTS if getattr(layer, name, None) is not None]
    lost = [name for name in lost if getattr(new, name, None) is None]
    told += [f"without its {', '.join(lost)}"] if lost else []
    return new, "; ".join(told)
