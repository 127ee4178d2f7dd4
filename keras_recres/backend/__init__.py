"""The few functions that Keras does not have, with the same names for every backend.

Only the module of the backend in use is imported.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_recres.backend import keras_private
from keras_recres.backend.types import Tensor

if keras.backend.backend() == "tensorflow":
    from keras_recres.backend.tensorflow import (
        fused_batch_norm,
        gradients,
        has_fast_conv3d,
        is_traced,
        no_gradients,
        peephole_lstm,
        peephole_lstm_step,
        prefers_plain_convolutions,
        product,
        scan,
        scan_sequence,
    )
elif keras.backend.backend() == "jax":
    from keras_recres.backend.jax import (
        fused_batch_norm,
        gradients,
        has_fast_conv3d,
        is_traced,
        no_gradients,
        peephole_lstm,
        peephole_lstm_step,
        prefers_plain_convolutions,
        product,
        scan,
        scan_sequence,
    )
elif keras.backend.backend() == "torch":
    from keras_recres.backend.torch import (
        fused_batch_norm,
        gradients,
        has_fast_conv3d,
        is_traced,
        no_gradients,
        peephole_lstm,
        peephole_lstm_step,
        prefers_plain_convolutions,
        product,
        scan,
        scan_sequence,
    )
else:
    raise ImportError(
        f"keras_recres runs on the Keras backends tensorflow, jax and torch, but this one is "
        f"{keras.backend.backend()!r}; set KERAS_BACKEND to one of the three."
    )

__all__ = [
    "full_precision",
    "fused_batch_norm",
    "gradients",
    "has_fast_conv3d",
    "is_traced",
    "no_gradients",
    "peephole_lstm",
    "peephole_lstm_step",
    "prefers_plain_convolutions",
    "product",
    "raw_values",
    "scan",
    "scan_sequence",
]


def full_precision() -> contextlib.AbstractContextManager[None]:
    """A scope in which variables are read and assigned in their own dtype.

    Inside a mixed-precision layer `variable.value` is cast to the compute dtype. A value that is
    handed on to a `keras.StatelessScope` must not be: the cast would round the stored weight. And
    on PyTorch an assignment would write into the cast copy.
    """
    return keras_private.autocast_scope(None)


def raw_values(variables: Sequence[Any]) -> list[Tensor]:
    """The variables' tensors in their own dtype, whatever dtype policy is active."""
    with full_precision():
        # Tensors, not TensorFlow's variables, which a loop would read again in every turn.
        return [keras.ops.convert_to_tensor(variable.value) for variable in variables]
