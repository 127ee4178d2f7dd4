"""What an image goes through before a network of the zoo sees it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from keras_recres.backend.types import Data, ShapeLike, Tensor

Pixels = TypeVar("Pixels")
INTERPOLATIONS = ("bilinear", "bicubic", "nearest")


@dataclass(frozen=True)
class Preprocessing:
    """Resizes, crops and normalises images: x ↦ (scale · x − mean) / std.

    Images of another size are resized, aspect ratio kept, until their shorter side covers
    `round(size / crop)`, and the centre `size` is cut out; images of that size are left as they
    are. This is the usual ImageNet evaluation, with antialiasing, in float32 and on any backend.

    The default, `Preprocessing()`, only casts to float32: what a network on points needs.

    Args:
        size: `(height, width)` in pixels that the network takes, or None for no resizing.
        crop: Fraction of the resized side that the centre crop keeps, in (0, 1].
        interpolation: `"bilinear"`, `"bicubic"` or `"nearest"`.
        scale: Factor on the pixel values, 1/255 to bring [0, 255] to [0, 1].
        mean: One mean per channel, of scaled pixels; empty for none.
        std: One standard deviation per channel, of scaled pixels; empty for none.
        bgr: Whether the channels are reversed first, to blue, green, red; `mean` and `std` are in
            that order then.

    Example:
    >>> p = Preprocessing(size=(32, 32), scale=1 / 255, mean=(0.5,) * 3, std=(0.25,) * 3)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype="uint8")
    >>> p(images).shape
    (4, 32, 32, 3)
    """

    size: tuple[int, int] | None = None
    crop: float = 1.0
    interpolation: str = "bilinear"
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    bgr: bool = False

    def __post_init__(self):
        # Configs are JSON, whose lists become tuples here: a frozen record stays hashable. They are
        # written, too, for which NumPy's numbers become Python's.
        for key in ("size", "crop", "scale", "mean", "std"):
            value = np.array(getattr(self, key)).tolist()
            object.__setattr__(self, key, tuple(value) if isinstance(value, list) else value)
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"size must be None or two positive integers, found {self.size}.")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must lie in (0, 1], found {self.crop}.")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation must be one of {INTERPOLATIONS}, found {self.interpolation!r}."
            )
        if len(self.mean) != len(self.std) or any(s <= 0 for s in self.std):
            raise ValueError(
                "mean and std must have one entry per channel each, std positive, "
                f"found mean={self.mean} and std={self.std}."
            )

    def __call__(self, images: Data) -> Tensor:
        """Returns what the network takes.

        Args:
            images: uint8 or float array or tensor of pixels in [0, 255], shape (B, H, W, C) or
                (H, W, C), also a tensor of tf.data, whose sides may be unknown. With `size=None`
                anything that `normalize` takes, of any shape.

        Returns:
            A float32 tensor of the backend, or of tf.data, (B, height, width, C); one image gets a
            batch axis.

        Raises:
            ValueError: They are not an array of pixels, are empty, or have another shape or other
                channels.
        """
        # Records are read without Keras.
        from keras import ops

        if isinstance(images, str | bytes | os.PathLike):
            raise ValueError(f"images must be an array of pixels, found {images!r}.")
        # Known by its name: only who has TensorFlow pays for its import.
        graph = None
        if type(images).__module__.startswith("tensorflow."):
            from keras_recres.backend import tensorflow_images

            graph = tensorflow_images if tensorflow_images.in_graph(images) else None
        if graph:
            x = graph.as_float32(images)
            if x.shape.rank is None:
                raise ValueError(
                    "images must have a known number of axes: decode them with "
                    "expand_animations=False, or name their shape by tf.ensure_shape."
                )
        else:
            x = ops.cast(ops.convert_to_tensor(images), "float32")
        if self.size is None:
            return self.normalize(x)
        if len(x.shape) == 3:
            x = x[None]
        if len(x.shape) != 4:
            raise ValueError(
                "images must have shape (height, width, channels) or (batch, height, width, "
                f"channels), found {tuple(x.shape)}."
            )
        if 0 in x.shape[1:3]:
            raise ValueError(f"images must have at least one pixel, found shape {tuple(x.shape)}.")
        self._check_channels(x)
        if graph:
            x = graph.resize_and_crop(x, self.size, self.crop, self.interpolation)
        else:
            x = self._resize_and_crop(x)
        return self.normalize(x)

    def normalize(self, x: Pixels) -> Pixels:
        """(scale · x − mean) / std over the last axis, reversed first where `bgr` says so.

        Plain arithmetic, so that it also runs inside another library's data pipeline whatever the
        backend: NumPy arrays stay NumPy arrays (float32), floating-point tensors of TensorFlow,
        JAX or PyTorch stay what they are.
        """
        if isinstance(x, np.ndarray | np.generic):
            x = np.asarray(x, "float32")
        if self.bgr:
            # PyTorch has no steps backwards.
            x = x.flip(-1) if hasattr(x, "new_tensor") else x[..., ::-1]
        if self.scale != 1:
            x = x * self.scale
        if not self.mean:
            return x
        self._check_channels(x)
        mean, std = np.asarray(self.mean, "float32"), np.asarray(self.std, "float32")
        if isinstance(x, np.ndarray) and x.ndim > 1:
            # NumPy's loop over a row of pixels is several times as fast as one over 3 channels.
            rows = x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])
            rows = (rows - np.tile(mean, x.shape[-2])) / np.tile(std, x.shape[-2])
            return rows.reshape(x.shape)
        if hasattr(x, "new_tensor"):
            # PyTorch mixes neither with NumPy arrays nor across devices: make them as x is.
            mean, std = x.new_tensor(mean), x.new_tensor(std)
        return (x - mean) / std

    def for_input_shape(self, input_shape: ShapeLike) -> Self:
        """The same preprocessing for a network built with another `input_shape`.

        The size follows the shape. With another number of channels, every channel gets the
        average of the means and of the standard deviations.
        """
        if self.size is None:
            return self
        *size, channels = input_shape
        mean, std = self.mean, self.std
        if mean and len(mean) != channels:
            mean = (float(np.mean(mean)),) * channels
            std = (float(np.mean(std)),) * channels
        bgr = self.bgr and channels == 3
        return dataclasses.replace(self, size=size, mean=mean, std=std, bgr=bgr)

    def _check_channels(self, x):
        if self.mean and x.shape[-1] not in (len(self.mean), None):
            raise ValueError(
                f"images have {x.shape[-1]} channels in their last axis, but this preprocessing "
                f"is for {len(self.mean)}."
            )

    def _resize_and_crop(self, x):
        from keras import ops

        height, width = x.shape[1:3]
        if (height, width) == self.size:
            return x
        targets = [max(side, round(side / self.crop)) for side in self.size]
        # The shorter side, relative to its target, decides: the resized image covers the target.
        factor = max(targets[0] / height, targets[1] / width)
        resized = [
            max(target, round(side * factor))
            for target, side in zip(targets, (height, width), strict=True)
        ]
        if resized != [height, width]:
            x = ops.image.resize(
                x,
                resized,
                interpolation=self.interpolation,
                antialias=self.interpolation != "nearest",
                data_format="channels_last",
            )
            # Bicubic interpolation overshoots; pixels do not.
            x = ops.clip(x, 0.0, 255.0)
        top, left = ((r - s) // 2 for r, s in zip(resized, self.size, strict=True))
        return x[:, top : top + self.size[0], left : left + self.size[1], :]
