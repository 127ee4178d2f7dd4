"""T2T-ViT and the dense FRN written directly in JAX, for the benchmark to compare with.

Plain functions of a dict of weights, {path: array} as `training.benchmarks.by_hand.weights_of`
gives it; no dropout, cross entropy, AdamW.
"""

import functools

import jax
import jax.numpy as jnp

from training.benchmarks.by_hand import OPTIMIZER


def dense(w, path, x, kernel="kernel", bias="bias"):
    """A dense layer, with a bias if the path has one, in the dtype of x."""
    y = x @ w[f"{path}/{kernel}"].astype(x.dtype)
    found = w.get(f"{path}/{bias}")
    return y if found is None else y + found.astype(x.dtype)


def norm(w, path, x):
    """Layer normalisation, in float32."""
    wide = x.astype(jnp.float32)
    centred = wide - wide.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    y = centred * jax.lax.rsqrt(variance + 1e-5) * w[f"{path}/gamma"] + w[f"{path}/beta"]
    return y.astype(x.dtype)


def mlp(w, path, x):
    """The two dense layers of a transformer."""
    hidden = jax.nn.gelu(dense(w, f"{path}/mlp_hidden", x), approximate=False)
    return dense(w, f"{path}/mlp_output", hidden)


def soft_split(x, kernel_size, strides):
    """(batch, H, W, channels) → overlapping patches (batch, H', W', k·k·channels)."""
    padding = max(0, (kernel_size - strides + 1) // 2)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = ((side - kernel_size) // strides + 1 for side in x.shape[1:3])
    cuts = [
        x[:, i : i + rows * strides : strides, j : j + columns * strides : strides]
        for i in range(kernel_size)
        for j in range(kernel_size)
    ]
    return jnp.concatenate(cuts, -1)


def performer(w, path, x):
    """The token layer of T2T-ViT on (batch, H, W, features), with attention by random features."""
    features = w[f"{path}/random_features"]

    def phi(u):
        half_square = jnp.square(u).sum(-1, keepdims=True) / 2
        return jnp.exp(u @ features.T - half_square) / features.shape[0] ** 0.5

    grid = x.shape[1:3]
    x = x.reshape(x.shape[0], grid[0] * grid[1], -1)
    k, q, v = jnp.split(dense(w, f"{path}/kqv", norm(w, f"{path}/norm1", x)), 3, -1)
    k, q = phi(k.astype(jnp.float32)), phi(q.astype(jnp.float32))
    normaliser = q @ k.sum(1)[..., None]
    y = q @ (k.mT @ v.astype(jnp.float32)) / (normaliser + 1e-8)
    x = v + dense(w, f"{path}/attention_output", y.astype(v.dtype))
    x = x + mlp(w, path, norm(w, f"{path}/norm2", x))
    return x.reshape(x.shape[0], *grid, -1)


def block(w, path, x, heads):
    """The pre-norm transformer block."""
    batch, tokens, features = x.shape
    qkv = dense(w, f"{path}/qkv", norm(w, f"{path}/norm1", x))
    q, k, v = jnp.moveaxis(qkv.reshape(batch, tokens, 3, heads, -1), 2, 0)
    attention = jnp.einsum("bqhd,bkhd->bhqk", q * q.shape[-1] ** -0.5, k)
    y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(attention), v)
    x = x + dense(w, f"{path}/attention_output", y.reshape(batch, tokens, features))
    return x + mlp(w, path, norm(w, f"{path}/norm2", x))


def t2t_vit(w, x, depth, steps, heads, first_split):
    """T2T-ViT with performer tokens, every block run `steps` times."""
    x = performer(w, "tokens_to_token/tokens1", soft_split(x, *first_split))
    x = performer(w, "tokens_to_token/tokens2", soft_split(x, 3, 2))
    x = dense(w, "tokens_to_token/project", soft_split(x, 3, 2))
    x = x.reshape(x.shape[0], -1, x.shape[-1])
    token = jnp.broadcast_to(w["class_token/token"], (x.shape[0], 1, x.shape[-1]))
    x = jnp.concatenate([token.astype(x.dtype), x], 1) + w["position/positions"].astype(x.dtype)
    for i in range(depth):
        for _ in range(steps):
            x = block(w, f"block{i}/transformer_block{i}", x, heads)
    return dense(w, "head", norm(w, "norm", x)[:, 0])


def frn(w, x, depth):
    """A deep dense residual network without normalisation: tanh FRN layers."""
    x = dense(w, "embedding", x.reshape(x.shape[0], -1))
    for i in range(depth):
        hidden = jnp.tanh(dense(w, f"block{i}", x))
        x = x + dense(w, f"block{i}", hidden, "projection", "output_bias")
    return dense(w, "head", x)


NETWORKS = {"t2t_vit": t2t_vit, "frn": frn}
FROZEN = ("random_features", "positions")


def adamw(weights, first, second, gradients, count):
    """One update of the weights and of both moments."""
    b1, b2 = OPTIMIZER["beta_1"], OPTIMIZER["beta_2"]
    rate = OPTIMIZER["learning_rate"]
    first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, first, gradients)
    second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, second, gradients)
    scale = rate * jnp.sqrt(1 - b2**count) / (1 - b1**count)

    def update(p, m, v):
        decayed = p * (1 - rate * OPTIMIZER["weight_decay"])
        return decayed - scale * m / (jnp.sqrt(v) + OPTIMIZER["epsilon"])

    return jax.tree.map(update, weights, first, second), first, second


class Training:
    """A network of JAX with weights of a Keras model, ready to train.

    Args:
        kind: "t2t_vit" or "frn".
        arguments: what the network is made of beside its weights.
        weights: {path: array} of the Keras model.
        mixed: whether to compute in bfloat16.
    """

    def __init__(self, kind, arguments, weights, mixed=False):
        network = functools.partial(NETWORKS[kind], **arguments)
        frozen = {p: jnp.array(w) for p, w in weights.items() if p.endswith(FROZEN)}
        trained = {p: jnp.array(w) for p, w in weights.items() if p not in frozen}
        zeros = [jax.tree.map(jnp.zeros_like, trained) for _ in range(2)]
        self.state = (trained, *zeros, jnp.zeros(()))

        def loss(trained, x, y):
            x = x.astype(jnp.bfloat16) if mixed else x
            logits = network({**trained, **frozen}, x).astype(jnp.float32)
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

        def step(state, x, y):
            trained, first, second, count = state
            value, gradients = jax.value_and_grad(loss)(trained, x, y)
            return value, (*adamw(trained, first, second, gradients, count + 1), count + 1)

        self._gradients = jax.jit(jax.value_and_grad(loss))
        # The old state's memory is the new one's.
        self._step = jax.jit(step, donate_argnums=0)

    def loss_and_gradients(self, x, y):
        """The loss, and {path: its gradient} as arrays."""
        loss, gradients = self._gradients(self.state[0], x, y)
        return float(loss), jax.device_get(gradients)

    def step(self, x, y):
        """One training step, from a batch in NumPy to the loss as a float."""
        loss, self.state = self._step(self.state, x, y)
        return float(loss)
