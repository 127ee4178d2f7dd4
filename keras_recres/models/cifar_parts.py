"""What the CIFAR-10 networks of the parameter-saving paper are made of.

Functions from a symbolic tensor to a symbolic tensor, each a few named layers. Images and maps are
channels-last; `name` begins the names of the layers.
"""

import math

import keras
from keras import layers

from keras_recres.layers import BatchNormalization, Conv3dSubstitute, MetaConv2D, MetaDense

LAST = {"data_format": "channels_last"}


def initializers(fan_in):
    """Initializers of the kernel and bias of a layer with `fan_in` inputs a unit.

    Both U(−1/√fan_in, 1/√fan_in): PyTorch's default, with which the paper's networks were trained
    (the paper itself says nothing of it). Keras' default, Glorot's, is wider where a layer has
    fewer than five outputs an input, and its biases are zero.

    Args:
        fan_in: Integer ≥ 1; of one group, where a layer has groups.

    Returns:
        A dict for the layer's constructor, of initializers of its own: one that serves two
        layers gives both the same values.
    """
    bound = 1 / math.sqrt(fan_in)
    return {
        "kernel_initializer": keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        "bias_initializer": keras.initializers.RandomUniform(-bound, bound),
    }


def prelu(x, name):
    """PReLU with one slope for all of its input, initially 0.25."""
    return layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=[*range(1, len(x.shape))],
        name=f"{name}_prelu",
    )(x)


def norm(x, name, axis=-1):
    """Batch normalisation with the ε and the momentum of the paper's networks."""
    return BatchNormalization(axis=axis, epsilon=1e-5, momentum=0.9, name=f"{name}_norm")(x)


def conv(x, filters, name):
    """3×3 convolution, PReLU, batch norm, in this order."""
    x = layers.Conv2D(
        filters, 3, padding="same", **LAST, **initializers(9 * x.shape[-1]), name=name
    )(x)
    return norm(prelu(x, name), name)


def volume_conv(x, filters, volume_channels, name):
    """3×3×3 convolution of the maps as a volume, PReLU, batch norm of the volume's channels.

    Returns:
        Maps (batch, H, W, filters·D), where map = filter·D + d and D is the volume's depth.
    """
    height, width, channels = x.shape[1:]
    depth = channels // volume_channels
    x = Conv3dSubstitute(
        filters, 3, volume_channels, **initializers(27 * volume_channels), name=name
    )(x)
    x = layers.Reshape((height, width, filters, depth), name=f"{name}_volume")(prelu(x, name))
    return layers.Reshape((height, width, filters * depth), name=f"{name}_maps")(
        norm(x, name, axis=3)
    )


def meta_conv(x, filters, groups, name, **options):
    """Groups of 3×3 convolutions, PReLU, batch norm; MetaLayer between them, PReLU.

    Args:
        x: Maps.
        filters: Maps of all groups together.
        groups: Number of groups.
        name: Name of the layer.
        **options: Further arguments of `MetaConv2D`.
    """
    fans = initializers(9 * x.shape[-1] // groups)
    return MetaConv2D(filters, 3, groups, **fans, **options, name=name)(x)


def max_pool(x, name):
    """The maximum of 2×2 pixels."""
    return layers.MaxPooling2D(2, **LAST, name=name)(x)


def max_of_pairs(x, name):
    """The maximum of neighbours (2i, 2i + 1) on the axis 3, which then is half as long."""
    return layers.Maximum(name=name)([x[:, :, :, 0::2], x[:, :, :, 1::2]])


def drop_maps(x, name):
    """Spatial dropout of a tenth of the maps."""
    return layers.SpatialDropout2D(0.1, **LAST, name=name)(x)


def adaptive_mean(x, side, name):
    """Means of side×side bins, which overlap where `side` doesn't divide the plane."""
    return layers.AdaptiveAveragePooling2D(side, **LAST, name=name)(x)


def resized(x, size):
    """Maps, or maps with a group axis, averaged to (rows, columns); None leaves them."""
    if size is None or tuple(x.shape[1:3]) == tuple(size):
        return x
    *groups, channels = x.shape[3:]
    if groups:
        x = layers.Reshape((*x.shape[1:3], groups[0] * channels), name="pool2_map")(x)
    x = adaptive_mean(x, tuple(size), "resized")
    return layers.Reshape((*size, *groups, channels), name="resized_groups")(x) if groups else x


def flatten(x, name, order=(3, 1, 2), pairs=False):
    """The features as one axis, ordered as in PyTorch.

    Args:
        x: Maps, or maps with a group axis.
        name: Name of the last layer.
        order: The axes in the order in which they are flattened, the slowest first; by default
            (channel, height, width).
        pairs: Whether neighbours (2i, 2i + 1) on the first of them are averaged.
    """
    x = layers.Permute(order, name=f"{name}_order")(x)
    if pairs:
        first, *others = x.shape[1:]
        x = layers.Reshape((first, math.prod(others)), name=f"{name}_plane")(x)
        x = layers.AveragePooling1D(2, **LAST, name=f"{name}_pairs")(x)
    return layers.Flatten(**LAST, name=name)(x)


def dense(x, units):
    """The head's first layer: dense, PReLU, dropout."""
    x = layers.Dense(units, **initializers(x.shape[-1]), name="dense")(x)
    return layers.Dropout(0.2, name="dense_dropout")(prelu(x, "dense"))


def meta_dense(x, units, groups, meta_groups, **options):
    """The head's first layer with groups: dense, PReLU and dropout of each, MetaLayer, PReLU."""
    if x.shape[-1] % groups:
        raise ValueError(
            f"`head_groups` must divide the {x.shape[-1]} features before the head, but it is "
            f"{groups}."
        )
    fans = initializers(x.shape[-1] // groups)
    head = MetaDense(units, groups, meta_groups, dropout=0.1, **fans, **options, name="meta_dense")
    return head(x)


def classifier(x, num_classes, activation):
    """The logits, or what `activation` makes of them."""
    fans = initializers(x.shape[-1])
    return layers.Dense(num_classes, activation=activation, **fans, name="head")(x)
