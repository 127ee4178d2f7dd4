"""The residual blocks of a model, as models of their own that share its layers."""

import fnmatch
import itertools

import keras

from keras_recres.backend.keras_private import function_of
from keras_recres.models.blocks import blocks as find_blocks


def runs(model, patterns=None, plain=False):
    """The runs of residual blocks of a model that are asked for.

    Args:
        model: A functional or Sequential model.
        patterns: Names of `models.blocks(model)`, or wildcards, one or several; None for all.
        plain: Whether patterns may name blocks of a network that has no residual ones.

    Returns:
        A list of `BlockRun`.

    Raises:
        ValueError: If there are none, or they lie in a nested model.
    """
    blocks = find_blocks(model)
    found = [run for run in blocks if run.residual]
    if plain and patterns is not None:
        found = found or blocks
    if patterns is not None:
        patterns = [patterns] if isinstance(patterns, str) else patterns
        names = [run.name for run in found]
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
                raise ValueError(
                    f"{pattern!r} is not among the residual blocks of {model.name!r}: "
                    f"{', '.join(names) or 'there are none'}."
                )
        found = [run for run in found if any(fnmatch.fnmatchcase(run.name, p) for p in patterns)]
    if not found:
        raise ValueError(f"{model.name!r} has no residual blocks, as models.blocks finds them.")
    nested = [run for run in found if run.model is not model]
    if nested:
        raise ValueError(
            f"The blocks {nested[0].name!r} lie in the nested model {nested[0].model.name!r}, "
            "which has to be measured by itself."
        )
    return found


def names(runs):
    """A name for each block, in the network's order: "conv4_block[2]"."""
    return [f"{r.name}[{i}]" if r.count > 1 else r.name for r in runs for i in range(r.count)]


def parts(model, runs):
    """The blocks as models, and the row of all parts: a block's number, or a model."""
    function = function_of(model)
    if len(function.inputs) != 1:
        raise ValueError(f"{model.name!r} must have one input, but it has {len(function.inputs)}.")

    def part(start, end):
        try:
            return keras.Model(start, end)
        except ValueError:
            raise ValueError(
                f"A part of {model.name!r} takes more than one tensor, so that its blocks cannot "
                "be run by themselves."
            ) from None

    blocks, row, tensor = [], [], function.inputs[0]
    for run in runs:
        if tensor is not run.tensors[0]:
            row.append(part(tensor, run.tensors[0]))
        for ends in itertools.pairwise(run.tensors):
            row.append(len(blocks))
            blocks.append(part(*ends))
        tensor = run.tensors[-1]
    if tensor is not function.outputs[0]:
        row.append(part(tensor, function.outputs[0]))
    return blocks, row
