"""MetaConv2D: independent convolutions of groups of maps, and a MetaLayer between the groups."""

from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Activation, Initializer, Shape, ShapeLike, Sizes, Tensor
from keras_recres.layers.batch_normalization import BatchNormalization
from keras_recres.layers.checks import (
    check_choice,
    check_count,
    check_maps_shape,
    size_tuple,
    takes_numpy,
)
from keras_recres.layers.grouped_convolution import FORMS, grouped_convolution
from keras_recres.layers.meta_layer import MetaLayer
from keras_recres.layers.shared_slope import (
    EachGroup,
    get_activation,
    get_elementwise_activation,
    serialize_activation,
    shared_slope,
)


@keras.saving.register_keras_serializable(package="keras_recres")
class MetaConv2D(keras.layers.Layer):
    """G small convolutions of contiguous channel groups, whose results a MetaLayer mixes.

    z_g = pool(BN(f(conv(x_g, w_g) + b_g))),   g = 1 … G
    y_m = f'(Σ_g v_gm z_g),   m = 1 … M

    the substitute for a convolution of K. S. Kondaurova and N. A. Semenov, "Optimisation of the
    number of parameters of a neural network for image classification" (in Russian; no arXiv
    number), section 2.2. For d = filters/G maps a group and C channels it has
    h·w·(C/G)·filters + G·M weights instead of h·w·C·filters. f has a slope for each group and f'
    one for all; batch norm has its ε 1e-5 and its momentum 0.9.

    The G convolutions are one operation, in the form that is fastest on the backend in use; the
    slopes and the norms, too. Images are channels-last whatever the global data format.

    Example:
    >>> layer = keras_recres.layers.MetaConv2D(32, 3, groups=8)
    >>> layer(keras.ops.ones((2, 16, 16, 32))).shape
    (2, 16, 16, 32)
    >>> keras_recres.layers.MetaConv2D(16, 3, groups=4, meta_groups=8, pool_size=2, flatten=False)(
    ...     keras.ops.ones((2, 16, 16, 16))
    ... ).shape
    (2, 8, 8, 8, 4)

    Args:
        filters: Integer ≥ 1, maps of the G convolutions together; a multiple of `groups`.
        kernel_size: Integer ≥ 1 or two of them, height and width of a filter.
        groups: Integer G ≥ 1; it must divide the channels, and channel = group · (C/G) + i.
        meta_groups: Integer M ≥ 1, groups after the mixing, or None for `groups`.
        strides: Integer ≥ 1 or two of them.
        padding: "same" or "valid".
        activation: f, None, "prelu" for a PReLU with one slope a group, initially 0.25, or
            whatever `keras.activations.get` takes and acts on each number alone.
        batch_norm: Boolean, whether the maps are normalised after f.
        pool_size: Integer ≥ 1, side of the max pooling of each map, or None for no pooling.
        meta_activation: f', None, "prelu" for a PReLU with one slope, or whatever
            `keras.activations.get` takes; it gets all M·d maps of a pixel together.
        softmax: Boolean, see `MetaLayer`.
        flatten: Boolean, whether the output is one stack of maps, or keeps the group axis.
        use_bias: Boolean, whether the convolutions have a bias.
        kernel_initializer: Keras initializer of each group's (h, w, C/G, d) filters.
        bias_initializer: Keras initializer of the biases.
        meta_initializer: Keras initializer of the (G, M) weights; None is N(0, 1).
        form: How the convolutions are computed: "auto", "grouped", "separate", "block_diagonal".

    Input shape: (batch, H, W, C).

    Output shape: (batch, H', W', M·d) where map = group · d + i, or (batch, H', W', M, d) with
        `flatten=False`.

    Raises:
        ValueError: For arguments out of their range, or `groups` that doesn't divide `filters` or
            the channels.
    """

    @takes_numpy
    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        groups: int,
        meta_groups: int | None = None,
        strides: Sizes = 1,
        padding: str = "same",
        activation: Activation = "prelu",
        batch_norm: bool = True,
        pool_size: Sizes | None = None,
        meta_activation: Activation = "prelu",
        softmax: bool = False,
        flatten: bool = True,
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        meta_initializer: Initializer = None,
        form: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("filters", filters)
        check_count("groups", groups)
        if meta_groups is None:
            meta_groups = groups
        check_count("meta_groups", meta_groups)
        if pool_size is not None:
            check_count("pool_size", pool_size)
        if filters % groups:
            raise ValueError(
                f"`groups` must divide `filters`, but {groups} does not divide {filters}."
            )
        check_choice("padding", padding, ("same", "valid"))
        check_choice("form", form, FORMS)
        self.filters = filters
        self.kernel_size = size_tuple("kernel_size", kernel_size, 2)
        self.groups = groups
        self.meta_groups = meta_groups
        self.strides = size_tuple("strides", strides, 2)
        self.padding = padding
        self.activation = get_elementwise_activation(activation)
        self.batch_norm = bool(batch_norm)
        self.pool_size = pool_size
        self.meta_activation = get_activation(meta_activation)
        self.softmax = bool(softmax)
        self.flatten = bool(flatten)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.form = form
        self.meta = MetaLayer(
            meta_groups,
            softmax=softmax,
            axis=-2,
            kernel_initializer=meta_initializer,
            dtype=self.dtype_policy,
            name="meta",
        )
        if self.batch_norm:
            self.norm = BatchNormalization(
                axis=-1, epsilon=1e-5, momentum=0.9, dtype=self.dtype_policy, name="norm"
            )
        if pool_size is not None:
            self.pool = keras.layers.MaxPooling2D(
                pool_size, data_format="channels_last", dtype=self.dtype_policy, name="pool"
            )

    def build(self, input_shape: ShapeLike) -> None:
        check_maps_shape(self, input_shape)
        channels = input_shape[-1]
        if channels % self.groups:
            raise ValueError(
                f"`groups` of {self.name!r} must divide the number of input channels, but "
                f"{self.groups} does not divide {channels}."
            )
        width = self.filters // self.groups
        # One initialiser call a group gives (groups, h, w, C/G, d): the fans are a group's own.
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            shape=shape,
            initializer=EachGroup(self.kernel_initializer, groups=self.groups),
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer=self.bias_initializer, name="bias"
            )
        maps = (input_shape[0], *self._plane(input_shape[1:3], pool=False), self.filters)
        if self.activation == "prelu":
            self.prelu = shared_slope(
                (*maps[:3], self.groups, width), self.dtype_policy, "prelu", axis=-2
            )
        if self.batch_norm:
            self.norm.build(maps)
        plane = self._plane(input_shape[1:3])
        self.meta.build((input_shape[0], *plane, self.groups, width))
        if self.meta_activation == "prelu":
            self.meta_prelu = shared_slope(
                (input_shape[0], *plane, self.meta_groups, width), self.dtype_policy, "meta_prelu"
            )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: channels})

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        x = grouped_convolution(
            inputs,
            ops.cast(self.kernel, inputs.dtype),
            self.groups,
            strides=self.strides,
            padding=self.padding,
            form=self.form,
        )
        if self.use_bias:
            x = x + ops.cast(self.bias, x.dtype)
        if self.activation == "prelu":
            x = self._merge(self.prelu(self._split(x, self.groups)))
        elif self.activation is not None:
            x = self.activation(x)
        if self.batch_norm:
            x = self.norm(x, training=training)
        if self.pool_size is not None:
            x = self.pool(x)
        x = self.meta(self._split(x, self.groups), training=training)
        if self.meta_activation == "prelu":
            x = self.meta_prelu(x)
        elif self.meta_activation is not None:
            x = self.meta_activation(self._merge(x))
            return x if self.flatten else self._split(x, self.meta_groups)
        return self._merge(x) if self.flatten else x

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        width = self.filters // self.groups
        maps = (self.meta_groups * width,) if self.flatten else (self.meta_groups, width)
        return (input_shape[0], *self._plane(input_shape[1:3]), *maps)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "groups": self.groups,
            "meta_groups": self.meta_groups,
            "strides": self.strides,
            "padding": self.padding,
            "activation": serialize_activation(self.activation),
            "batch_norm": self.batch_norm,
            "pool_size": self.pool_size,
            "meta_activation": serialize_activation(self.meta_activation),
            "softmax": self.softmax,
            "flatten": self.flatten,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "meta_initializer": keras.initializers.serialize(self.meta.kernel_initializer),
            "form": self.form,
        }

    def _split(self, x, groups):
        """(batch, H, W, groups·d) → (batch, H, W, groups, d)."""
        return ops.reshape(x, (-1, *ops.shape(x)[1:3], groups, self.filters // self.groups))

    def _merge(self, x):
        """(batch, H, W, groups, d) → (batch, H, W, groups·d)."""
        return ops.reshape(x, (-1, *ops.shape(x)[1:3], x.shape[3] * x.shape[4]))

    def _plane(self, sides, pool=True):
        """Height and width of the maps, None where the image's is unknown."""
        plane = []
        for side, kernel, stride in zip(sides, self.kernel_size, self.strides, strict=True):
            if side is not None:
                covered = side if self.padding == "same" else side - kernel + 1
                maps = -(-covered // stride)
                if pool and self.pool_size is not None:
                    maps //= self.pool_size
                if maps < 1:
                    raise ValueError(
                        f"Images of {sides[0]}×{sides[1]} are too small for `kernel_size` "
                        f"{self.kernel_size}, `padding` {self.padding!r} and `pool_size` "
                        f"{self.pool_size} of {self.name!r}: use larger images."
                    )
                side = maps
            plane.append(side)
        return tuple(plane)
