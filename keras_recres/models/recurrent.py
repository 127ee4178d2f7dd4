"""recurrent: a model whose blocks run several times, or whose runs of equal blocks are one."""

import difflib
import fnmatch
import functools
from collections.abc import Mapping

import keras

from keras_recres.backend.keras_private import function_of, print_message, unsafe_code_allowed
from keras_recres.backend.types import Data
from keras_recres.models.blocks import search
from keras_recres.models.copying import check_copies, copy_states
from keras_recres.models.fold import Fold
from keras_recres.models.graph import keep_facts
from keras_recres.models.recurrent_data import learn
from keras_recres.models.recurrent_parts import rebuilt
from keras_recres.models.recurrent_table import RecurrentTable, compare
from keras_recres.models.repeat import Repeat


def recurrent(
    model: keras.Model,
    rules: Repeat | Fold | Mapping[str, Repeat | Fold],
    *,
    data: Data = None,
    verbose: bool = True,
) -> tuple[keras.Model, RecurrentTable]:
    """A copy of a model that is recurrent in depth: deeper, or with fewer parameters.

    A rule is given to the blocks that `models.blocks` finds, by their names. `rules.repeat` lets
    every residual block run several times, which costs computation and hardly a parameter, and
    begins as the model itself. `rules.fold` makes one block of a run of equal ones, which saves
    parameters and no computation, and answers otherwise until it is trained on. Each becomes a
    `RecurrentResidual` in the place of what it replaces; all else remains as it is, with copies of
    the weights. The given model does not change; the copy is not compiled.

    Example:
    >>> from keras_recres.models import recurrent, rules
    >>> model = keras.applications.ResNet50(weights=None)
    >>> deeper, table = recurrent(model, {"conv4*": rules.repeat(2)}, verbose=False)
    >>> deeper.count_params() - model.count_params()  # a scalar for each of the five blocks
    5

    Args:
        model: A built functional or Sequential model.
        rules: A dict {pattern: rule}, or one rule for all blocks; rules are those of
            `keras_recres.models.rules` named above. A pattern is the name of a `BlockRun` with
            wildcards, as in "conv4*", "backbone/*" or "*"; the first that matches a run is taken.
        data: Inputs as the model takes them, an array or a list or dict of arrays of a few hundred
            examples, or None. `rules.fold` then fits low ranks to the features that reach each
            layer, estimates the statistics of batch norms anew, and the table tells how far the
            outputs are from the model's, and those of two controls.
        verbose: Whether to print the table.

    Returns:
        The new model, a functional one, and a `RecurrentTable`.

    Raises:
        ValueError: If the model is subclassed or not built, a pattern matches no run of blocks that
            its rule could take, or a block takes a tensor from aside, has quantised layers or such
            with low-rank updates, or is not what its configuration says.
    """
    new_model, table, _ = planned(model, rules, data)
    if verbose:
        print_message(table)
    return new_model, table


def planned(model, rules, data=None):
    """What `recurrent` gives, and the plans, which know the given model's tensors and the layers.

    Args:
        model: As for `recurrent`.
        rules: As for `recurrent`.
        data: As for `recurrent`.
    """
    runs, others = search(model)
    plans, left = _plans(model, runs, others, rules if isinstance(rules, dict) else {"*": rules})
    new_model, outputs = _assembled(model, plans), {}
    if data is not None and any(plan.folds for plan in plans):
        outputs = learn(model, new_model, plans, data, functools.partial(_assembled, model))
    else:
        for plan in plans:
            plan.begin()
    table = compare(model, new_model, plans, [*left, *others], outputs)
    return new_model, table, plans


def _assembled(model, plans):
    """The model with the layers of the plans, which have not begun."""
    copies = {}
    # The code of a Lambda layer is in memory already, and not read from a file.
    with unsafe_code_allowed():
        new_model = rebuilt(function_of(model), model, plans, copies)
    copy_states(model, copies)
    check_copies(model, copies)
    return keep_facts(model, new_model)


def _plans(model, runs, others, rules):
    """What the rules do with the runs: a list of plans, and (run, why not) for others."""
    plans, left, taken = [], [], set()
    for pattern, rule in rules.items():
        if not hasattr(rule, "plans"):
            raise ValueError(
                f"`rules` must be a dict such as {{'*': rules.repeat(2)}}, or one rule, repeat or "
                f"fold of keras_recres.models.rules, but it holds {rule!r}."
            )
        for matches in (str.__eq__, fnmatch.fnmatchcase):
            hits = [run for run in runs if matches(run.name, pattern)]
            if hits:
                break
        if not hits:
            raise ValueError(_no_match(model, pattern, runs, others))
        asked = [run for run in hits if id(run) not in taken]
        why_not = {run.name: rule.why_not(run) for run in asked}
        able = [run for run in asked if not why_not[run.name]]
        if not able:
            reasons = "; ".join(f"{name!r} {why}" for name, why in why_not.items())
            raise ValueError(
                f"The pattern {pattern!r} of `rules` matches no blocks of {model.name!r} that its "
                f"rule could take: {reasons or 'an earlier rule has taken them'}."
            )
        taken.update(map(id, able))
        plans += [plan for run in able for plan in rule.plans(run)]
        left += [(run.name, why_not[run.name]) for run in asked if why_not[run.name]]
    return plans, left


def _no_match(model, pattern, runs, others):
    for names, reason in others:
        if any(fnmatch.fnmatchcase(name, pattern) for name in names.split(" … ")):
            return (
                f"The pattern {pattern!r} of `rules` matches no run of blocks of {model.name!r}: "
                f"{names!r} is among none, since {reason}."
            )
    names = [run.name for run in runs]
    plain = pattern.translate({ord(c): None for c in "*?[]!"})
    near = difflib.get_close_matches(plain, names, n=3, cutoff=0.4)
    if not names:
        return f"{model.name!r} has no run of equal blocks and no residual block."
    return (
        f"The pattern {pattern!r} of `rules` matches no run of blocks of {model.name!r}; "
        + ("similar names are " if near else "its runs are ")
        + f"{', '.join(map(repr, near or names))}."
    )
