"""A residual block run in depth as a recurrent network in time, and back."""

from typing import Any

import keras

from keras_recres.layers import Recurrent, RecurrentResidual
from keras_recres.layers.cells.residual_cell import CellBranch, ResidualCell
from keras_recres.layers.checks import check_count
from keras_recres.layers.tying import copy_state


def residual_to_rnn(layer: RecurrentResidual, **kwargs: Any) -> Recurrent:
    """The recurrent network in time that a recurrent residual block is in depth.

    rnn(sequence, initial_state=x) computes what `layer(x)` does, step for step: its length is the
    number of steps. Of the sequence only an injecting layer takes notice, `inject_input`: for it
    x itself, repeated, is what the layer injects, and other inputs are what it could not be given.

    Example:
    >>> branch = keras.layers.Dense(8, activation="tanh")
    >>> block = keras_recres.layers.RecurrentResidual(branch, steps=5, inject_input="add")
    >>> x = keras.ops.ones((2, 8))
    >>> y = block(x)
    >>> rnn = residual_to_rnn(block)
    >>> rnn(keras.ops.repeat(x[:, None], 5, axis=1), initial_state=x).shape  # y again
    (2, 8)

    Args:
        layer: A built RecurrentResidual; its steps share all.
        **kwargs: Arguments of `Recurrent`, such as `return_sequences`.

    Returns:
        A built `Recurrent` with copies of the weights.

    Raises:
        ValueError: If the layer is not built, or its steps differ: they have weights, scales or
            embeddings of their own, end early, or truncate the gradient.
    """
    _check_built("layer", layer, RecurrentResidual)
    for name, none in (
        ("unshare", ()),
        ("step_embedding", False),
        ("exit_threshold", None),
        ("backprop_steps", None),
    ):
        if getattr(layer, name) != none:
            raise ValueError(
                f"`layer` must do the same in every step, as a recurrent network does, but "
                f"{layer.name!r} has {name}={getattr(layer, name)!r}."
            )
    if layer.residual_scale == "learned":
        raise ValueError(
            f"`layer` must do the same in every step, as a recurrent network does, but "
            f"{layer.name!r} has a learned scale for each."
        )
    shape = tuple(layer.get_build_config()["input_shape"])
    cell = ResidualCell(
        _copy(layer.branch),
        shape[1:],
        layer.shortcut,
        layer.residual_scale,
        layer.inject_input,
        dtype=layer.dtype_policy,
        name=f"{layer.name}_cell",
    )
    rnn = Recurrent(cell, name=f"{layer.name}_in_time", dtype=layer.dtype_policy, **kwargs)
    rnn.build((shape[0], None, *shape[1:]))
    copy_state(layer.branch, cell.branch)
    return rnn


def rnn_to_residual(layer: keras.layers.Layer, steps: int) -> RecurrentResidual:
    """The block in depth that a recurrent network in time is, its input being constant.

    block([h, u]) = [h_T, u], with the states h, one after the other, and the input u that each of
    the T = `steps` steps is given. What `residual_to_rnn` made without an injected input becomes
    the block on x alone that it was.

    Example:
    >>> rnn = keras.layers.LSTM(4, return_state=True)
    >>> u = keras.ops.ones((2, 3))
    >>> _, h, c = rnn(keras.ops.repeat(u[:, None], 5, axis=1))
    >>> block = rnn_to_residual(rnn, steps=5)
    >>> start = keras.ops.concatenate([keras.ops.zeros((2, 8)), u], axis=1)
    >>> block(start).shape  # h, c and u
    (2, 11)

    Args:
        layer: A built `keras.layers.RNN`, such as LSTM or `Recurrent`, whose states are vectors.
        steps: Integer ≥ 1, T.

    Returns:
        A built RecurrentResidual with copies of the weights.

    Raises:
        ValueError: If the layer is not built, or a state has more axes than a vector.
    """
    check_count("steps", steps)
    _check_built("layer", layer, keras.layers.RNN)
    cell = layer.cell
    options = {"steps": steps, "dtype": layer.dtype_policy, "name": f"{layer.name}_in_depth"}
    if isinstance(cell, ResidualCell) and cell.inject_input is None:
        branch = _copy(cell.branch)
        scale = cell.residual_scale
        block = RecurrentResidual(branch, shortcut=cell.shortcut, residual_scale=scale, **options)
        block.build((None, *cell.state_shape))
        copy_state(cell.branch, branch)
        return block
    sizes = keras.tree.flatten(cell.state_size)
    # A tuple among the sizes is the shape of one state.
    nested = cell.state_size if isinstance(cell.state_size, list | tuple) else [cell.state_size]
    if any(isinstance(size, tuple) for size in nested):
        raise ValueError(
            f"`layer` must have vectors as its states, but those of {layer.name!r} have the "
            f"shapes {cell.state_size}."
        )
    branch = CellBranch(_copy(cell), dtype=layer.dtype_policy)
    block = RecurrentResidual(branch, shortcut="none", **options)
    features = cell.get_build_config()["input_shape"][-1]
    block.build((None, sum(sizes) + features))
    copy_state(cell, branch.cell)
    return block


def _copy(layer):
    return keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))


def _check_built(name, layer, kind):
    if not isinstance(layer, kind) or not layer.built:
        raise ValueError(f"`{name}` must be a built {kind.__name__}, but it is {layer!r}.")
