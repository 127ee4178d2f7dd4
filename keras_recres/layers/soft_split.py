"""SoftSplit: overlapping patches of an image as a sequence of tokens."""

import numbers
from typing import Any

import keras
from keras import ops

from keras_recres.backend.types import Shape, ShapeLike, Sizes, Tensor
from keras_recres.layers.checks import check_count, refuse_mask, takes_numpy


@keras.saving.register_keras_serializable(package="keras_recres")
class SoftSplit(keras.layers.Layer):
    """Cuts an image into overlapping patches and flattens each into one token.

    token[i·W' + j] = image[i·s − p : i·s − p + k, j·s − p : j·s − p + k, :],
    H' = ⌊(H + 2p − k) / s⌋ + 1 and W' alike, zeros outside the image

    the soft split of T2T-ViT (arXiv 2101.11986, section 3.1, equation 3). The features of a token
    are ordered (kernel row, kernel column, channel), as in `keras.ops.image.extract_patches`.
    The layer has no weights, and images are channels-last whatever the global data format.

    Example:
    >>> split = keras_recres.layers.SoftSplit(kernel_size=7, strides=4, padding=2)
    >>> split(keras.ops.ones((2, 224, 224, 3))).shape
    (2, 3136, 147)

    Args:
        kernel_size: Integer k ≥ 1, side of a patch in pixels.
        strides: Integer s ≥ 1, distance of neighbouring patches in pixels.
        padding: Integer p ≥ 0, rows and columns of zeros on each side, or None for
            max(0, ⌊(k − s + 1) / 2⌋), which is 2 for 7/4 and 1 for 3/2 as in the paper.

    Input shape: (batch, H, W, channels), all but the batch known.

    Output shape: (batch, H'·W', k·k·channels).

    Raises:
        ValueError: For arguments out of their range, an image smaller than one patch, or one with
            a mask.
    """

    @takes_numpy
    def __init__(
        self, kernel_size: Sizes, strides: Sizes = 1, padding: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_count("kernel_size", kernel_size)
        check_count("strides", strides)
        if padding is None:
            padding = max(0, (kernel_size - strides + 1) // 2)
        if not isinstance(padding, numbers.Integral) or isinstance(padding, bool) or padding < 0:
            raise ValueError(
                f"`padding` must be None or an integer of at least 0, but it is {padding!r}."
            )
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding

    def build(self, input_shape: ShapeLike) -> None:
        self.grid(input_shape)

    def grid(self, input_shape: ShapeLike) -> tuple[int, int]:
        """Rows and columns of tokens, (H', W'), for an image of `input_shape`.

        Args:
            input_shape: (batch, H, W, channels).

        Raises:
            ValueError: If a side is unknown or smaller than one patch.
        """
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                f"The input of {self.name!r} must have the shape (batch, height, width, channels) "
                f"with all but the batch known, but it has the shape {tuple(input_shape)}."
            )
        height, width = (
            (side + 2 * self.padding - self.kernel_size) // self.strides + 1
            for side in input_shape[1:3]
        )
        if height < 1 or width < 1:
            raise ValueError(
                f"`kernel_size` {self.kernel_size} of {self.name!r} does not fit into images of "
                f"{input_shape[1]}×{input_shape[2]} with `padding` {self.padding}: use a larger "
                f"image or a smaller kernel."
            )
        return height, width

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        refuse_mask(self, inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        # Why not ops.image.extract_patches: it is a convolution with an identity kernel on every
        # backend, k²C multiplications for each number copied. Why not k² strided slices: slices
        # with a step are slow outside XLA, forward and backward. Instead the image is read as
        # blocks of s×s pixels, so that a patch is ⌈k/s⌉ blocks a side (the last one cut) and every
        # slice is contiguous; columns first, then rows. Measured with a layer norm and a dense
        # layer behind it at (8, 56, 56, 64), 3/2, and (8, 224, 224, 3), 7/4, forward and backward
        # on two CPU cores, this is the fastest or within a fifth of it on all three backends,
        # compiled or not, in both regimes (each other form is twice as slow somewhere), so one
        # form serves all. Gathers would come near, but their gradient is a scatter.
        inputs = ops.cast(inputs, self.compute_dtype)
        k, s = self.kernel_size, self.strides
        rows, columns = self.grid(inputs.shape)
        channels = inputs.shape[-1]
        blocks = -(-k // s)
        block_rows, block_columns = rows - 1 + blocks, columns - 1 + blocks
        x = _pad_and_crop(inputs, self.padding, block_rows * s, block_columns * s)

        x = ops.reshape(x, (-1, block_rows * s, block_columns, s * channels))
        x = ops.concatenate(
            [_cut(x, 2, b, columns, min(s, k - b * s) * channels) for b in range(blocks)],
            axis=-1,
        )
        if s > 1:
            x = ops.reshape(x, (-1, block_rows, s, columns, k * channels))
            x = ops.transpose(x, (0, 1, 3, 2, 4))
        x = ops.reshape(x, (-1, block_rows, columns, s * k * channels))
        x = ops.concatenate(
            [_cut(x, 1, b, rows, min(s, k - b * s) * k * channels) for b in range(blocks)],
            axis=-1,
        )
        return ops.reshape(x, (-1, rows * columns, k * k * channels))

    def compute_output_shape(self, input_shape: ShapeLike) -> Shape:
        rows, columns = self.grid(input_shape)
        return (input_shape[0], rows * columns, self.kernel_size**2 * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }


def _pad_and_crop(images, padding, height, width):
    """`images` with `padding` zeros above and left, padded or cut below and right to the size."""
    bottom = max(0, height - images.shape[1] - padding)
    right = max(0, width - images.shape[2] - padding)
    if padding or bottom or right:
        images = ops.pad(images, ((0, 0), (padding, bottom), (padding, right), (0, 0)))
    return images[:, :height, :width]


def _cut(x, axis, start, size, features):
    """`size` entries of `axis` from `start` on, and the first `features` of the last axis."""
    # ops.slice rather than x[…]: on TensorFlow outside XLA the gradient of the latter takes twice
    # as long, since it allows for steps.
    starts, shape = [0] * 4, [ops.shape(x)[0], *x.shape[1:3], features]
    starts[axis], shape[axis] = start, size
    return ops.slice(x, starts, shape)
