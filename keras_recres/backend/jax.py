"""Functions that Keras does not have, for JAX."""

import jax


def prefers_plain_convolutions():
    """Whether grouped convolutions are slower than the plain ones that can replace them.

    See `backend/tensorflow.py`.
    """
    return jax.default_backend() == "cpu"


def has_fast_conv3d():
    """Whether 3-D convolutions are as fast as their arithmetic; see `backend/tensorflow.py`."""
    return jax.default_backend() != "cpu"


def scan(step, carry, xs, constants, length, unroll=1, recompute=False):
    """`carry, y = step(carry, x, constants)` for slices of `xs`; see `backend/tensorflow.py`.

    What `recompute` asks for, `keras.remat` of the step does here.
    """
    del recompute
    return jax.lax.scan(
        lambda carry, x: step(carry, x, constants), carry, xs, length=length, unroll=unroll
    )


def scan_sequence(step, carry, xs, like):
    """`carry, y = step(carry, x)` over sequences; see `backend/tensorflow_scan.py`."""
    del like
    return jax.lax.scan(step, carry, xs)


def gradients(function, inputs):
    """The gradients of a scalar function by its tensors; see `backend/tensorflow.py`."""
    return list(jax.grad(function, argnums=tuple(range(len(inputs))))(*inputs))


def is_traced(x):
    """Whether a value is part of a function that is being compiled or differentiated."""
    return isinstance(x, jax.core.Tracer)


def no_gradients():
    """None: functions are differentiated whole; see `backend/tensorflow.py`."""
    return None


def fused_batch_norm(x, gamma, beta, epsilon):
    """None: XLA fuses what Keras computes; see `backend/tensorflow.py`."""
    return None


def peephole_lstm_step(projected, h, c, kernel, peepholes, carried=None):
    """None: XLA fuses what Keras computes; see `backend/tensorflow.py`."""
    return None


def peephole_lstm(projected, h, c, kernel, peephole):
    """None: XLA fuses what Keras computes; see `backend/tensorflow.py`."""
    return None
