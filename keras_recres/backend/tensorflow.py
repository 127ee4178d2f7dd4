"""Functions that Keras does not have, for TensorFlow."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_recres.backend import tensorflow_lstm
from keras_recres.backend.tensorflow_scan import (
    arrays_for,
    recomputing_scan,
    scan_sequence,  # noqa: F401 - with the others of this backend
    slices,
    write,
)
from keras_recres.backend.types import Tensor


def prefers_plain_convolutions() -> bool:
    """Whether grouped convolutions are slower than the plain ones that can replace them.

    On a CPU XLA computes them by loops that take 10 to 100 times as long, and Keras compiles every
    grouped convolution by XLA.
    """
    return _has_only_cpus()


def _has_only_cpus():
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def has_fast_conv3d() -> bool:
    """Whether 3-D convolutions are as fast as their arithmetic.

    They are outside XLA, where Keras' `compile` leaves a model on a CPU; and whether a function is
    compiled by XLA cannot be told while it is traced. On a CPU XLA computes them by loops.
    """
    return True


def scan(
    step: Callable[..., Any],
    carry: Any,
    xs: Any,
    constants: Any,
    length: int,
    unroll: int = 1,
    recompute: bool = False,
) -> tuple[Any, Any]:
    """`carry, y = step(carry, x, constants)` for every slice x of `xs`, as `jax.lax.scan` does it.

    `keras.ops.scan` wants the outputs y to look like the carry, and fails under XLA. This one
    takes any structure, is differentiable, and has a static trip count, which XLA needs in order
    to differentiate a loop.

    Args:
        step: Function from (carry, x, constants) to (carry, y); all are structures of tensors, y
            may be empty.
        carry: Structure of tensors; the step must keep its shapes and dtypes.
        xs: Structure of tensors with a leading axis of `length`, or an empty structure.
        constants: Structure of tensors that every step is given; those that a gradient is wanted
            for must be here, and not captured by `step`, when `recompute` is set.
        length: Number of steps, a Python int ≥ 1.
        unroll: Steps in one turn of the loop, a Python int ≥ 1.
        recompute: Whether the backward pass runs each step again, from the carry before it, and
            nothing else is kept.

    Returns:
        The last carry, and the ys stacked on a new leading axis.
    """
    if recompute:
        return recomputing_scan(step, carry, xs, constants, length)
    turns = (length - 1) // unroll
    # The first step stands before the loop: it shows how y is built, which the arrays need to
    # know. Those that do not fill a turn stand there with it.
    before = length - turns * unroll
    arrays = None
    for t in range(before):
        carry, y = step(carry, slices(xs, t), constants)
        if arrays is None:
            arrays = arrays_for(y, length)
        arrays = write(arrays, t, y)

    def turn(t, carry, arrays):
        for _ in range(unroll):
            carry, y = step(carry, slices(xs, t), constants)
            arrays = write(arrays, t, y)
            t = t + 1
        return t, carry, arrays

    if turns:
        _, carry, arrays = tf.while_loop(
            lambda t, *_: t < length,
            turn,
            (before, carry, arrays),
            maximum_iterations=turns,
            # Each step needs the one before.
            parallel_iterations=1,
        )
    return carry, keras.tree.pack_sequence_as(y, [array.stack() for array in arrays])


def gradients(function: Callable[..., Any], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a scalar function of tensors by each of them.

    Args:
        function: From one tensor for each of `inputs` to a scalar.
        inputs: List of tensors of floats.

    Returns:
        A list of tensors like `inputs`.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        value = function(*inputs)
    return tape.gradient(value, inputs, unconnected_gradients="zero")


def is_traced(x: Any) -> bool:
    """Whether a value is part of a function that is being compiled."""
    return not tf.executing_eagerly()


def no_gradients() -> None:
    """A scope in which nothing is recorded for gradients; None where the backend has none.

    A tape that is not stopped by its owner records all there is.
    """
    return None


def fused_batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Batch normalisation in training by one function, over all axes but the last.

    Args:
        x: Tensor (…, features) of rank ≥ 2.
        gamma: Scale, a tensor (features,) of x's dtype, or None for ones.
        beta: Offset, a tensor (features,) of x's dtype, or None for zeros.
        epsilon: Added to the variance, > 0.

    Returns:
        The outputs, like x, and the batch's mean and (biased) variance of every feature, these two
        without a gradient; or None where there is no such function.
    """
    features = x.shape[-1]
    if x.dtype != tf.float32 or not features:
        return None
    images = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, features))
    # XLA computes the variance as E[x²] − E[x]², which is below 0 where the mean is large. No
    # shift changes the result; the mean of one example is near enough.
    shift = tf.stop_gradient(tf.reduce_mean(images[:1], axis=(0, 1, 2)))
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images - shift,
        scale=tf.ones(features) if gamma is None else gamma,
        offset=tf.zeros(features) if beta is None else beta,
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=epsilon,
        is_training=True,
    )
    # It gives the unbiased variance; of one row it divides by 1.
    count = tf.cast(tf.size(images, tf.int64) // features, x.dtype)
    variance *= tf.maximum(count - 1, 1) / count
    return tf.reshape(y, tf.shape(x)) if images is not x else y, mean + shift, variance


def peephole_lstm_step(
    projected: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    peepholes: Tensor,
    carried: Tensor | None = None,
) -> list[Tensor] | None:
    """A step of an LSTM with peepholes, whose gates are sigmoids and whose features are tanh.

    Args:
        projected: What does not depend on the states, (batch, 4 units), gates i, f, c, o.
        h: Output before, of the same dtype.
        c: Memory before, of a dtype as wide.
        kernel: Recurrent kernel, (units, 4 units), in h's dtype.
        peepholes: Three of (units,), in c's dtype.
        carried: What is added to the memory, or None.

    Returns:
        [h, c], or None where what Keras computes is as fast.
    """
    return None


def peephole_lstm(
    projected: Tensor, h: Tensor, c: Tensor, kernel: Tensor, peephole: Tensor
) -> tuple[Tensor, Tensor] | None:
    """All steps of an LSTM with peepholes, where its gradient is wanted.

    Args:
        projected: What does not depend on the states, (time, batch, 4 units), gates i, f, c, o.
        h: First output, (batch, units).
        c: First memory, like it.
        kernel: Recurrent kernel, (units, 4 units).
        peephole: (3, units).

    Returns:
        The outputs, (time, batch, units), and the last memory; or None where there is nothing
        faster than one step after another.
    """
    # Elsewhere it is not measured, and not every device has XLA.
    inputs = projected, h, c, kernel, peephole
    return tensorflow_lstm.whole(*inputs) if _has_only_cpus() else None


def product(x: Tensor, kernel: Tensor, weight: Any) -> Tensor:
    """The product of two matrices; see `backend/jax_scan.py`."""
    return x @ kernel
