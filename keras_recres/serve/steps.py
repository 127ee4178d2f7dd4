"""Recurrent layers whose number of steps is an input of the graph. TensorFlow only."""

import keras
import tensorflow as tf
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private
from keras_recres.backend.tensorflow_scan import slices
from keras_recres.layers.depth_loop import PureStep
from keras_recres.layers.unsharing import step_values


def run(layer, x0, steps, max_steps):
    """A built RecurrentResidual at inference, with a number of steps for every example.

    One loop to the largest number; an example that has had its steps is left as it is. So examples
    of several requests may be put into one batch, as a server does, without influence on one
    another. What is learned per step has `layer.steps` values, and steps beyond them use the last.

    Args:
        layer: The layer.
        x0: Its input, (batch, …), with its mask, which the output has, too.
        steps: int32 tensor, (batch,), from 1 to `max_steps`.
        max_steps: Python int, a bound of the loop.

    Returns:
        The last states, like `x0`.
    """
    mask = keras_private.get_mask(x0)
    x0 = ops.cast(x0, layer.compute_dtype)
    pure = PureStep(layer, mask, False, False, True)
    constants = {"x0": x0, "weights": backend.raw_values(pure.constant_variables)}
    stacked = keras.tree.map_structure(
        lambda *leaves: tf.stack(leaves), *step_values(layer, layer.steps)
    )
    carry = {"x": x0, "state": pure.read_state()}
    one_step = pure.step
    if layer.exit_threshold is not None:
        one_step = pure.exiting
        carry.update(pure.all_active(x0))
    wide = tf.reshape(steps, (-1,) + (1,) * (len(x0.shape) - 1))

    def body(t, carry):
        value = slices(stacked, tf.minimum(t, layer.steps - 1))
        after, _ = one_step(carry, value, constants)
        return t + 1, {**after, "x": tf.where(t < wide, after["x"], carry["x"])}

    last = tf.reduce_max(steps)
    _, carry = tf.while_loop(
        lambda t, _: t < last,
        body,
        (tf.constant(0), carry),
        maximum_iterations=max_steps,
        parallel_iterations=1,
    )
    if mask is not None:
        keras_private.set_mask(carry["x"], mask)
    return carry["x"]
