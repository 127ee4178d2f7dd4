"""Conversions between one recurrent layer and T separate layers."""

import warnings

import keras
import numpy as np

from keras_recres.backend.keras_private import sublayers
from keras_recres.layers import corrections
from keras_recres.layers.copying import copy_state


def untie(layer, steps=None):
    """See `RecurrentResidual.untie`; `steps` as in a call of the layer."""
    if not layer.built:
        raise ValueError(f"{layer.name!r} must be built before it is untied: call it once.")
    if layer.inject_input is not None:
        raise ValueError(
            f"{layer.name!r} cannot be untied: separate layers do not see the input that "
            f"inject_input={layer.inject_input!r} gives every step."
        )
    layer.check_own()
    blocks = []
    for t in range(layer.steps if steps is None else steps):
        config = {
            **layer.get_config(),
            "name": f"{layer.name}_step{t}",
            "steps": 1,
            "backprop_steps": None,
            "exit_threshold": None,
            "return_states": False,
            "return_steps_used": False,
            "corrections": None,
            "drop_rates": layer.drop_rates
            and {key: [rates[min(t, layer.steps - 1)]] for key, rates in layer.drop_rates.items()},
        }
        if layer.residual_scale == "grown" and min(t, layer.steps - 1):
            config["residual_scale"] = "learned"
        block = type(layer).from_config(config)
        block.build(layer.get_build_config()["input_shape"])
        copy_state(layer.branch, block.branch)
        values = corrections.weights_at(layer, min(t, layer.steps - 1))
        for target, value in zip(block.branch.weights, values, strict=True):
            # Through NumPy: on JAX two variables would share a buffer, which training may not.
            target.assign(keras.ops.convert_to_numpy(value))
        _set_step(block, 0, layer, min(t, layer.steps - 1))
        blocks.append(block)
    return blocks


def tie(cls, blocks, unshare=None, shortcut="none", **kwargs):
    """See `RecurrentResidual.tie`."""
    blocks = list(blocks)
    if not blocks:
        raise ValueError("`blocks` must hold at least one layer, but it is empty.")
    for block in blocks:
        if not getattr(block, "built", False):
            raise ValueError(f"every block must be a built layer, but {block!r} is not.")
    first = blocks[0]
    for block in blocks[1:]:
        if _architecture(block) != _architecture(first):
            raise ValueError(
                f"blocks must be alike in all but their weights, but {block.name!r} "
                f"({_describe(block)}) differs from {first.name!r} ({_describe(first)}) in its "
                f"configuration."
            )
    recurrent = isinstance(first, cls)
    if recurrent:
        for block in blocks:
            if block.steps != 1:
                raise ValueError(
                    f"blocks must run one step, but {block.name!r} runs {block.steps}."
                )
        if first.inject_input is not None:
            raise ValueError(
                f"blocks with inject_input={first.inject_input!r} cannot be tied: each was given "
                f"its own input, and the tied layer gives every step the first one's."
            )
        options = {**first.get_config(), "name": None, "dtype": first.dtype_policy}
        del options["branch"]
        unshare = first.unshare if unshare is None else unshare
        branches = [block.branch for block in blocks]
        kwargs = {**options, **kwargs}
    else:
        branches = blocks
        kwargs = {"shortcut": shortcut, "dtype": first.dtype_policy, **kwargs}
    branch = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(branches[0]))
    layer = cls(branch, **{**kwargs, "steps": len(blocks), "unshare": unshare or ()})
    layer.build(first.get_build_config()["input_shape"])

    per_branch = [b.get_weights() for b in branches]
    own_paths = _own_indices(layer)
    unequal = [
        i
        for i, copies in enumerate(zip(*per_branch, strict=True))
        if i not in own_paths and any(not np.array_equal(copies[0], c) for c in copies[1:])
    ]
    if unequal:
        names = ", ".join(branch.weights[i].path for i in unequal[:3])
        warnings.warn(
            f"the {len(blocks)} blocks differ in {len(unequal)} of {len(branch.weights)} weights "
            f"({names}{', …' if len(unequal) > 3 else ''}): their averages are used, so the tied "
            f"layer does not compute what the blocks did.",
            stacklevel=3,
        )
    copy_state(branches[0], branch)
    # Equal weights are taken as they are: their computed mean could be off by a rounding.
    branch.set_weights(
        [
            np.mean(copies, axis=0) if i in unequal else copies[0]
            for i, copies in enumerate(zip(*per_branch, strict=True))
        ]
    )
    for i, per_step in own_paths.items():
        for t, weights in enumerate(per_branch):
            per_step[t].assign(weights[i])
    if recurrent:
        for t, block in enumerate(blocks):
            _set_step(layer, t, block, 0)
    return layer


def copy_steps(source, target):
    """Copies all weights of a recurrent layer to one that differs in its number of steps.

    Steps beyond those of `source` get what its last step has, as in `source(x, steps=n)`.
    """
    last = source.steps - 1
    copy_state(source.branch, target.branch)
    for to, given in zip(target.own_per_step, source.own_per_step, strict=True):
        for t, variable in enumerate(to):
            variable.assign(keras.ops.convert_to_numpy(given[min(t, last)]))
    for to, given in zip(target.own_corrections, source.own_corrections, strict=True):
        for factor in ("a", "b"):
            values = keras.ops.convert_to_numpy(getattr(given, factor))
            steps = [min(t, last) for t in range(target.steps)]
            getattr(to, factor).assign(values[steps])
    for t in range(target.steps):
        _set_step(target, t, source, min(t, last))


def _set_step(target, t, source, s):
    """Copies what is learned per step: step s of `source` to step t of `target`."""
    for name, start, first in (
        ("scale", target.first_scale, source.first_scale),
        ("embedding", 0, 0),
    ):
        to, given = getattr(target, name), getattr(source, name)
        if to is not None and given is not None and t >= start and s >= first:
            values = np.array(keras.ops.convert_to_numpy(to))
            values[t - start] = keras.ops.convert_to_numpy(given)[s - first]
            to.assign(values)


def _own_indices(layer):
    """Index among the branch's weights → its per-step copies, for what is not shared."""
    place = {id(weight): i for i, weight in enumerate(layer.branch.weights)}
    return {
        place[id(own)]: per_step
        for own, per_step in zip(layer.own_variables, layer.own_per_step, strict=True)
    }


def _architecture(layer):
    """All that makes a layer but its weights: class, configuration without names and seeds."""
    names = {part.name: f"layer{i}" for i, part in enumerate(sublayers(layer))}

    def anonymous(config):
        if isinstance(config, dict):
            return {key: anonymous(value) for key, value in config.items() if key != "seed"}
        if isinstance(config, list | tuple):
            return [anonymous(value) for value in config]
        return names.get(config, config) if isinstance(config, str) else config

    config = anonymous(keras.saving.serialize_keras_object(layer))
    if config["config"].get("residual_scale") == "grown" and hasattr(layer, "branch"):
        # The first of the steps that were one layer has no scale, the others have.
        config["config"]["residual_scale"] = "learned"
    return config, _shapes(getattr(layer, "branch", layer))


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]


def _describe(layer):
    return f"{type(layer).__name__} with weights of shapes {_shapes(layer)}"
