"""A folder of small pictures of two colours, which anything learns."""

import numpy as np

CLASSES = ("lemon", "lime")


def write(folder, count, classes=CLASSES, seed=0):
    """Writes so many noisy PNGs a class, red, green, … ; returns the folder."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    for channel, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 120, (10, 12, 3), dtype="uint8")
            pixels[..., channel % 3] += 120
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    return folder
