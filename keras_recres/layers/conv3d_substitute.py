"""Conv3dSubstitute: a convolution of maps that slides along the channels, too."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_recres import backend
from keras_recres.backend.types import Activation, Initializer, Shape, ShapeLike, Sizes, Tensor
from keras_recres.layers.checks import (
    check_choice,
    check_count,
    check_maps_shape,
    size_tuple,
    takes_numpy,
)

FORMS = ("auto", "conv3d", "banded", "planes")


@keras.saving.register_keras_serializable(package="keras_recres")
class Conv3dSubstitute(keras.layers.Layer):
    """Folds C maps into a volume, convolves it in three dimensions and unfolds it to maps.

    y[f·D' + d, i, j] = b_f + Σ_c Σ_a Σ_p Σ_q w[a, p, q, c, f] x[c·D + d + a, s₁i + p, s₂j + q]

    for strides (s₁, s₂), p and q counted from where the padding of `keras.layers.Conv2D` begins,
    and a from −⌊(u − 1)/2⌋ if the depth is padded, else from 0. The C = v·D channels are a volume
    of v channels and depth D, and each of the s filters is u×h×w: the filter is shared along the
    depth, so that (h·w·u·v + 1)·s parameters give D'·s maps. The substitute for a two-dimensional
    convolution of K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of parameters
    of a neural network for image classification" (in Russian; no arXiv number), section 2.1. The
    plane is padded as "same" does. Images are channels-last whatever the global data format.

    padding="same" pads the depth as well, D' = D, as in the authors' networks; "valid_depth" is
    the paper's formula, D' = D − u + 1, where the volume has one channel. As a substitute for a
    `keras.layers.Conv2D` it takes that layer's strides and activation, too.

    Example:
    >>> layer = keras_recres.layers.Conv3dSubstitute(8, 3, volume_channels=4)
    >>> layer(keras.ops.ones((2, 16, 16, 64))).shape
    (2, 16, 16, 128)
    >>> layer.count_params()
    872
    >>> keras_recres.layers.Conv3dSubstitute.depth_for(maps=32, channels=16, filters=4)
    9

    Args:
        filters: Integer s ≥ 1, channels of the convolved volume.
        kernel_size: Integer ≥ 1 or three of them: depth u, height h, width w of a filter.
        volume_channels: Integer v ≥ 1; it must divide the channels, and channel = c · D + d.
        padding: "same" or "valid_depth".
        unfold: Boolean, whether the output is a stack of maps, or the volume, for layers such as
            `keras.layers.BatchNormalization` and `MaxPooling3D` that take the volume.
        use_bias: Boolean, whether each filter has a bias.
        kernel_initializer: Keras initializer of the (u, h, w, v, s) filters.
        bias_initializer: Keras initializer of the biases.
        strides: Integer ≥ 1 or two of them, steps of the filters in the plane; along the depth
            they move by one.
        activation: Applied to the output; None, or whatever `keras.activations.get` takes.
        form: How it is computed: "conv3d"; "banded" for the equivalent two-dimensional
            convolution, whose kernel has a band of the filters; "planes" for a two-dimensional
            convolution of every plane of the volume with its neighbours; "auto" for the fastest.
            It cannot see whether TensorFlow compiles the model by XLA, and takes it that it
            doesn't, as is Keras' choice on a CPU: for more than 64 → 64 maps give "planes" to a
            model that you compile there with `jit_compile=True`, where "conv3d" takes ten times
            as long.

    Input shape: (batch, H, W, C).

    Output shape: (batch, H', W', s·D') where map = filter · D' + d, or the volume
        (batch, D', H', W', s) with `unfold=False`; H' = ⌈H / stride⌉ and W' alike.

    Raises:
        ValueError: For arguments out of their range, `volume_channels` that doesn't divide C, or
            with "valid_depth" a filter deeper than the volume.
    """

    @takes_numpy
    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        volume_channels: int = 1,
        padding: str = "same",
        unfold: bool = True,
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        strides: Sizes = 1,
        activation: Activation = None,
        form: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("filters", filters)
        check_count("volume_channels", volume_channels)
        check_choice("padding", padding, ("same", "valid_depth"))
        check_choice("form", form, FORMS)
        self.filters = filters
        self.kernel_size = size_tuple("kernel_size", kernel_size, 3)
        self.volume_channels = volume_channels
        self.padding = padding
        self.unfold = bool(unfold)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.strides = size_tuple("strides", strides, 2)
        self.activation = keras.activations.get(activation)
        self.form = form

    @staticmethod
    def depth_for(maps: int, channels: int, filters: int, volume_channels: int = 1) -> int:
        """The filter depth u with which padding="valid_depth" gives a number of maps.

        u = C/v − D/s + 1, from D = (C/v − u + 1)·s (section 2.1 of the paper, where v = 1).

        Args:
            maps: Integer D ≥ 1, output maps.
            channels: Integer C ≥ 1, input maps.
            filters: Integer s ≥ 1.
            volume_channels: Integer v ≥ 1.

        Returns:
            The integer u, 1 ≤ u ≤ C/v.

        Raises:
            ValueError: If there is no such depth: v doesn't divide C, s doesn't divide D, or
                D/s is more than C/v.
        """
        for name, value in (
            ("maps", maps),
            ("channels", channels),
            ("filters", filters),
            ("volume_channels", volume_channels),
        ):
            check_count(name, value)
        what = (
            f"No filter depth gives {maps} maps of {channels} channels with {filters} filters and "
            f"{volume_channels} volume channels"
        )
        if channels % volume_channels:
            raise ValueError(f"{what}: {volume_channels} does not divide {channels}.")
        if maps % filters:
            raise ValueError(f"{what}: {filters} does not divide {maps}.")
        depth = channels // volume_channels
        if maps // filters > depth:
            raise ValueError(f"{what}: at most {depth * filters} maps are possible.")
        return depth - maps // filters + 1

    def build(self, input_shape: ShapeLike) -> None:
        self._depths(input_shape)
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, self.volume_channels, self.filters),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer=self.bias_initializer, name="bias"
            )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={-1: input_shape[-1]})

    def call(self, inputs: Tensor) -> Tensor:
        inputs = ops.cast(inputs, self.compute_dtype)
        form = self.form
        # Numbers, also while PyTorch traces a graph, where sides are tensors.
        depth, output_depth = (int(maps) for maps in self._depths(inputs.shape))
        if form == "auto":
            form = self._fastest(int(inputs.shape[-1]) * self.filters * output_depth)
        kernel = ops.cast(self.kernel, inputs.dtype)
        convolve = {"conv3d": self._conv3d, "banded": self._banded, "planes": self._planes}[form]
        y = convolve(inputs, kernel, depth, output_depth)
        # (batch, H', W', s, D'), whichever way.
        if self.use_bias:
            y = y + ops.expand_dims(ops.cast(self.bias, y.dtype), -1)
        if self.unfold:
            y = ops.reshape(y, (-1, *ops.shape(y)[1:3], self.filters * output_depth))
        else:
            y = ops.transpose(y, (0, 4, 1, 2, 3))
        return self.activation(y)

    def _fastest(self, map_pairs):
        """The fastest form for a number of pairs of an input and an output map.

        "banded" multiplies D/u times as often, but in the layout and at the channel numbers that
        processors are good at. Milliseconds forward and backward on a CPU core, 3×3×3, 32 images:

        | size, maps, volume channels | TF conv3d, banded, planes | under XLA | JAX | PyTorch |
        |---|---|---|---|---|
        | 16², 32 → 32, 4 → 4 | 5.6, 3.2, 19 | 110, 2.8, 9.9 | 165, 2.9, 13 | 5.0, 3.0, 12 |
        | 8², 64 → 64, 4 → 4 | 4.2, 2.7, 8.8 | 58, 2.8, 5.1 | 85, 2.5, 4.9 | 3.2, 2.6, 4.3 |
        | 16², 64 → 128, 4 → 8 | 14, 23, 41 | 197, 20, 19 | 270, 30, 29 | 20, 26, 21 |
        | 8², 128 → 256, 8 → 16 | 6.4, 18, 20 | 60, 18, 7.7 | 85, 27, 7.0 | 6.9, 22, 12 |

        TensorFlow gets what is best outside XLA. Accelerators are not measured; they get the same
        as PyTorch here.
        """
        if not backend.has_fast_conv3d():
            return "banded" if map_pairs <= 64 * 128 else "planes"
        return "banded" if map_pairs <= 64 * 64 else "conv3d"

    def _convolve(self, x, kernel, strides):
        return ops.conv(x, kernel, strides=strides, padding="same", data_format="channels_last")

    def _volume(self, inputs, depth):
        """The volume, (batch, D, H, W, v)."""
        volume = ops.reshape(inputs, (-1, *ops.shape(inputs)[1:3], self.volume_channels, depth))
        return ops.transpose(volume, (0, 4, 1, 2, 3))

    def _conv3d(self, inputs, kernel, depth, output_depth):
        # Padded by the convolution itself, and then cut: TensorFlow 2.21 on a CPU loses an
        # explicit ops.pad in front of a 3-D convolution when it optimises the graph.
        y = self._convolve(self._volume(inputs, depth), kernel, (1, *self.strides))
        if output_depth < depth:
            before = (self.kernel_size[0] - 1) // 2
            y = y[:, before : before + output_depth]
        return ops.transpose(y, (0, 2, 3, 4, 1))

    def _planes(self, inputs, kernel, depth, output_depth):
        # Every plane with its neighbours as further channels, the planes as a batch.
        height, width = ops.shape(inputs)[1:3]
        volume = self._volume(inputs, depth)
        size = self.kernel_size[0]
        if self.padding == "same":
            pads = ((0, 0), ((size - 1) // 2, size // 2), (0, 0), (0, 0), (0, 0))
            volume = ops.pad(volume, pads)
        x = ops.concatenate([volume[:, a : a + output_depth] for a in range(size)], axis=-1)
        x = ops.reshape(x, (-1, height, width, size * self.volume_channels))
        kernel = ops.transpose(kernel, (1, 2, 0, 3, 4))
        kernel = ops.reshape(
            kernel, (*self.kernel_size[1:], size * self.volume_channels, self.filters)
        )
        y = self._convolve(x, kernel, self.strides)
        y = ops.reshape(y, (-1, output_depth, *ops.shape(y)[1:3], self.filters))
        return ops.transpose(y, (0, 2, 3, 4, 1))

    def _banded(self, inputs, kernel, depth, output_depth):
        size = self.kernel_size[0]
        before = (size - 1) // 2 if self.padding == "same" else 0
        # band[a, i, o] = 1 where slice a of a filter takes depth i of the input to depth o.
        a, i, o = np.ogrid[:size, :depth, :output_depth]
        band = ops.convert_to_tensor((i == o + a - before).astype("float32"), dtype=kernel.dtype)
        kernel = ops.einsum("ahwcf,aio->hwcifo", kernel, band)
        kernel = ops.reshape(
            kernel, (*self.kernel_size[1:], int(inputs.shape[-1]), self.filters * output_depth)
        )
        y = self._convolve(inputs, kernel, self.strides)
        return ops.reshape(y, (-1, *ops.shape(y)[1:3], self.filters, output_depth))

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        depth = self._depths(input_shape)[1]
        plane = (
            None if side is None else -(-side // stride)
            for side, stride in zip(input_shape[1:3], self.strides, strict=True)
        )
        if not self.unfold:
            return (input_shape[0], depth, *plane, self.filters)
        return (input_shape[0], *plane, self.filters * depth)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "volume_channels": self.volume_channels,
            "padding": self.padding,
            "unfold": self.unfold,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "strides": self.strides,
            "activation": keras.activations.serialize(self.activation),
            "form": self.form,
        }

    def _depths(self, input_shape):
        """Depth of the volume before and after the convolution."""
        check_maps_shape(self, input_shape)
        channels = input_shape[-1]
        if channels % self.volume_channels:
            raise ValueError(
                f"`volume_channels` of {self.name!r} must divide the number of input channels, "
                f"but {self.volume_channels} does not divide {channels}."
            )
        depth = channels // self.volume_channels
        if self.padding == "same":
            return depth, depth
        if self.kernel_size[0] > depth:
            raise ValueError(
                f"With `padding` 'valid_depth' a filter of {self.name!r} must not be deeper than "
                f"the volume, but `kernel_size` {self.kernel_size} has the depth "
                f"{self.kernel_size[0]} and {channels} channels in {self.volume_channels} volume "
                f"channels have the depth {depth}."
            )
        return depth, depth - self.kernel_size[0] + 1
