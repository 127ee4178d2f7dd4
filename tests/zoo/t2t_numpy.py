"""The published T2T-ViT in NumPy float64, channels first and with the official weight names.

Written from the network's description, sharing no code with the library, so that a converted
model can be held against it.
"""

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[float])


def random_state(
    depth=3,
    *,
    side=224,
    first=(7, 4, 2),
    token_type="performer",
    embed=256,
    mlp=512,
    token=64,
    channels=3,
    classes=1000,
    seed=0,
):
    """Weights of the official names and shapes, none of them trivial."""
    rng = np.random.default_rng(seed)
    state = {}

    def linear(name, inputs, outputs, bias=True):
        state[f"{name}.weight"] = rng.normal(size=(outputs, inputs)) * 0.7 / math.sqrt(inputs)
        if bias:
            state[f"{name}.bias"] = rng.normal(size=outputs) * 0.1

    def norm(name, features):
        state[f"{name}.weight"] = rng.uniform(0.5, 1.5, size=features)
        state[f"{name}.bias"] = rng.normal(size=features) * 0.2

    kernel, stride, padding = first
    grid = side
    for k, s, p in ((kernel, stride, padding), (3, 2, 1), (3, 2, 1)):
        grid = (grid + 2 * p - k) // s + 1
    state["cls_token"] = rng.normal(size=(1, 1, embed)) * 0.5
    state["pos_embed"] = positions(grid * grid + 1, embed)[None]
    for i, features in ((1, channels * kernel**2), (2, token * 9)):
        name = f"tokens_to_token.attention{i}"
        norm(f"{name}.norm1", features)
        norm(f"{name}.norm2", token)
        if token_type == "performer":
            q, _ = np.linalg.qr(rng.normal(size=(token, token // 2)))
            state[f"{name}.w"] = q.T * math.sqrt(token // 2)
            linear(f"{name}.kqv", features, 3 * token)
            linear(f"{name}.proj", token, token)
            linear(f"{name}.mlp.0", token, token)
            linear(f"{name}.mlp.2", token, token)
        else:
            linear(f"{name}.attn.qkv", features, 3 * token, bias=False)
            linear(f"{name}.attn.proj", token, token)
            linear(f"{name}.mlp.fc1", token, token)
            linear(f"{name}.mlp.fc2", token, token)
    linear("tokens_to_token.project", token * 9, embed)
    for i in range(depth):
        name = f"blocks.{i}"
        norm(f"{name}.norm1", embed)
        linear(f"{name}.attn.qkv", embed, 3 * embed, bias=False)
        linear(f"{name}.attn.proj", embed, embed)
        norm(f"{name}.norm2", embed)
        linear(f"{name}.mlp.fc1", embed, mlp)
        linear(f"{name}.mlp.fc2", mlp, embed)
    norm("norm", embed)
    linear("head", embed, classes)
    return state


def forward(state, images, *, steps, first=(7, 4, 2), token_type="performer", heads=4):
    """Logits of channels-last `images`, each block run as often as the list `steps` says."""
    x = np.asarray(images, np.float64).transpose(0, 3, 1, 2)
    attention = performer if token_type == "performer" else token_transformer
    for i, (k, s, p) in enumerate((first, (3, 2, 1)), start=1):
        grid = [(side + 2 * p - k) // s + 1 for side in x.shape[2:]]
        x = attention(state, f"tokens_to_token.attention{i}", unfold(x, k, s, p))
        x = x.transpose(0, 2, 1).reshape(len(x), -1, *grid)
    x = linear(state, "tokens_to_token.project", unfold(x, 3, 2, 1))
    x = np.concatenate([np.repeat(state["cls_token"], len(x), axis=0), x], axis=1)
    x = x + state["pos_embed"]
    for i, count in enumerate(steps):
        for _ in range(count):
            x = block(state, f"blocks.{i}", x, heads)
    return linear(state, "head", layer_norm(state, "norm", x)[:, 0])


def unfold(x, kernel, stride, padding):
    """(batch, C, H, W) → (batch, patches, C·k·k): a feature is (channel, row, column)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows = (x.shape[2] - kernel) // stride + 1
    columns = (x.shape[3] - kernel) // stride + 1
    patches = [
        x[:, :, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
        for i in range(rows)
        for j in range(columns)
    ]
    return np.stack(patches, axis=1).reshape(len(x), rows * columns, -1)


def performer(state, name, x):
    k, q, v = np.split(
        linear(state, f"{name}.kqv", layer_norm(state, f"{name}.norm1", x)), 3, axis=-1
    )
    w = state[f"{name}.w"]

    def phi(u):
        return np.exp(u @ w.T - (u**2).sum(-1, keepdims=True) / 2) / math.sqrt(len(w))

    k, q = phi(k), phi(q)
    products = q @ k.transpose(0, 2, 1)
    y = products @ v / (products.sum(-1, keepdims=True) + 1e-8)
    z = v + linear(state, f"{name}.proj", y)
    hidden = gelu(linear(state, f"{name}.mlp.0", layer_norm(state, f"{name}.norm2", z)))
    return z + linear(state, f"{name}.mlp.2", hidden)


def token_transformer(state, name, x):
    q, k, v = np.split(
        linear(state, f"{name}.attn.qkv", layer_norm(state, f"{name}.norm1", x)), 3, axis=-1
    )
    weights = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(x.shape[-1]))
    z = v + linear(state, f"{name}.attn.proj", weights @ v)
    hidden = gelu(linear(state, f"{name}.mlp.fc1", layer_norm(state, f"{name}.norm2", z)))
    return z + linear(state, f"{name}.mlp.fc2", hidden)


def block(state, name, x, heads):
    batch, tokens, features = x.shape
    qkv = linear(state, f"{name}.attn.qkv", layer_norm(state, f"{name}.norm1", x))
    q, k, v = qkv.reshape(batch, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    weights = softmax(q @ k.transpose(0, 1, 3, 2) / math.sqrt(features // heads))
    y = (weights @ v).transpose(0, 2, 1, 3).reshape(batch, tokens, features)
    x = x + linear(state, f"{name}.attn.proj", y)
    hidden = gelu(linear(state, f"{name}.mlp.fc1", layer_norm(state, f"{name}.norm2", x)))
    return x + linear(state, f"{name}.mlp.fc2", hidden)


def positions(tokens, features):
    table = np.empty((tokens, features))
    for n in range(tokens):
        for j in range(features):
            angle = n / 10000 ** (2 * (j // 2) / features)
            table[n, j] = math.cos(angle) if j % 2 else math.sin(angle)
    return table


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0.0)


def layer_norm(state, name, x):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * state[f"{name}.weight"] + state[f"{name}.bias"]


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def gelu(x):
    return x * (1 + _erf(x / math.sqrt(2))) / 2
