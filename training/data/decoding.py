"""Images that are read and decoded, by Pillow, whenever some of them are asked for."""

import dataclasses
import functools
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_recres.zoo import pictures
from training.data import geometry
from training.errors import UserError
from training.provenance import cores

THREADS = min(32, cores())
SHARE = 16  # Images that a thread takes at once.


@dataclasses.dataclass(frozen=True)
class Resizing:
    """How images are brought to one size.

    Attributes:
        size: (height, width) in pixels, aspect ratio kept and the middle cut out, as
            `keras_recres.zoo.Preprocessing` does it; None keeps the stored size.
        crop: the part of the resized image that is kept, in (0, 1].
        interpolation: "nearest", "bilinear", "bicubic" or "mean"; the last takes means over squares
            of pixels, for a size that divides the stored one.
    """

    size: tuple | None = None
    crop: float = 1.0
    interpolation: str = "bicubic"

    @classmethod
    def of(cls, preprocess):
        """As a network's preprocessing does it, that of texts or points not at all."""
        return cls(**{k: v for k, v in vars(preprocess).items() if k in vars(cls)})


AS_STORED = Resizing()


class Decoded:
    """The images of a split, of which no pixel is kept in memory.

    Args:
        encoded: a `training.data.packed.Encoded` record.
        resizing: a `Resizing`.

    Attributes:
        shape: (N, H, W, C); H and W are those of the first image.

    Raises:
        UserError: The split is empty, or its first file is not an image.

    Example:
        >>> images, labels = Decoded(encoded, Resizing((224, 224))).read(np.array([7, 1_000_000]))
        >>> images.shape
        (2, 224, 224, 3)
    """

    def __init__(self, encoded, resizing=AS_STORED):
        self._encoded, self._where = encoded, f"{encoded.dataset} ({encoded.split})"
        self._resizing = resizing
        self._mode = {1: "L", 3: "RGB"}.get(encoded.channels)
        if self._mode is None:
            raise UserError(f"images must have 1 or 3 channels, found {encoded.channels}.")
        if len(encoded.data) == 0:
            raise UserError(f"{self._where} has no images.")
        files, _ = encoded.read([0])
        self.shape = (len(encoded.data), *self._decode(0, files[0]).shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, part):
        """A slice of the images, each of its own size: a list of uint8 arrays (H, W, C)."""
        numbers = np.arange(len(self))[part]
        files, _ = self._encoded.read(numbers)
        return list(_pool().map(self._decode, numbers, files))

    def labels(self):
        """The labels of all images, an int64 array (N,)."""
        if self._encoded.labels is not None:
            return self._encoded.labels
        parts = np.split(np.arange(len(self)), range(1024, len(self), 1024))
        return np.concatenate([self._encoded.read(numbers)[1] for numbers in parts])

    def read(self, numbers, crops=None):
        """Reads and decodes the images of these numbers.

        Args:
            numbers: int array (B,).
            crops: what `geometry.draw_crops` gives for B images: a rectangle of each one
                as it is stored, to be brought to the size in place of the whole.

        Returns:
            The pixels, a uint8 array (B, H, W, C), and the labels, an int64 array (B,).

        Raises:
            UserError: One is damaged, is not an image or has another size without `crops`.
        """
        images = np.empty((len(numbers), *self.shape[1:]), dtype=np.uint8)
        labels = np.empty(len(numbers), dtype=np.int64)

        def work(start):
            share = slice(start, start + SHARE)
            files, labels[share] = self._encoded.read(numbers[share])
            for place, file in enumerate(files, start):
                image = self._decode(numbers[place], file, None if crops is None else crops[place])
                if image.shape != self.shape[1:]:
                    raise UserError(
                        f"{self._where} has images of different sizes, {self.shape[1:3]} and "
                        f"{image.shape[:2]}: give the size to bring them to."
                    )
                images[place] = image

        # Pillow decodes outside Python's lock: threads do help.
        for _ in _pool().map(work, range(0, len(numbers), SHARE)):
            pass
        return images, labels

    def _decode(self, number, file, drawn=None):
        try:
            image = pictures.upright(Image.open(io.BytesIO(file)))
            image = image if image.mode == self._mode else image.convert(self._mode)
            image.load()
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise UserError(
                f"image {number:,} of {self._where} cannot be decoded ({error})."
            ) from None
        resizing = self._resizing
        if drawn is not None:
            image = geometry.crop(image, drawn, self.shape[1:3])
        elif resizing.interpolation == "mean":
            # Not Pillow's resizing by "box", which rounds rows first and then columns.
            image = image.reduce(image.width // resizing.size[1])
        elif resizing.size is not None:
            image = pictures.fit(image, resizing.size, resizing.crop, resizing.interpolation)
        return np.asarray(image).reshape(image.height, image.width, -1)


@functools.cache
def _pool():
    """The threads that decode: the same for all batches that are being made side by side."""
    return ThreadPoolExecutor(THREADS, "decode")
