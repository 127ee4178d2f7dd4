"""Functions that Keras does not have, for JAX."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from keras_recres.backend import jax_lstm, jax_scan
from keras_recres.backend.jax_scan import product  # noqa: F401 - with the others of this backend
from keras_recres.backend.types import Tensor


def prefers_plain_convolutions() -> bool:
    """Whether grouped convolutions are slower than the plain ones that can replace them.

    See `backend/tensorflow.py`.
    """
    return jax.default_backend() == "cpu"


def has_fast_conv3d() -> bool:
    """Whether 3-D convolutions are as fast as their arithmetic; see `backend/tensorflow.py`."""
    return jax.default_backend() != "cpu"


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

    What `recompute` asks for, `keras.remat` of the step does here.
    """
    del recompute
    return jax.lax.scan(
        lambda carry, x: step(carry, x, constants), carry, xs, length=length, unroll=unroll
    )


def scan_sequence(
    step: Callable[..., Any], carry: Any, xs: Any, like: Any, constants: Any = None
) -> tuple[Any, Any]:
    """`carry, y = step(carry, x)` over sequences; see `backend/tensorflow_scan.py`.

    Where constants are given, as a third argument of the step, the loop is for reverse-mode
    gradients alone, and faster there.
    """
    del like
    if constants is None:
        return jax.lax.scan(step, carry, xs)
    return jax_scan.scan(step, carry, xs, constants)


def gradients(function: Callable[..., Any], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of a scalar function by its tensors; see `backend/tensorflow.py`."""
    return list(jax.grad(function, argnums=tuple(range(len(inputs))))(*inputs))


def is_traced(x: Any) -> bool:
    """Whether a value is part of a function that is being compiled or differentiated."""
    return isinstance(x, jax.core.Tracer)


def no_gradients() -> None:
    """None: functions are differentiated whole; see `backend/tensorflow.py`."""
    return None


def fused_batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """None: XLA fuses what Keras computes; see `backend/tensorflow.py`."""
    return None


def peephole_lstm_step(
    projected: Tensor,
    h: Tensor,
    c: Tensor,
    kernel: Tensor,
    peepholes: Tensor,
    carried: Tensor | None = None,
) -> list[Tensor] | None:
    """None: XLA fuses what Keras computes; see `backend/tensorflow.py`."""
    return None


def peephole_lstm(
    projected: Tensor, h: Tensor, c: Tensor, kernel: Tensor, peephole: Tensor
) -> tuple[Tensor, Tensor] | None:
    """All steps of an LSTM with peepholes; see `backend/tensorflow.py`."""
    return jax_lstm.whole(projected, h, c, kernel, peephole)
