"""Image files as arrays of pixels, by Pillow."""

import collections.abc
import concurrent.futures
import io

import numpy as np

MODES = {1: "L", 3: "RGB"}
ORIENTATION = 0x0112  # In EXIF.


def pillow():
    """Pillow's `Image` module; says what to install where it is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install 'keras-recres[cli]'.") from None
    return Image


def turned(image):
    """Whether an image of Pillow's is to be turned by a quarter: its height becomes its width."""
    return image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)


def upright(image):
    """An image of Pillow's, turned as its camera noted; others are returned as they are."""
    from PIL import ImageOps

    if image.getexif().get(ORIENTATION, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def decode(data, channels, preprocess=None):
    """A uint8 array (height, width, channels) from the bytes of an image file.

    A camera's note on how to turn the picture (EXIF) is followed.

    Args:
        data: The bytes: JPEG, PNG, or another format that Pillow reads.
        channels: 1 for grey, 3 for colours.
        preprocess: A `Preprocessing` with the size to bring it to, by `fit`; None for its own.

    Raises:
        ValueError: If they are not such an image; the sentence says why.
    """
    Image = pillow()
    mode = MODES[channels]
    try:
        image = Image.open(io.BytesIO(data))
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"has pixels of the mode {image.mode!r}, not of 8 bits")
        if preprocess is not None:
            # A JPEG is decoded at a half, quarter or eighth of its size where that is enough.
            quarter = -1 if turned(image) else 1
            sides = _resized(image, preprocess.size[::quarter], preprocess.crop)
            image.draft(image.mode, (2 * sides[1], 2 * sides[0]))
            sides = sides[::quarter]
        image = upright(image)
        image = image if image.mode == mode else image.convert(mode)
        image.load()
        if preprocess is not None:
            p = preprocess
            image = fit(image, p.size, p.crop, p.interpolation, sides)
    except Image.UnidentifiedImageError:
        raise ValueError("is not an image that Pillow can read") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot be decoded ({error})") from None
    return np.asarray(image).reshape(image.height, image.width, channels)


def _resized(image, size, crop):
    """(height, width) that an image has before its middle is cut out, as `Preprocessing` does."""
    targets = [max(side, round(side / crop)) for side in size]
    factor = max(targets[0] / image.height, targets[1] / image.width)
    return (
        max(targets[0], round(image.height * factor)),
        max(targets[1], round(image.width * factor)),
    )


def fit(image, size, crop, interpolation, sides=None):
    """Brings an image of Pillow's to a size, with the geometry of `Preprocessing`.

    An image of that size is left as it is; others are resized, aspect ratio kept, and their middle
    is cut out. Pillow's pixels are the same on all backends.

    Args:
        image: The image.
        size: (height, width) in pixels.
        crop: The part of the resized image that is kept, in (0, 1].
        interpolation: "nearest", "bilinear" or "bicubic".
        sides: (height, width) before the middle is cut out, where `image` is a smaller draft of the
            one that they follow from.
    """
    if (image.height, image.width) == tuple(size):
        return image
    height, width = sides or _resized(image, size, crop)
    if (height, width) != (image.height, image.width):
        image = image.resize((width, height), pillow().Resampling[interpolation.upper()])
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image.crop((left, top, left + size[1], top + size[0]))


class Pictures(collections.abc.Sequence):
    """The images of a `zoo.tfds_folder.Split`, decoded when a slice of them is asked for.

    Args:
        split: The split.
        channels: 1 or 3, of each image.
        preprocess: A `Preprocessing` with the size to bring them to; None for their own.

    Example:
    >>> Pictures(split, 3)[:2][0].shape  # doctest: +SKIP
    (32, 32, 3)
    """

    def __init__(self, split, channels, preprocess=None):
        self._split, self._channels, self._preprocess = split, channels, preprocess
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
            return decode(file, self._channels, self._preprocess)
        except ValueError as error:
            where = f"{self._split.dataset} ({self._split.split})"
            raise OSError(f"image {number:,} of {where} {error}.") from None
