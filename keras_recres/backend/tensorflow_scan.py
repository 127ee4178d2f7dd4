"""A loop on TensorFlow whose gradient is a loop of its own."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def recomputing_scan(step, carry, xs, constants, length):
    """A loop forward that keeps the carries, and one backward that takes each step's gradient.

    Neither loop is differentiated by TensorFlow, whose gradient of `tf.while_loop` fails at random
    outside XLA (2.21) when the loop carries the state of dropout or batch normalization, and always
    when `tf.recompute_grad` stands in such a loop.
    """
    arguments = [*keras.tree.flatten((carry, xs, constants))]
    structure = {}

    @tf.custom_gradient
    def run(*flat):
        carry_0, xs, constants = keras.tree.pack_sequence_as((carry, xs_like, constants_like), flat)

        def forward(t, carry, carries, arrays):
            carries = write(carries, t, carry)
            carry, y = step(carry, slices(xs, t), constants)
            return t + 1, carry, carries, write(arrays, t, y)

        # The first step stands before the loop: it shows how y is built.
        last, y = step(carry_0, slices(xs, 0), constants)
        structure["y"] = y
        arrays = write(arrays_for(y, length), 0, y)
        carries = write(arrays_for(carry_0, length), 0, carry_0)
        _, last, carries, arrays = tf.while_loop(
            lambda t, *_: t < length,
            forward,
            (1, last, carries, arrays),
            maximum_iterations=length - 1,
            parallel_iterations=1,
        )
        outputs = [*keras.tree.flatten(last), *(array.stack() for array in arrays)]
        kept = [array.stack() for array in carries]

        def gradient(*upstream):
            return _backward(step, (carry_0, xs, constants), kept, y, upstream, length)

        return outputs, gradient

    xs_like, constants_like = xs, constants
    outputs = run(*arguments)
    count = len(keras.tree.flatten(carry))
    return (
        keras.tree.pack_sequence_as(carry, outputs[:count]),
        keras.tree.pack_sequence_as(structure["y"], outputs[count:]),
    )


def _backward(step, arguments, kept, y, upstream, length):
    """Gradients of `recomputing_scan`, one for each tensor of (carry, xs, constants).

    Args:
        step: As in `scan`.
        arguments: (carry, xs, constants).
        kept: For each tensor of the carry, its values before every step.
        y: What a step puts out, for its structure.
        upstream: Gradients of the last carry, then of the stacked ys.
        length: Number of steps.
    """
    carry, xs, constants = arguments
    flat_carry, flat_xs, flat_constants = (keras.tree.flatten(part) for part in arguments)
    d_last = upstream[: len(flat_carry)]
    d_ys = upstream[len(flat_carry) :]

    def back(i, d_carry, d_xs, d_constants):
        t = length - 1 - i
        now = [tf.gather(k, t) for k in kept]
        x = [tf.gather(value, t) for value in flat_xs]
        inputs = [*now, *x, *flat_constants]
        watched = [value for value in inputs if value.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            outputs = keras.tree.flatten(
                step(
                    keras.tree.pack_sequence_as(carry, now),
                    keras.tree.pack_sequence_as(xs, x),
                    constants,
                )
            )
        given = [*_spread(flat_carry, d_carry), *(tf.gather(d, t) for d in d_ys)]
        pairs = [(o, d) for o, d in zip(outputs, given, strict=True) if o.dtype.is_floating]
        found = tape.gradient(
            [o for o, _ in pairs],
            watched,
            [d for _, d in pairs],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        d = _spread(inputs, found)
        d_now, d_x, d_c = (
            _floating(part, inputs_of)
            for part, inputs_of in (
                (d[: len(now)], now),
                (d[len(now) : len(now) + len(x)], x),
                (d[len(now) + len(x) :], flat_constants),
            )
        )
        d_xs = [array.write(t, value) for array, value in zip(d_xs, d_x, strict=True)]
        return i + 1, d_now, d_xs, [a + b for a, b in zip(d_constants, d_c, strict=True)]

    start = (
        0,
        _floating(d_last, flat_carry),
        arrays_for([tf.gather(x, 0) for x in _floating(flat_xs, flat_xs)], length),
        [tf.zeros_like(c) for c in _floating(flat_constants, flat_constants)],
    )
    _, d_carry, d_xs, d_constants = tf.while_loop(
        lambda i, *_: i < length,
        back,
        start,
        maximum_iterations=length,
        parallel_iterations=1,
    )
    return [
        *_spread(flat_carry, d_carry),
        *_spread(flat_xs, [array.stack() for array in d_xs]),
        *_spread(flat_constants, d_constants),
    ]


def _floating(values, like):
    """Those of `values` whose counterpart has a gradient."""
    return [value for value, other in zip(values, like, strict=True) if other.dtype.is_floating]


def _spread(like, values):
    """The inverse of `_floating`, with None where there is no gradient."""
    values = iter(values)
    return [next(values) if other.dtype.is_floating else None for other in like]


def scan_sequence(
    step: Callable[..., Any], carry: Any, xs: Any, like: Any, constants: Any = None
) -> tuple[Any, Any]:
    """`carry, y = step(carry, x)` for every slice x of sequences, of a length known or not.

    Args:
        step: Function from (carry, x) to (carry, y), both structures of tensors.
        carry: Structure of tensors; the step must keep its shapes and dtypes.
        xs: Structure of tensors (time, …).
        like: {name: (shape, dtype)} of what y may hold.
        constants: None, or tensors that the step reads, for JAX.

    Returns:
        The last carry, and the ys stacked on a new leading axis.
    """
    del constants
    flat = keras.tree.flatten(xs)
    length = flat[0].shape[0]
    steps = tf.shape(flat[0])[0] if length is None else length
    inputs = [tf.TensorArray(x.dtype, size=steps).unstack(x) for x in flat]
    # An array of no entry cannot be stacked where the batch's size is open: one stands before.
    before = 1 if length is None else 0
    carry_of = carry

    def entry(shape, dtype):
        array = tf.TensorArray(
            dtype, size=steps + before, element_shape=tf.TensorShape([_known(n) for n in shape])
        )
        return array.write(0, tf.zeros(shape, dtype)) if before else array

    outputs = {name: entry(*of) for name, of in like.items()}

    def turn(t, carry, outputs):
        x = keras.tree.pack_sequence_as(xs, [array.read(t) for array in inputs])
        carry, y = step(carry, x)
        for value, old in zip(keras.tree.flatten(carry), keras.tree.flatten(carry_of), strict=True):
            value.set_shape(old.shape)
        outputs = {**outputs, **{k: outputs[k].write(t + before, v) for k, v in y.items()}}
        return t + 1, carry, outputs

    _, carry, outputs = tf.while_loop(
        lambda t, *_: t < steps,
        turn,
        (0, carry, outputs),
        maximum_iterations=length,
        parallel_iterations=1,
    )
    return carry, {name: array.stack()[before:] for name, array in outputs.items()}


def _known(size):
    return None if tf.is_tensor(size) else size


def slices(xs, t):
    return keras.tree.map_structure(lambda x: tf.gather(x, t), xs)


def arrays_for(like, length):
    """One array of `length` entries for each tensor of a structure."""
    return [
        tf.TensorArray(leaf.dtype, size=length, element_shape=leaf.shape)
        for leaf in keras.tree.flatten(like)
    ]


def write(arrays, t, y):
    leaves = keras.tree.flatten(y)
    return [array.write(t, leaf) for array, leaf in zip(arrays, leaves, strict=True)]
