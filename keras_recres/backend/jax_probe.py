"""What the curvature probe needs of JAX; see `tensorflow_probe.py`."""

import contextlib

import jax

FASTEST = "forward"
tape_jet = None


def compiled(function):
    """`function`, compiled."""
    return jax.jit(function)


def run_once(function):
    """`function` for a few calls: uncompiled, every operation would be compiled by itself."""
    return jax.jit(function)


def float64_scope():
    """A scope in which float64 is computed as such, which JAX does only if asked."""
    return jax.enable_x64(True)


def unrecorded():
    """A scope whose operations are not differentiated; the compiler leaves such tangents out."""
    return contextlib.nullcontext()


def substitutes():
    """[(module, name, function)] to use while the probe traces: JAX' derivatives are right."""
    return []
