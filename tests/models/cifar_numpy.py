"""The CIFAR-10 networks in float64 NumPy, as the paper's PyTorch networks compute them.

Written from their layer stacks, in PyTorch's order (batch, channel, height, width), with every
group as a layer of its own. Only the weights come from the Keras model, by the names of its layers.
"""

import numpy as np
from keras import ops

GROUPS = {"small": 4, "medium": 16, "residual": 16}


def numpy(weight):
    return ops.convert_to_numpy(weight).astype("float64")


def bins(n, m):
    """PyTorch's adaptive bins."""
    return [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


def convolution(x, kernel, bias):
    """Zero-padded by 1, cross-correlated: x (B, C, *space), kernel (out, C, 3, …), bias (out,)."""
    space = x.shape[2:]
    padded = np.pad(x, [(0, 0), (0, 0)] + [(1, 1)] * len(space))
    y = 0
    for offset in np.ndindex(*kernel.shape[2:]):
        window = [slice(o, o + n) for o, n in zip(offset, space, strict=True)]
        taps = kernel[(slice(None), slice(None), *offset)]
        y = y + np.tensordot(taps, padded[(slice(None), slice(None), *window)], axes=(1, 1))
    return np.moveaxis(y, 0, 1) + bias.reshape(1, -1, *[1] * len(space))


def prelu(x, slope):
    return np.maximum(x, 0) + slope.item() * np.minimum(x, 0)


def batch_norm(x, gamma, beta, mean, variance):
    def per_channel(v):
        return v.reshape(1, -1, *[1] * (x.ndim - 2))

    x = (x - per_channel(mean)) / np.sqrt(per_channel(variance) + 1e-5)
    return x * per_channel(gamma) + per_channel(beta)


def pool(x, sizes, bins_of, reduce):
    """Pools the last axes of x, each to bins of its own."""
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        parts = [
            reduce(np.moveaxis(x, axis, 0)[part], axis=0) for part in bins_of(x.shape[axis], size)
        ]
        x = np.moveaxis(np.stack(parts), 0, axis)
    return x


def max_pool(x, *sizes):
    def blocks(n, size):
        return [slice(i, i + size) for i in range(0, n - size + 1, size)]

    return pool(x, sizes, blocks, np.max)


def adaptive_mean(x, *sizes):
    return pool(x, sizes, bins, np.mean)


class Net:
    """One network with the weights of a Keras model; `net(images)` gives logits.

    Args:
        model: What `cifar_net` built.
        size: As of `cifar_net`.
        variant: As of `cifar_net`.
        layout: As of `cifar_net`.
        softmax: Whether the Meta weights are normalised.
    """

    def __init__(self, model, size, variant, layout="published", softmax=False):
        self.layer = model.get_layer
        self.size, self.variant, self.layout, self.softmax = size, variant, layout, softmax

    def __call__(self, images):
        x = images.astype("float64").transpose(0, 3, 1, 2)
        x = getattr(self, f"{self.size}_body")(x).reshape(len(images), -1)
        x = self.grouped_head(x) if self.variant == "metahead" else self.head(x)
        return self.linear(x, "head")

    def conv(self, x, name):
        kernel, bias = self.weights(name)
        x = convolution(x, kernel.transpose(3, 2, 0, 1), bias)
        return batch_norm(prelu(x, *self.weights(f"{name}_prelu")), *self.weights(f"{name}_norm"))

    def volume_conv(self, x, channels, name):
        """The maps as a volume (B, channels, depth, H, W), and what Conv3d makes of it."""
        kernel, bias = self.weights(name)
        x = x.reshape(len(x), channels, -1, *x.shape[2:])
        x = convolution(x, kernel.transpose(4, 3, 0, 1, 2), bias)
        return batch_norm(prelu(x, *self.weights(f"{name}_prelu")), *self.weights(f"{name}_norm"))

    def meta_conv(self, x, groups, name, pooled=False):
        """A convolution for each group, stacked on a last axis (B, c, H, W, group) and mixed."""
        layer, outputs = self.layer(name), []
        kernel, bias, slopes = map(numpy, (layer.kernel, layer.bias, layer.prelu.alpha))
        norm = [numpy(w) for w in layer.norm.weights]
        for g, inputs in enumerate(np.split(x, groups, axis=1)):
            own = slice(g * len(bias) // groups, (g + 1) * len(bias) // groups)
            y = convolution(inputs, kernel[..., own].transpose(3, 2, 0, 1), bias[own])
            y = batch_norm(prelu(y, slopes.reshape(groups)[g]), *[w[own] for w in norm])
            outputs.append(max_pool(y, 2, 2) if pooled else y)
        return self.mix(np.stack(outputs, axis=-1), layer)

    def mix(self, x, layer):
        """Meta on the last axis, PReLU."""
        kernel = numpy(layer.meta.kernel)
        if self.softmax:
            kernel = np.exp(kernel) / np.exp(kernel).sum(axis=0)
        y = [sum(w * x[..., n] for n, w in enumerate(column)) for column in kernel.T]
        return prelu(np.stack(y, axis=-1), numpy(layer.meta_prelu.alpha))

    def linear(self, x, name):
        kernel, bias = self.weights(name)
        return x @ kernel + bias

    def head(self, x):
        return prelu(self.linear(x, "dense"), *self.weights("dense_prelu"))

    def grouped_head(self, x):
        layer, outputs = self.layer("meta_dense"), []
        kernel, bias = numpy(layer.dense.kernel), numpy(layer.dense.bias)
        slopes = numpy(layer.dense.prelu.alpha).reshape(-1)
        for g, part in enumerate(np.split(x, GROUPS[self.size], axis=1)):
            outputs.append(prelu(part @ kernel[g] + bias[:, g], slopes[g]))
        return self.mix(np.stack(outputs, axis=-1), layer).reshape(len(x), -1)

    def small_body(self, x):
        x = max_pool(self.conv(self.conv(x, "conv1"), "conv2"), 2, 2)
        if self.variant == "conv3d":
            return max_pool(self.volume_conv(x, 1, "conv3"), 1, 2, 2)
        if self.variant == "meta":
            return self.meta_conv(x, 4, "conv3", pooled=True)
        return max_pool(self.conv(x, "conv3"), 2, 2)

    def medium_body(self, x):
        x = max_pool(self.conv(self.conv(x, "conv1"), "conv2"), 2, 2)
        x = self.conv(x, "conv3")
        if self.variant == "conv3d":
            x = max_pool(self.volume_conv(x, 4, "conv4"), 2, 2, 2)
            x = self.conv(x.reshape(len(x), -1, *x.shape[-2:]), "conv5")
            return adaptive_mean(self.volume_conv(x, 8, "conv6"), 8, 3, 3)
        if self.variant == "meta":
            x = max_pool(self.meta_conv(x, 8, "conv4"), 2, 2, 2)
            if self.layout == "grouped":
                x = x.transpose(0, 4, 1, 2, 3)
            x = self.conv(x.reshape(len(x), x.shape[1] * x.shape[2], *x.shape[3:]), "conv5")
            x = self.meta_conv(x, 16, "conv6").transpose(0, 4, 1, 2, 3)
            return adaptive_mean(x, 4, 3, 3)
        x = max_pool(self.conv(x, "conv4"), 2, 2)
        return adaptive_mean(self.conv(self.conv(x, "conv5"), "conv6"), 3, 3)

    def residual_body(self, x):
        x = max_pool(self.conv(self.conv(x, "conv1"), "conv2"), 2, 2)
        for i in range(16):
            x = self.residual_block(x, f"block1_{i}")
        x = max_pool(self.conv(x, "conv3"), 2, 2)
        for i in range(16):
            x = self.residual_block(x, f"block2_{i}")
        return adaptive_mean(x, 4, 4)

    def residual_block(self, x, name):
        first = f"{name}_conv1"
        if self.variant == "conv3d":
            y = self.volume_conv(x, 4, first).reshape(x.shape)
        elif self.variant == "meta":
            y = self.meta_conv(x, 8, first).transpose(0, 4, 1, 2, 3).reshape(x.shape)
        else:
            y = self.conv(x, first)
        return x + self.conv(y, f"{name}_conv2")

    def weights(self, name):
        return [numpy(w) for w in self.layer(name).weights]
