"""A small data set of our own: four kinds of stripes, no download."""

import io

import numpy as np

from training import packed


def png(array):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


# A T2T-ViT that learns them in four epochs.
VIT = ["depth=1", "embed_dim=64", "token_dim=32", "num_heads=2", "first_strides=4"]
CLASSES = ("narrow upright", "wide upright", "narrow level", "wide level")


def stripes(count, seed, split):
    """Noisy grey 32 x 32 stripes of two widths and two directions: four classes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    labels = np.arange(count) % 4
    data = []
    for label in labels:
        across, along = (x, y) if label < 2 else (y, x)
        position = across + rng.normal(0, 0.1) * along
        wave = np.sin(position * (1.0, 0.4)[label % 2] + rng.uniform(0, 2 * np.pi))
        image = 128 + 70 * wave + rng.normal(0, 20, wave.shape)
        data.append(png(np.clip(image, 0, 255).astype(np.uint8)))
    return packed.Encoded(data, labels, CLASSES, "stripes", split, 1)
