"""Random inputs that a model takes, to compare models with."""

import keras
import numpy as np
from keras import ops

from keras_recres.backend.keras_private import function_of, sublayers


def random_inputs(model, batch=2, side=32):
    """A batch for each input of a built functional or Sequential model, a list of tensors.

    Normal numbers, or tokens that all of its embeddings know. Where the model has a `Masking` or an
    `Embedding` with `mask_zero`, the last rows of every other example are masked.

    Args:
        model: The model.
        batch: Number of examples, for inputs that leave it open.
        side: What open sizes are.
    """
    rng = np.random.default_rng(0)
    parts = sublayers(model)
    embeddings = [part for part in parts if isinstance(part, keras.layers.Embedding)]
    tokens = min((part.input_dim for part in embeddings), default=2)
    mask_zero = any(part.mask_zero for part in embeddings)
    maskings = [part.mask_value for part in parts if isinstance(part, keras.layers.Masking)]

    def like(x):
        shape = (x.shape[0] or batch, *(side if size is None else size for size in x.shape[1:]))
        if x.dtype == "string":
            return ops.convert_to_tensor(np.full(shape, ""))
        whole = "int" in x.dtype or x.dtype == "bool"
        # No zeros beside the masked rows': an average of none but masked ones is NaN.
        low = int(mask_zero and tokens > 1)
        values = rng.integers(low, tokens, shape) if whole else rng.normal(size=shape)
        if len(shape) > 1:
            masked = values[::2, -(shape[1] // 2) :] if shape[1] > 1 else values[:0]
            if maskings:
                masked[...] = maskings[0]
            elif mask_zero:
                masked[...] = 0
        return ops.cast(values, x.dtype)

    return [like(x) for x in function_of(model).inputs]
