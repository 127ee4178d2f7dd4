"""A whole LSTM with peepholes on JAX, whose gradients of weights are taken of all steps at once."""

import jax
import jax.numpy as jnp

from keras_recres.backend.types import Tensor


def whole(
    projected: Tensor, h: Tensor, c: Tensor, kernel: Tensor, peephole: Tensor
) -> tuple[Tensor, Tensor] | None:
    """All steps in training; see `peephole_lstm` in `backend/tensorflow.py`."""
    inputs = projected, h, c, kernel, peephole
    return _whole(*inputs) if len({x.dtype for x in inputs}) == 1 else None


@jax.custom_vjp
def _whole(projected, h, c, kernel, peephole):
    return _forward(projected, h, c, kernel, peephole)[0]


def _forward(projected, h, c, kernel, peephole):
    p_i, p_f, p_o = peephole

    def step(state, x):
        h, c = state
        z_i, z_f, z_c, z_o = jnp.split(x + h @ kernel, 4, axis=-1)
        i, f, g = jax.nn.sigmoid(z_i + p_i * c), jax.nn.sigmoid(z_f + p_f * c), jnp.tanh(z_c)
        c = f * c + i * g
        o = jax.nn.sigmoid(z_o + p_o * c)
        h = o * jnp.tanh(c)
        return (h, c), (h, c, jnp.concatenate([i, f, g, o], axis=-1))

    (_, last), (hs, cs, gates) = jax.lax.scan(step, (h, c), projected)
    return (hs, last), (h, c, kernel, peephole, hs, cs, gates)


def _backward(kept, gradients):
    first_h, first_c, kernel, peephole, hs, cs, gates = kept
    d_hs, d_c = gradients
    p_i, p_f, p_o = peephole
    transposed = kernel.T
    before = jnp.concatenate([first_c[None], cs[:-1]])

    def step(gradients, values):
        d_h, d_c = gradients
        d, gates, c, c_before = values
        d_h = d_h + d
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        t = jnp.tanh(c)
        d_o = d_h * t * o * (1 - o)
        d_c = d_c + d_h * o * (1 - t * t) + d_o * p_o
        d_i, d_f = d_c * g * i * (1 - i), d_c * c_before * f * (1 - f)
        d_z = jnp.concatenate([d_i, d_f, d_c * i * (1 - g * g), d_o], axis=-1)
        return (d_z @ transposed, d_c * f + d_i * p_i + d_f * p_f), d_z

    start = jnp.zeros_like(first_h), d_c
    (d_h, d_c), d_z = jax.lax.scan(step, start, (d_hs, gates, cs, before), reverse=True)
    hs_before = jnp.concatenate([first_h[None], hs[:-1]]).reshape(-1, first_h.shape[-1])
    d_kernel = hs_before.T @ d_z.reshape(-1, d_z.shape[-1])
    d_i, d_f, _, d_o = jnp.split(d_z, 4, axis=-1)
    seen = (d_i, before), (d_f, before), (d_o, cs)
    d_peephole = jnp.stack([jnp.sum(d * c, axis=(0, 1)) for d, c in seen])
    return d_z, d_h, d_c, d_kernel, d_peephole


_whole.defvjp(_forward, _backward)
