"""factorize: one convolution becomes several smaller ones, as in VGG, Inception, ResNet, Xception.

Each way has its decomposition of the kernel, which begins where the old layer ended.
"""

import keras
import numpy as np
from keras import ops

from keras_recres.backend.types import Activation, Rule
from keras_recres.layers.checks import check_choice, check_count
from keras_recres.models.rule_parts import if_smaller, obstacle, taken_over

WAYS = ("stacked", "asymmetric", "bottleneck", "separable")


def factorize(
    how: str = "stacked",
    init: str | None = None,
    *,
    width: int | None = None,
    activation: Activation = None,
) -> Rule:
    """A rule that replaces `Conv2D` by smaller convolutions, one after the other.

    Of a kernel of k x k cells from C channels to F maps, k² C F weights, become, with the width R:

    - "stacked": (k − 1) / 2 convolutions of 3 x 3, which see as much (VGG, arXiv 1409.1556):
      9 C F + 9 F² for k = 5, 28 % fewer where C = F, and 45 % fewer for k = 7. R, of the maps
      between, is F.
    - "asymmetric": k x 1, then 1 x k (Inception, arXiv 1512.00567): k C R + k R F, a third fewer
      for k = 3 where C = R = F. R is F.
    - "bottleneck": 1 x 1 to R maps, k x k among them, 1 x 1 to F (ResNet, arXiv 1512.03385):
      C R + k² R² + R F. R is F / 4.
    - "separable": a k x k kernel for each channel, then 1 x 1 (Xception, arXiv 1610.02357):
      R (k² C + C F). R, the maps of each channel, is 1.

    With `init="svd"` the last three begin with the nearest factors of the old kernel, found by
    singular values (of the bottleneck's two sides one after the other, which is near the nearest),
    and compute what it did if its rank allows: "asymmetric" if the kernel's matrix of rows by
    columns has a rank of at most R, "bottleneck" if those of its channels and maps have, and
    "separable" if each channel's matrix of cells by maps has. The table tells the relative error of
    the kernel, |K − K'| / |K|.

    Example:
    >>> rule = keras_recres.models.rules.factorize("stacked")
    >>> rule(keras.layers.Conv2D(8, 3), (None, 8, 8, 8))
    'its kernel is 3 x 3, and stacking is for odd squares of at least 5 x 5'

    Args:
        how: One of the four.
        init: None for fresh weights, or "svd".
        width: R, integer ≥ 1; None for what is said above.
        activation: Between the convolutions, name or function; None for the layer's own, and with
            `init="svd"` for none. "separable" has none.

    Returns:
        The rule.

    Raises:
        ValueError: For arguments out of their range, or that exclude each other.
    """
    check_choice("how", how, WAYS)
    if init not in (None, "svd"):
        raise ValueError(f"`init` must be None or 'svd', but it is {init!r}.")
    if width is not None:
        check_count("width", width)
    if init and how == "stacked":
        raise ValueError("`init` must be None for 'stacked': no decomposition gives its kernels.")
    if activation is not None and (init or how == "separable"):
        raise ValueError(
            f"`activation` must be None for {'init=' if init else ''}{init or how!r}, whose parts "
            f"have nothing between, but it is {activation!r}."
        )

    def rule(layer, input_shape):
        if not isinstance(layer, keras.layers.Conv2D):
            return None
        why = obstacle(layer, keras.layers.Conv2D) or _misfit(how, layer)
        if why:
            return why
        maps = layer.filters
        r = width or {"bottleneck": max(1, maps // 4), "separable": 1}.get(how, maps)
        if how == "separable":
            new = _separable(layer, r)
        else:
            between = layer.activation if activation is None else keras.activations.get(activation)
            new = _row(how, layer, input_shape, r, keras.activations.linear if init else between)
        new = if_smaller(new, layer, input_shape)
        if isinstance(new, str) or init is None:
            return new
        return new, f"relative error of the kernel {_decompose(how, layer, new, r):.2g}"

    return rule


def _misfit(how, layer):
    """Why a layer cannot become such convolutions, or None."""
    k, (height, width) = layer.kernel_size, layer.kernel_size
    told = f"its kernel is {height} x {width}, and "
    if how == "stacked" and (height != width or height < 5 or height % 2 == 0):
        return f"{told}stacking is for odd squares of at least 5 x 5"
    if how == "asymmetric" and min(k) == 1:
        return f"{told}is a row or a column already"
    if how == "separable" and k == (1, 1):
        return f"{told}has no cells to separate from the channels"
    if how == "separable" and len(set(layer.strides)) > 1:
        return f"its strides are {layer.strides}, a SeparableConv2D has one for both axes"
    return None


def _row(how, layer, input_shape, r, between):
    """The convolutions as a Sequential with the layer's name."""
    (height, width), strides = layer.kernel_size, layer.strides
    if how == "stacked":
        count = (height - 1) // 2
        sizes = [(r, (3, 3), (1, 1))] * (count - 1) + [(layer.filters, (3, 3), strides)]
    elif how == "asymmetric":
        down, right = (strides[0], 1), (1, strides[1])
        sizes = [(r, (height, 1), down), (layer.filters, (1, width), right)]
    else:
        sizes = [(r, (1, 1), (1, 1)), (r, layer.kernel_size, strides)]
        sizes.append((layer.filters, (1, 1), (1, 1)))
    parts = [keras.Input(input_shape[1:], dtype=layer.compute_dtype)]
    for i, (filters, size, step) in enumerate(sizes, 1):
        options = taken_over(layer)
        last = i == len(sizes)
        if not last:
            options["activity_regularizer"] = None
            # What is linear needs one bias, behind.
            options["use_bias"] = layer.use_bias and between is not keras.activations.linear
        options["name"] = f"{layer.name}_{i}"
        parts.append(
            keras.layers.Conv2D(
                filters,
                size,
                step,
                padding=layer.padding,
                activation=layer.activation if last else between,
                **options,
            )
        )
    return keras.Sequential(parts, name=layer.name)


def _separable(layer, r):
    options = taken_over(layer)
    initializer = options.pop("kernel_initializer")
    clone = isinstance(initializer, keras.initializers.Initializer)
    return keras.layers.SeparableConv2D(
        layer.filters,
        layer.kernel_size,
        layer.strides,
        padding=layer.padding,
        depth_multiplier=r,
        activation=layer.activation,
        depthwise_initializer=initializer,
        pointwise_initializer=initializer.clone() if clone else initializer,
        **options,
    )


def _decompose(how, layer, new, r):
    """Gives the new layer the nearest factors of the kernel; returns the relative error."""
    kernel = ops.convert_to_numpy(ops.cast(layer.kernel, "float32")).astype("float64")
    height, width, channels, maps = kernel.shape
    if how == "asymmetric":
        rows, columns, rest = _factors(
            kernel.transpose(0, 2, 1, 3).reshape(height * channels, width * maps), r
        )
        kernels = [
            rows.reshape(height, 1, channels, r),
            columns.reshape(r, width, maps).transpose(1, 0, 2)[None],
        ]
    elif how == "bottleneck":
        into = _basis(kernel.transpose(2, 0, 1, 3).reshape(channels, -1), r)
        inner = np.einsum("hwcf,cr->hwrf", kernel, into)
        back = _basis(inner.transpose(3, 0, 1, 2).reshape(maps, -1), r)
        inner = np.einsum("hwrf,fs->hwrs", inner, back)
        kernels = [into[None, None], inner, back.T[None, None]]
        near = np.einsum("cr,hwrs,fs->hwcf", into, inner, back)
        rest = np.linalg.norm(kernel - near)
    else:
        depthwise = np.zeros((height, width, channels, r))
        pointwise, squares = np.zeros((channels, r, maps)), 0.0
        for c in range(channels):
            cells, of_maps, rest = _factors(kernel[:, :, c].reshape(height * width, maps), r)
            depthwise[:, :, c] = cells.reshape(height, width, r)
            pointwise[c] = of_maps
            squares += rest**2
        rest = squares**0.5
        kernels = [depthwise, pointwise.reshape(1, 1, channels * r, maps)]
    bias = [ops.convert_to_numpy(layer.bias)] if layer.use_bias else []
    new.set_weights([*kernels, *bias])
    return float(rest / max(np.linalg.norm(kernel), 1e-30))


def _factors(matrix, r):
    """The nearest product of (m, r) by (r, n), and the norm of what is left over."""
    u, sigma, v = np.linalg.svd(matrix, full_matrices=False)
    root = np.zeros(r)
    root[: len(sigma)] = sigma[:r] ** 0.5
    u, v = _filled(u[:, :r], r), _filled(v[:r].T, r).T
    return u * root, root[:, None] * v, np.linalg.norm(sigma[r:])


def _basis(matrix, r):
    """The first r left singular vectors, (m, r)."""
    return _filled(np.linalg.svd(matrix, full_matrices=False)[0][:, :r], r)


def _filled(vectors, r):
    """With columns of zeros, up to r of them."""
    return np.pad(vectors, [(0, 0), (0, r - vectors.shape[1])])
