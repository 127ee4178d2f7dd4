"""Image files as arrays of pixels, by Pillow."""

import collections.abc
import concurrent.futures
import io

import numpy as np

MODES = {1: "L", 3: "RGB"}


def pillow():
    """Pillow's `Image` module; says what to install where it is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'keras-recres[cli]'.") from None
    return Image


def decode(data, channels):
    """A uint8 array (height, width, channels) from the bytes of an image file.

    Args:
        data: The bytes: JPEG, PNG, or another format that Pillow reads.
        channels: 1 for grey, 3 for colours.

    Raises:
        ValueError: If they are no such image; the sentence says why.
    """
    Image = pillow()
    mode = MODES[channels]
    try:
        image = Image.open(io.BytesIO(data))
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"has pixels of the mode {image.mode!r}, not of 8 bits")
        image = image if image.mode == mode else image.convert(mode)
        image.load()
    except Image.UnidentifiedImageError:
        raise ValueError("is no image that Pillow can read") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be decoded ({error})") from None
    return np.asarray(image).reshape(image.height, image.width, channels)


class Pictures(collections.abc.Sequence):
    """The images of a `zoo.tfds_folder.Split`, decoded when a slice of them is asked for.

    Args:
        split: The split.
        channels: 1 or 3, of each image.

    Example:
    >>> Pictures(split, 3)[:2][0].shape  # doctest: +SKIP
    (32, 32, 3)
    """

    def __init__(self, split, channels):
        self._split, self._channels = split, channels
        pillow()

    def __len__(self):
        return len(self._split.data)

    def __getitem__(self, part):
        numbers = np.atleast_1d(np.arange(len(self))[part])
        files, _ = self._split.read(numbers)
        # Pillow decodes outside Python's lock.
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pixels = list(pool.map(self._decode, numbers, files))
        return pixels if isinstance(part, slice) else pixels[0]

    def _decode(self, number, file):
        try:
            return decode(file, self._channels)
        except ValueError as error:
            where = f"{self._split.dataset} ({self._split.split})"
            raise OSError(f"image {number:,} of {where} {error}.") from None
