"""What several recurrent cells are made of."""

import contextlib
import threading

import keras
from keras import ops

from keras_recres import backend

_kept = threading.local()


@contextlib.contextmanager
def weights_read_once():
    """Inside, a weight is read and cast once by `value`, not in each step, and not changed."""
    before = getattr(_kept, "values", None)
    _kept.values = {}
    try:
        yield
    finally:
        _kept.values = before


def value(x, like, rows=False):
    """A weight's or a tensor's value in the dtype of another tensor.

    Args:
        x: Variable or tensor.
        like: Tensor.
        rows: Whether to return a list of its rows.
    """
    if not isinstance(x, keras.Variable):
        return x if x.dtype == like.dtype else ops.cast(x, like.dtype)
    kept = getattr(_kept, "values", None)
    key = id(x), like.dtype, rows
    if kept is not None and key in kept:
        return kept[key]
    x = ops.convert_to_tensor(x)
    x = x if x.dtype == like.dtype else ops.cast(x, like.dtype)
    x = ops.unstack(x) if rows else x
    if kept is not None:
        kept[key] = x
    return x


def product(x, kernel, masks=None):
    """The product of the last axis of x with a kernel, in x's dtype, also in float64.

    `keras.ops.matmul` rounds float64 to float32 on PyTorch and JAX.

    Args:
        x: Tensor (…, m).
        kernel: Matrix (m, n).
        masks: None, a dropout mask of x, or one for each of equal parts of the kernel's columns.
    """
    weight, kernel = kernel, value(kernel, x)
    if isinstance(masks, list | tuple):
        parts = ops.split(kernel, len(masks), axis=1)
        columns = [product(x, part, mask) for part, mask in zip(parts, masks, strict=True)]
        return ops.concatenate(columns, axis=-1)
    if masks is not None:
        x = x * ops.cast(masks, x.dtype)
    if len(x.shape) == 2:
        return backend.product(x, kernel, weight)
    # TensorFlow multiplies one matrix at a time where an axis stands before them.
    rows = ops.reshape(x, (-1, x.shape[-1])) @ kernel
    return ops.reshape(rows, (*ops.shape(x)[:-1], kernel.shape[-1]))


def dropout_masks(cell, x, training):
    """The masks of a cell's inputs, or None, as Keras' cells draw them: once for all steps."""
    return cell.get_dropout_mask(x) if training and 0 < cell.dropout < 1 else None


def recurrent_dropout_masks(cell, h, training):
    """The masks of a cell's recurrent features, or None."""
    drops = training and 0 < cell.recurrent_dropout < 1
    return cell.get_recurrent_dropout_mask(h) if drops else None
