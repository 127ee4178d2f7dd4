"""What the curvature probe needs of TensorFlow."""

import contextlib
import functools
import sys

import keras
import tensorflow as tf
from tensorflow.python.eager import backprop_util, execute, forwardprop
from tensorflow.python.ops import array_ops

# Two transposed reverse passes are a forward pass without the products by zero tangents of
# weights that `tf.autodiff.ForwardAccumulator` leaves in the graph: on vit7 a third of its time.
FASTEST = "tape"


def compiled(function):
    """`function`, compiled at its first call, for arguments of the shapes that it has there.

    Outside XLA, as Keras' own `compile` leaves models on a CPU.
    """
    whole = tf.function(function, autograph=False)
    concrete = []

    def call(*args):
        if not concrete:
            # Rather than `whole` itself, which warns of retracing when many are made and dropped.
            concrete.append(whole.get_concrete_function(*args))
        return concrete[0](*args)

    return call


# As everything here is.
compiled_jet = compiled


def run_once(function):
    """`function` for a few calls: what it would take to compile it costs more."""
    return function


def float64_scope():
    """A scope in which float64 is computed as such: TensorFlow always does."""
    return contextlib.nullcontext()


def substitutes():
    """[(module, name, function)]: what the probe puts in the place of functions while it traces.

    `tf.nn.moments` stops the gradient of the mean, which changes no first derivative and every
    second one. The function itself is the identity, and so are its derivatives here. Resizing
    images has first derivatives only (of second ones some are zero, some raise an error), but is
    linear.
    """
    return [
        (tf, "stop_gradient", tf.identity),
        (array_ops, "stop_gradient", tf.identity),
        (tf.image, "resize", functools.partial(_resize, tf.image.resize)),
    ]


def _resize(original, images, size, *args, **kwargs):
    """`tf.image.resize` as products with matrices: all its methods are linear and separable."""
    if len(images.shape) == 3:
        return _resize(original, images[None], size, *args, **kwargs)[0]

    def matrix(before, after):
        identity = tf.eye(before)[None, :, :, None]
        return tf.cast(
            original(identity, (after, before), *args, **kwargs)[0, :, :, 0], images.dtype
        )

    rows, columns = (matrix(images.shape[i + 1], size[i]) for i in (0, 1))
    return tf.einsum("ih,nhwc,jw->nijc", rows, images, columns)


def jvp(function, primals, tangents):
    """`keras.ops.jvp`, with what TensorFlow (2.21) needs for jvps of jvps.

    After 32 tracings of one operation in a process it traces that operation's derivative for
    unknown shapes, and then the derivative of a gather takes one model's shapes for another's.
    Operations that put out no floating-point numbers (a comparison) fail while they are recorded
    for two accumulators in a graph.
    """
    with (
        _replaced(forwardprop, "_TRACE_COUNT_LIMIT", lambda limit: sys.maxsize),
        _replaced(execute, "record_gradient", _of_differentiable),
    ):
        return keras.ops.jvp(function, primals, tangents)


def _of_differentiable(record_gradient):
    def record(op_name, inputs, attrs, outputs):
        if any(backprop_util.IsTrainable(output) for output in outputs):
            record_gradient(op_name, inputs, attrs, outputs)

    return record


@contextlib.contextmanager
def _replaced(module, name, replacement):
    original = getattr(module, name)
    setattr(module, name, replacement(original))
    try:
        yield
    finally:
        setattr(module, name, original)


def tape_jet(function, theta):
    """`function` of θ with v and a, by nested gradient tapes.

    One reverse pass gives u·v for any cotangents u, another one u·a; both are linear in u, and
    their gradients by u are v and a: as many passes as derivatives, whatever the outputs' size.
    It takes that row i of every output depends on θ_i alone.

    Args:
        function: From θ (n,) to (targets, others), two lists of tensors; targets have n rows.
        theta: Tensor (n,).

    Returns:
        (targets, v, a, others), the first three lists of tensors of the same shapes.
    """
    with tf.GradientTape(persistent=True) as by_u:
        with tf.GradientTape() as second:
            second.watch(theta)
            with tf.GradientTape() as first:
                first.watch(theta)
                targets, others = function(theta)
            u = [tf.ones_like(target) for target in targets]
            by_u.watch(u)
            u_v = first.gradient(targets, theta, u, tf.UnconnectedGradients.ZERO)
        u_a = second.gradient(u_v, theta, None, tf.UnconnectedGradients.ZERO)
    v = by_u.gradient(u_v, u, None, tf.UnconnectedGradients.ZERO)
    a = by_u.gradient(u_a, u, None, tf.UnconnectedGradients.ZERO)
    return targets, v, a, others
