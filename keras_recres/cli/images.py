"""Image files as arrays, and arrays as what a network takes."""

import io

import numpy as np

from keras_recres.cli.errors import Failure, UserError


def pillow():
    """Pillow's `Image` module; says what to install where it is missing."""
    try:
        from PIL import Image
    except ImportError:
        raise Failure("reading images needs Pillow: pip install 'keras-recres[cli]'.") from None
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
    mode = {1: "L", 3: "RGB"}[channels]
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


def channels_of(record, tag):
    """How many channels a network's images have; refuses networks that take no images."""
    shape = record.arguments_of(tag).get("input_shape", ())
    if record.preprocessing is None or len(shape) != 3 or shape[-1] not in (1, 3):
        raise UserError(f"{record.name} takes {tuple(shape) or 'points'}, not images.")
    return shape[-1]
