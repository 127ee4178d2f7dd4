"""What Inception's later versions are made of."""

import keras

from keras_recres.layers import BatchNormalization

AVERAGE, MAX = "average", "max"


def conv(x, filters, size, name, strides=1, padding=None, pad=0, *, epsilon=1e-3, use_bias=False):
    """A convolution, a batch norm and a ReLU.

    Args:
        x: Maps.
        filters: Integer, number of maps.
        size: Integer, or (height, width).
        name: Beginning of the layers' names.
        strides: Integer.
        padding: "same" or "valid"; None for "same" without strides, else "valid".
        pad: Zeros on each side.
        epsilon: That of the batch norm.
        use_bias: Whether the convolution has a bias.
    """
    if pad:
        x = keras.layers.ZeroPadding2D(pad, name=f"{name}_pad")(x)
    x = keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding=padding or ("same" if strides == 1 else "valid"),
        use_bias=use_bias,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.1),
        name=f"{name}_conv",
    )(x)
    x = BatchNormalization(momentum=0.9, epsilon=epsilon, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def stem(x):
    """The three convolutions and the pooling that versions after the first begin with."""
    x = conv(x, 32, 3, "stem1", 2)
    x = conv(x, 32, 3, "stem2", padding="valid")
    x = conv(x, 64, 3, "stem3")
    return keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)


def modules(x, parts, average=keras.layers.AveragePooling2D):
    """One module after another, each the joined maps of its branches.

    Args:
        x: Maps.
        parts: {name: branches}. A branch is a list of parts, (name, filters, kernel size) or (name,
            filters, kernel size, strides), with a padding as the fifth; `AVERAGE`, 3 × 3; `MAX`, 3
            × 3 with stride 2; its last part may be a list of them, side by side.
        average: What makes an average pooling.
    """
    for name, branches in parts.items():
        joined = [y for branch in branches for y in _branch(x, branch, name, average)]
        x = keras.layers.Concatenate(name=name)(joined)
    return x


def _branch(x, parts, name, average):
    for part in parts:
        if isinstance(part, list):
            return [_part(x, one, name, average) for one in part]
        x = _part(x, part, name, average)
    return [x]


def _part(x, part, name, average):
    if part == AVERAGE:
        return average(3, 1, padding="same", name=f"{name}_average")(x)
    if part == MAX:
        return keras.layers.MaxPooling2D(3, 2, name=f"{name}_max")(x)
    key, filters, size, *rest = part
    return conv(x, filters, size, f"{name}_{key}", *rest)
