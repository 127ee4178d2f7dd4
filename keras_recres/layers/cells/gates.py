"""What cells with several LSTM's share: biases, and dropout masks as Keras' cells have them."""

import keras
from keras import ops


def bias_initializer(cell):
    """The initial biases of gates in Keras' order; with `unit_forget_bias` those of f are ones."""
    if not cell.unit_forget_bias:
        return cell.bias_initializer

    def initialize(shape, dtype=None):
        size = shape[0] // 4
        first = cell.bias_initializer((size,), dtype=dtype)
        ones = keras.initializers.Ones()((size,), dtype=dtype)
        return ops.concatenate([first, ones, cell.bias_initializer((2 * size,), dtype=dtype)])

    return initialize


def add_kernel(cell, name, shape):
    """A kernel with what the cell has for such: "kernel" is the input's, others are recurrent."""
    kind = "kernel" if name == "kernel" else "recurrent"
    return cell.add_weight(
        shape=shape,
        name=name,
        initializer=getattr(cell, f"{kind}_initializer"),
        regularizer=getattr(cell, f"{kind}_regularizer"),
        constraint=getattr(cell, f"{kind}_constraint"),
    )


def add_bias(cell, name, size, initializer):
    """A bias with the cell's regularizer and constraint, or None without `use_bias`."""
    if not cell.use_bias:
        return None
    return cell.add_weight(
        shape=(size,),
        name=name,
        initializer=initializer,
        regularizer=cell.bias_regularizer,
        constraint=cell.bias_constraint,
    )
