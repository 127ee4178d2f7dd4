"""Functions that Keras does not have, for PyTorch."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras
import torch

from keras_recres.backend.torch_lstm import step as peephole_lstm_step  # noqa: F401 - as of others
from keras_recres.backend.torch_lstm import whole as peephole_lstm  # noqa: F401 - as of others
from keras_recres.backend.types import Tensor


def prefers_plain_convolutions() -> bool:
    """Whether grouped convolutions are slower than what can replace them: never."""
    return False


def has_fast_conv3d() -> bool:
    """Whether 3-D convolutions are as fast as their arithmetic: always."""
    return True


def scan(
    step: Callable[..., Any],
    carry: Any,
    xs: Any,
    constants: Any,
    length: int,
    unroll: int = 1,
    recompute: bool = False,
) -> tuple[Any, Any]:
    """`carry, y = step(carry, x, constants)` for slices of `xs`; see `backend/tensorflow.py`.

    PyTorch runs eagerly: its scan is a Python loop, and `unroll` and `recompute` have no meaning.
    """
    del unroll, recompute
    ys = []
    for t in range(length):
        x = keras.tree.map_structure(lambda x, t=t: x[t], xs)
        carry, y = step(carry, x, constants)
        ys.append(y)
    return carry, keras.tree.map_structure(lambda *leaves: torch.stack(leaves), *ys)


# PyTorch runs eagerly, and has no loop in a graph.
scan_sequence = None


def gradients(function: Callable[..., Any], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a scalar function by its tensors; see `backend/tensorflow.py`."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    with torch.enable_grad():
        value = function(*inputs)
    return list(torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True))


def is_traced(x: Any) -> bool:
    """Whether a value is part of a function that is being compiled: PyTorch runs eagerly here."""
    return False


def no_gradients() -> AbstractContextManager[Any]:
    """A scope in which nothing is recorded for gradients; see `backend/tensorflow.py`."""
    return torch.no_grad()


def fused_batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Batch normalisation in training by one function; see `backend/tensorflow.py`."""
    features = x.shape[-1]
    count = x.numel() // features if features else 0
    if count < 2:
        # Which PyTorch refuses.
        return None
    # As rows of features: no axis has to be moved. It adds them up one after the other, which
    # rounds a large mean; no shift changes the result, and any row is near enough.
    rows = x.reshape(-1, features)
    shift = rows[0].detach()
    # A momentum of 1 leaves the batch's own statistics here.
    mean, variance = torch.zeros_like(shift), torch.zeros_like(shift)
    y = torch.nn.functional.batch_norm(
        rows - shift, mean, variance, gamma, beta, True, 1.0, epsilon
    )
    return y.reshape(x.shape), mean + shift, variance * ((count - 1) / count)


def product(x: Tensor, kernel: Tensor, weight: Any) -> Tensor:
    """The product of two matrices; see `backend/jax_scan.py`."""
    return x @ kernel
