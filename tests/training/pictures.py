"""A small data set of our own: stripes in four directions, no download."""

import io

import numpy as np

from training import packed


def png(array):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def stripes(count, seed, split):
    """Noisy grey 32 x 32 stripes; the class is the direction, so mirroring would change two."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    labels = np.arange(count) % 4
    data = []
    for label in labels:
        angle = label * np.pi / 4 + rng.normal(0, 0.08)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 0.8 + rng.uniform(0, 6.3))
        image = 128 + 70 * wave + rng.normal(0, 20, wave.shape)
        data.append(png(np.clip(image, 0, 255).astype(np.uint8)))
    return packed.Encoded(data, labels, ("0", "45", "90", "135"), "stripes", split, 1)
