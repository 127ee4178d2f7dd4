"""T2T-ViT and the dense FRN written directly in PyTorch, for the benchmark to compare with.

Only what the compared networks use: no dropout, one classifier, cross entropy, AdamW. The weights
are those of a Keras model, {path: array} as `training.benchmarks.by_hand.weights_of` gives them.
"""

import shutil

import torch
import torch.nn.functional as F
from torch import nn

from training.benchmarks.by_hand import OPTIMIZER


class Reader:
    """Modules with given weights; remembers which parameter is which path's."""

    def __init__(self, weights):
        self.weights, self.parameters = weights, {}

    def parameter(self, path, transposed=False):
        """The weight of a path as a parameter."""
        array = self.weights[path].T if transposed else self.weights[path]
        found = nn.Parameter(torch.from_numpy(array.copy()))
        self.parameters[path] = (found, transposed)
        return found

    def buffer(self, path):
        """The weight of a path that is not trained."""
        return torch.from_numpy(self.weights[path].copy())

    def dense(self, path, kernel="kernel", bias="bias"):
        """A dense layer, with a bias if the path has one."""
        shape = self.weights[f"{path}/{kernel}"].shape
        layer = nn.Linear(*shape, bias=f"{path}/{bias}" in self.weights)
        layer.weight = self.parameter(f"{path}/{kernel}", transposed=True)
        if layer.bias is not None:
            layer.bias = self.parameter(f"{path}/{bias}")
        return layer

    def norm(self, path):
        """A layer normalisation."""
        layer = nn.LayerNorm(self.weights[f"{path}/gamma"].shape, eps=1e-5)
        layer.weight = self.parameter(f"{path}/gamma")
        layer.bias = self.parameter(f"{path}/beta")
        return layer


def soft_split(x, kernel_size, strides):
    """(batch, side, side, channels) → overlapping patches (batch, side'², k·k·channels)."""
    padding = max(0, (kernel_size - strides + 1) // 2)
    # Not by `Tensor.unfold` twice: PyTorch 2.13 compiles a wrong gradient of that on processors.
    columns = F.unfold(x.permute(0, 3, 1, 2), kernel_size, padding=padding, stride=strides)
    return columns.unflatten(1, (x.shape[-1], -1)).permute(0, 3, 2, 1).flatten(2)


def image(x):
    """(batch, side², channels) → (batch, side, side, channels)."""
    side = round(x.shape[1] ** 0.5)
    return x.unflatten(1, (side, side))


class Performer(nn.Module):
    """The token layer of T2T-ViT, with attention by random features."""

    def __init__(self, read, path):
        super().__init__()
        self.norm1, self.norm2 = read.norm(f"{path}/norm1"), read.norm(f"{path}/norm2")
        self.kqv = read.dense(f"{path}/kqv")
        self.attention_output = read.dense(f"{path}/attention_output")
        self.mlp_hidden = read.dense(f"{path}/mlp_hidden")
        self.mlp_output = read.dense(f"{path}/mlp_output")
        self.register_buffer("features", read.buffer(f"{path}/random_features"))

    def phi(self, x):
        half_square = x.square().sum(-1, keepdim=True) / 2
        return torch.exp(x @ self.features.T - half_square) / self.features.shape[0] ** 0.5

    def forward(self, x):
        k, q, v = self.kqv(self.norm1(x)).chunk(3, -1)
        with torch.autocast(x.device.type, enabled=False):
            k, q = self.phi(k.float()), self.phi(q.float())
            normaliser = q @ k.sum(1)[..., None]
            y = q @ (k.mT @ v.float()) / (normaliser + 1e-8)
        x = v + self.attention_output(y.to(v.dtype))
        return x + self.mlp_output(F.gelu(self.mlp_hidden(self.norm2(x))))


class Block(nn.Module):
    """The pre-norm transformer block."""

    def __init__(self, read, path, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = read.norm(f"{path}/norm1"), read.norm(f"{path}/norm2")
        self.qkv = read.dense(f"{path}/qkv")
        self.attention_output = read.dense(f"{path}/attention_output")
        self.mlp_hidden = read.dense(f"{path}/mlp_hidden")
        self.mlp_output = read.dense(f"{path}/mlp_output")

    def forward(self, x):
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.attention_output(y.transpose(1, 2).flatten(2))
        return x + self.mlp_output(F.gelu(self.mlp_hidden(self.norm2(x))))


class T2TViT(nn.Module):
    """T2T-ViT with performer tokens, every block run `steps` times."""

    def __init__(self, read, depth, steps, heads, first_split):
        super().__init__()
        self.steps, self.first_split = steps, first_split
        self.tokens1 = Performer(read, "tokens_to_token/tokens1")
        self.tokens2 = Performer(read, "tokens_to_token/tokens2")
        self.project = read.dense("tokens_to_token/project")
        self.token = read.parameter("class_token/token")
        self.register_buffer("positions", read.buffer("position/positions"))
        self.blocks = nn.ModuleList(
            Block(read, f"block{i}/transformer_block{i}", heads) for i in range(depth)
        )
        self.norm, self.head = read.norm("norm"), read.dense("head")

    def forward(self, x):
        x = image(self.tokens1(soft_split(x, *self.first_split)))
        x = image(self.tokens2(soft_split(x, 3, 2)))
        x = self.project(soft_split(x, 3, 2))
        x = torch.cat([self.token.to(x.dtype).expand(len(x), -1, -1), x], 1)
        x = x + self.positions.to(x.dtype)
        for block in self.blocks:
            for _ in range(self.steps):
                x = block(x)
        return self.head(self.norm(x)[:, 0])


class FRN(nn.Module):
    """A deep dense residual network without normalisation: tanh FRN layers."""

    def __init__(self, read, depth):
        super().__init__()
        self.embedding = read.dense("embedding")
        self.inner = nn.ModuleList(read.dense(f"block{i}") for i in range(depth))
        self.outer = nn.ModuleList(
            read.dense(f"block{i}", "projection", "output_bias") for i in range(depth)
        )
        self.head = read.dense("head")

    def forward(self, x):
        x = self.embedding(x.flatten(1))
        for inner, outer in zip(self.inner, self.outer, strict=True):
            x = x + outer(torch.tanh(inner(x)))
        return self.head(x)


NETWORKS = {"t2t_vit": T2TViT, "frn": FRN}
FORMS = ("torch, eager", "torch.compile")


def has_compiler():
    """Whether `torch.compile` finds one: of C++, or Triton, which comes with a GPU's PyTorch."""
    return torch.cuda.is_available() or any(map(shutil.which, ("g++", "c++", "clang++")))


class Training:
    """A network of PyTorch with weights of a Keras model, ready to train.

    Args:
        kind: "t2t_vit" or "frn".
        arguments: what the network is made of beside its weights.
        weights: {path: array} of the Keras model.
        form: one of `FORMS`.
        mixed: whether to compute in bfloat16.
    """

    def __init__(self, kind, arguments, weights, form=FORMS[0], mixed=False):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        read = Reader(weights)
        network = NETWORKS[kind](read, **arguments).to(self.device)
        # After `to`, which leaves the parameters the same objects.
        self.parameters = read.parameters

        def answer(x):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
                return network(x).float()

        def loss(x, y):
            return F.cross_entropy(answer(x), y)

        compiled = torch.compile if form == "torch.compile" else lambda function: function
        self.answer, self.loss = compiled(answer), compiled(loss)
        self.optimizer = torch.optim.AdamW(
            [parameter for parameter, _ in self.parameters.values()],
            lr=OPTIMIZER["learning_rate"],
            betas=(OPTIMIZER["beta_1"], OPTIMIZER["beta_2"]),
            eps=OPTIMIZER["epsilon"],
            weight_decay=OPTIMIZER["weight_decay"],
            fused=True,
        )

    def _backward(self, x, y):
        x, y = (torch.from_numpy(array).to(self.device) for array in (x, y))
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        return loss.detach()

    def loss_and_gradients(self, x, y):
        """The loss, and {path: its gradient} as arrays."""
        loss = self._backward(x, y)
        gradients = {
            path: (p.grad.T if transposed else p.grad).cpu().numpy()
            for path, (p, transposed) in self.parameters.items()
        }
        return float(loss), gradients

    @torch.no_grad()
    def logits(self, x):
        """The logits of a batch, both arrays."""
        return self.answer(torch.from_numpy(x).to(self.device)).cpu().numpy()

    def step(self, x, y):
        """One training step, from a batch in NumPy to the loss as a float."""
        loss = self._backward(x, y)
        self.optimizer.step()
        return float(loss)
