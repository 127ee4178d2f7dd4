"""What the curvature probe needs of JAX; see `tensorflow_probe.py`."""

import functools

import jax
import keras
from jax import numpy as jnp

FASTEST = "forward"
tape_jet = None
jvp = keras.ops.jvp


def compiled(function):
    """`function`, compiled."""
    return jax.jit(function)


# As everything here is.
compiled_jet = compiled


def run_once(function):
    """`function` for a few calls: uncompiled, every operation would be compiled by itself."""
    return jax.jit(function)


def float64_scope():
    """A scope in which float64 is computed as such, which JAX does only if asked."""
    return jax.enable_x64(True)


def substitutes():
    """[(module, name, function)] to use while the probe traces.

    JAX' derivatives are right, but its attention rounds float64 to float32.
    """
    attention = functools.partial(_attention, jax.nn.dot_product_attention)
    return [(jax.nn, "dot_product_attention", attention)]


def _attention(original, query, key, value, bias=None, mask=None, **options):
    """Softmax attention of (batch, tokens, heads, features), written out."""
    scale = options.pop("scale", None)
    causal = options.pop("is_causal", False)
    options.pop("implementation", None)
    if any(option is not None for option in options.values()):
        return original(query, key, value, bias, mask, scale=scale, is_causal=causal, **options)
    groups = query.shape[2] // key.shape[2]
    key, value = (jnp.repeat(x, groups, axis=2) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    products = jnp.einsum("bqhd,bkhd->bhqk", query * scale, key)
    products = products if bias is None else products + bias
    if causal:
        lower = jnp.tril(jnp.ones(products.shape[-2:], bool))
        mask = lower if mask is None else jnp.logical_and(mask, lower)
    if mask is not None:
        products = jnp.where(mask, products, jnp.finfo(products.dtype).min)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(products, axis=-1), value)
