"""Weights for images of other channels than those they were trained on, as timm makes them."""

import numpy as np
from keras import ops

from keras_recres.layers import TokensToToken


def adapted(source, layer, before, after):
    """The weights of a layer that reads the image, for another number of channels.

    For one channel kernels are summed, so that a grey image gives what it gave as three equal
    channels; for others they are repeated in turn, times `before` / `after`. Where a norm reads
    the image its scale and shift are put into the kernel behind it first.

    Args:
        source: The layer with the weights.
        layer: The same one, built for the other number.
        before: Channels of the first.
        after: Channels of the second.

    Returns:
        A list of arrays for `layer.weights`, None where they do not fit.
    """
    values = {id(v): ops.convert_to_numpy(v) for v in source.weights}
    if isinstance(source, TokensToToken) and source.token_type == "performer":
        norm, dense = source.tokens1.norm1, source.tokens1.kqv
        gamma, beta, kernel = (values[id(v)] for v in (norm.gamma, norm.beta, dense.kernel))
        values[id(dense.bias)] = values[id(dense.bias)] + beta @ kernel
        values[id(dense.kernel)] = gamma[:, None] * kernel
        values[id(norm.gamma)], values[id(norm.beta)] = np.ones_like(gamma), np.zeros_like(beta)
    found = []
    for old, new in zip(source.weights, layer.weights, strict=True):
        value = values[id(old)]
        if value.shape != tuple(new.shape):
            value = _adapted(value, tuple(new.shape), before, after)
        if value is None:
            return None
        found.append(value)
    return found


def _adapted(value, shape, before, after):
    axes = [i for i, pair in enumerate(zip(value.shape, shape, strict=True)) if len({*pair}) == 2]
    if len(axes) != 1 or value.shape[axes[0]] * after != shape[axes[0]] * before:
        return None
    # Pixels of a patch or an image, and their channels.
    pixels = np.moveaxis(value, axes[0], 0)
    pixels = pixels.reshape(-1, before, *pixels.shape[1:])
    if after == 1:
        pixels = pixels.sum(1) if value.ndim > 1 else pixels.mean(1)
    else:
        pixels = pixels[:, np.arange(after) % before] * (before / after if value.ndim > 1 else 1)
    pixels = pixels.reshape(-1, *np.moveaxis(value, axes[0], 0).shape[1:])
    return np.moveaxis(pixels, 0, axes[0])
