"""Functions that Keras does not have, for TensorFlow."""

import keras
import tensorflow as tf


def scan(step, carry, xs, length):
    """`carry, y = step(carry, x)` for every slice x of `xs`, as `jax.lax.scan` does it.

    `keras.ops.scan` wants the outputs y to look like the carry, and fails under XLA. This one
    takes any structure, is differentiable, and has a static trip count, which XLA needs in order
    to differentiate a loop.

    Args:
        step: Function from (carry, x) to (carry, y); both are structures of tensors, y may be
            empty.
        carry: Structure of tensors; the step must keep its shapes and dtypes.
        xs: Structure of tensors with a leading axis of `length`, or an empty structure.
        length: Number of steps, a Python int ≥ 1.

    Returns:
        The last carry, and the ys stacked on a new leading axis.
    """

    def slices(t):
        return keras.tree.map_structure(lambda x: tf.gather(x, t), xs)

    # The first step stands before the loop: it shows how y is built, which the arrays need to know.
    carry, y = step(carry, slices(0))
    if length == 1:
        return carry, keras.tree.map_structure(lambda leaf: leaf[None], y)
    arrays = [
        tf.TensorArray(leaf.dtype, size=length, element_shape=leaf.shape).write(0, leaf)
        for leaf in keras.tree.flatten(y)
    ]

    def body(t, carry, arrays):
        carry, y = step(carry, slices(t))
        leaves = keras.tree.flatten(y)
        return t + 1, carry, [a.write(t, leaf) for a, leaf in zip(arrays, leaves, strict=True)]

    _, carry, arrays = tf.while_loop(
        lambda t, *_: t < length, body, (1, carry, arrays), maximum_iterations=length - 1
    )
    return carry, keras.tree.pack_sequence_as(y, [a.stack() for a in arrays])
