"""Crops, shears, shifts and turns of batches of pixels, by Pillow.

Keras has layers for them, whose `ops.image.affine_transform` takes 20 to 50 ms for an image of
224 × 224 on a processor where Pillow takes 2 to 7. Pixels are rounded to whole grey levels, as in
the recipe's reference.
"""

import functools

import numpy as np
from PIL import Image

# What moves in from outside: ImageNet's mean colour, and its luminance.
FILL = {3: (124, 116, 104), 1: 117}


def random_crop(rng, batch, area=(0.08, 1.0), ratio=(3 / 4, 4 / 3)):
    """Cuts a random rectangle out of each image and brings it to the image's size, bicubically.

    Args:
        rng: a `numpy.random.Generator`.
        batch: array (B, H, W, C), pixels in [0, 255], of 1 or 3 channels.
        area: range of the rectangle's share of the image (arXiv 1409.4842).
        ratio: range of its width over its height, drawn evenly in the logarithm.

    Returns:
        A float32 array of that shape and range.
    """
    count, height, width, _ = batch.shape
    share = rng.uniform(*area, count)
    slope = np.exp(rng.uniform(*np.log(ratio), count))
    tall = np.minimum(height, np.sqrt(share * height * width / slope))
    wide = np.minimum(width, np.sqrt(share * height * width * slope))
    top = rng.random(count) * (height - tall)
    left = rng.random(count) * (width - wide)
    # Rounding must not take a box over the edge.
    right, bottom = np.minimum(left + wide, width), np.minimum(top + tall, height)
    boxes = np.stack([left, top, right, bottom], axis=1)
    return _each(
        lambda image, box: image.resize((width, height), Image.Resampling.BICUBIC, box=tuple(box)),
        batch,
        boxes,
    )


# What each operation reads at an output point, of strength s from -1 to 1 and for a width and a
# height: (a, b, d, e) of the matrix about the middle of the image, then the shift in pixels.
MATRICES = (
    lambda s, width, height: ((1, 0.3 * s, 0, 1), (0, 0)),
    lambda s, width, height: ((1, 0, 0.3 * s, 1), (0, 0)),
    lambda s, width, height: ((1, 0, 0, 1), (0, 0.45 * s * height)),
    lambda s, width, height: ((1, 0, 0, 1), (0.45 * s * width, 0)),
    lambda s, width, height: (_rotation(np.radians(30 * s)), (0, 0)),
)


def operations(magnitude, deviation=0.5):
    """The geometric operations of RandAugment (arXiv 1909.13719).

    Args:
        magnitude: 0 to 10; each image's strength is normal about it, clipped to that range.
        deviation: of the strength.

    Returns:
        Functions of (rng, batch) to a batch, as `random_crop` is one: both shears, up to 0.3; both
        shifts, up to 0.45 of the side; the turn, up to 30°. Each image draws its direction.
    """
    return [functools.partial(_moved, matrix, magnitude, deviation) for matrix in MATRICES]


def _rotation(angle):
    return np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)


def _moved(matrix, magnitude, deviation, rng, batch):
    strength = np.clip(rng.normal(magnitude, deviation, len(batch)), 0, 10) / 10
    strength *= rng.choice([-1, 1], len(batch))
    fill = FILL[batch.shape[-1]]
    return _each(
        lambda image, s: _transformed(image, *matrix(s, *image.size), fill), batch, strength
    )


def _transformed(image, linear, shift, fill):
    a, b, d, e = linear
    centre = np.array(image.size) / 2
    c, f = centre - np.reshape(linear, (2, 2)) @ centre + shift
    how = Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    return image.transform(image.size, *how, fillcolor=fill)


def _each(function, batch, arguments):
    """The batch of function(image of Pillow, argument), image by image."""
    pixels = np.clip(np.rint(batch), 0, 255).astype(np.uint8)
    out = np.empty(batch.shape, np.float32)
    for i, (image, argument) in enumerate(zip(pixels, arguments, strict=True)):
        grey = image.shape[-1] == 1
        moved = function(Image.fromarray(image[..., 0] if grey else image), argument)
        out[i] = np.asarray(moved, np.float32).reshape(image.shape)
    return out
