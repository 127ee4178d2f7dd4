"""A whole LSTM with peepholes on TensorFlow, compiled by XLA with a gradient of its own.

Without it TensorFlow runs many small kernels a step, and adds up the gradients of the weights one
step at a time (`python -m training.benchmark cells`).
"""

import tensorflow as tf

from keras_recres.backend.types import Tensor


def whole(
    projected: Tensor, h: Tensor, c: Tensor, kernel: Tensor, peephole: Tensor
) -> tuple[Tensor, Tensor] | None:
    """All steps in training; see `peephole_lstm` in `backend/tensorflow.py`."""
    # Keras hands its variables on as they are.
    inputs = [tf.convert_to_tensor(x) for x in (projected, h, c, kernel, peephole)]
    same = len({x.dtype for x in inputs}) == 1
    # Outside a graph every call would be compiled anew.
    return None if tf.executing_eagerly() or not same else _whole(*inputs)


@tf.custom_gradient
def _whole(*inputs):
    outputs, last, *kept = _compiled(_forward, *inputs)

    def gradient(*upstream):
        @tf.custom_gradient
        def first(*values):
            inputs, upstream = values[:5], values[5:]

            def second(*gradients):
                # Outside XLA, where TensorFlow cannot differentiate a compiled loop.
                with tf.GradientTape() as outer:
                    outer.watch(values)
                    with tf.GradientTape() as inner:
                        inner.watch(inputs)
                        outputs = _forward(*inputs)[:2]
                    found = inner.gradient(outputs, inputs, upstream)
                return outer.gradient(found, values, gradients, unconnected_gradients="zero")

            return _compiled(_backward, *values, outputs, last, *kept), second

        return first(*inputs, *upstream)

    return (outputs, last), gradient


def _compiled(function, *values):
    # Unwatched, or it would hand each step's values to a gradient, which XLA cannot.
    values = [tf.stop_gradient(x) for x in values]
    return tf.function(function, jit_compile=True)(*values)


def _loop(steps, body, *carry):
    return tf.while_loop(
        lambda t, *_: t < steps,
        lambda t, *carry: (t + 1, *body(t, *carry)),
        (0, *carry),
        maximum_iterations=steps,
        parallel_iterations=1,
    )[1:]


def _unstacked(x):
    return tf.TensorArray(x.dtype, size=x.shape[0]).unstack(x)


def _forward(projected, h, c, kernel, peephole):
    p_i, p_f, p_o = tf.unstack(peephole)
    xs, steps = _unstacked(projected), projected.shape[0]
    arrays = [tf.TensorArray(h.dtype, size=steps, element_shape=h.shape) for _ in range(7)]

    def step(t, h, c, *arrays):
        z_i, z_f, z_c, z_o = tf.split(xs.read(t) + h @ kernel, 4, axis=1)
        before, i, f, g = c, tf.sigmoid(z_i + p_i * c), tf.sigmoid(z_f + p_f * c), tf.tanh(z_c)
        c = f * c + i * g
        o, s = tf.sigmoid(z_o + p_o * c), tf.tanh(c)
        h = o * s
        rows = zip(arrays, (h, before, i, f, g, o, s), strict=True)
        return h, c, *(array.write(t, x) for array, x in rows)

    _, last, *arrays = _loop(steps, step, h, c, *arrays)
    hs, *kept = (array.stack() for array in arrays)
    return hs, last, *kept


def _backward(projected, h, c, kernel, peephole, d_hs, d_last, hs, last, *kept):
    p_i, p_f, p_o = tf.unstack(peephole)
    steps, zeros = projected.shape[0], tf.zeros_like(h)
    rows = [_unstacked(x) for x in (d_hs, *kept)]

    def step(t, d_h, d_c, c, q_i, q_f, q_o, d_zs):
        t = steps - 1 - t
        d, before, i, f, g, o, s = (row.read(t) for row in rows)
        d_h = d_h + d
        d_o = d_h * s * o * (1 - o)
        d_c = d_c + d_h * o * (1 - s * s) + d_o * p_o
        d_i, d_f = d_c * g * i * (1 - i), d_c * before * f * (1 - f)
        d_z = tf.concat([d_i, d_f, d_c * i * (1 - g * g), d_o], axis=1)
        d_c = d_c * f + d_i * p_i + d_f * p_f
        q = q_i + d_i * before, q_f + d_f * before, q_o + d_o * c
        return tf.matmul(d_z, kernel, transpose_b=True), d_c, before, *q, d_zs.write(t, d_z)

    d_zs = tf.TensorArray(h.dtype, size=steps, element_shape=projected.shape[1:])
    start = zeros, d_last, last, zeros, zeros, zeros, d_zs
    d_h, d_c, _, *d_peephole, d_zs = _loop(steps, step, *start)
    d_z = d_zs.stack()
    before = tf.concat([h[None], hs[:-1]], axis=0)
    rows = [tf.reshape(x, (-1, x.shape[-1])) for x in (before, d_z)]
    d_kernel = tf.matmul(*rows, transpose_a=True)
    return d_z, d_h, d_c, d_kernel, tf.reduce_sum(tf.stack(d_peephole), axis=1)
