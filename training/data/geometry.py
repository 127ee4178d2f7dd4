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
# Rectangles drawn for an image, of which the first that fits is taken, and their width over height.
TRIES, RATIO = 10, (3 / 4, 4 / 3)


def draw_crops(rng, count, area=(0.08, 1.0), ratio=RATIO):
    """Draws a random rectangle for each of so many images, whatever size they have.

    Args:
        rng: a `numpy.random.Generator`.
        count: number of images.
        area: range of a rectangle's share of its image (arXiv 1409.4842).
        ratio: range of its width over its height, drawn evenly in the logarithm.

    Returns:
        An array (count, 2 * TRIES + 3) for `crop`: shares; ratios; where the rectangle lies in what
        it leaves of the height and of the width, 0 to 1; and 1 for bicubic interpolation, 0 for
        bilinear, drawn evenly.
    """
    shares = rng.uniform(*area, (count, TRIES))
    ratios = np.exp(rng.uniform(*np.log(ratio), (count, TRIES)))
    places, bicubic = rng.random((count, 2)), rng.integers(0, 2, (count, 1))
    return np.concatenate([shares, ratios, places, bicubic], axis=1)


def crop(image, drawn, size):
    """Cuts a drawn rectangle out of an image and brings it to a size.

    Args:
        image: a `PIL.Image.Image`.
        drawn: a row of what `draw_crops` gives. Where no rectangle fits, it is the largest in the
            middle of the image with a ratio in `RATIO`.
        size: (height, width) in pixels.

    Returns:
        A `PIL.Image.Image`.
    """
    shares, ratios, (down, along, bicubic) = np.split(drawn, [TRIES, 2 * TRIES])
    sides = np.array([image.height, image.width])
    boxes = np.sqrt(shares * sides.prod())[:, None] * np.stack([ratios**-0.5, ratios**0.5], axis=1)
    fitting = np.flatnonzero((boxes <= sides).all(axis=1))
    if len(fitting):
        box = boxes[fitting[0]]
    else:
        ratio = np.clip(image.width / image.height, *RATIO)
        box, down, along = np.minimum(sides, sides[::-1] * (1 / ratio, ratio)), 0.5, 0.5
    top, left = (down, along) * (sides - box)
    # Rounding must not take a box over the edge.
    bottom, right = np.minimum((top + box[0], left + box[1]), sides)
    where = max(left, 0), max(top, 0), right, bottom
    resampling = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return image.resize((size[1], size[0]), resampling, box=where)


def crops(batch, drawn):
    """Cuts a drawn rectangle out of each image and brings it to the images' size.

    Args:
        batch: array (B, H, W, C), pixels in [0, 255], of 1 or 3 channels.
        drawn: what `draw_crops` gives for B images.

    Returns:
        An array of that shape, range and dtype.
    """
    return _each(lambda image, row: crop(image, row, batch.shape[1:3]), batch, drawn)


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
        Functions of (rng, batch) to a batch of the same shape and dtype: both shears, up to 0.3;
        both shifts, up to 0.45 of the side; the turn, up to 30°. Each image draws its direction.
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
    pixels = batch if batch.dtype == np.uint8 else np.clip(np.rint(batch), 0, 255).astype(np.uint8)
    out = np.empty_like(batch)
    for i, (image, argument) in enumerate(zip(pixels, arguments, strict=True)):
        grey = image.shape[-1] == 1
        moved = function(Image.fromarray(image[..., 0] if grey else image), argument)
        out[i] = np.asarray(moved).reshape(image.shape)
    return out
