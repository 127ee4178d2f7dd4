"""Moving MNIST: films of two digits that move and bounce, drawn from our MNIST.

    films = data.load("moving_mnist", "train", data_dir=DIR, limit=100)
    seen, to_come = films.images, films.labels

The task is that of arXiv 1506.04214; its films are not these.
"""

import numpy as np

from keras_recres.zoo.tfds_folder import Split

SIDE, FRAMES, DIGITS = 64, 20, 2
# Pixels that a digit moves in a frame.
SPEEDS = 3.0, 5.0
# How many films a split has, as many as the paper's has to train, and their seed.
SPLITS = {"train": (10_000, 0), "test": (1_000, 1)}


def films(digits, count, seed=0, frames=FRAMES, side=SIDE, moving=DIGITS, dtype="float32"):
    """Draws films; film i of a seed is the same, however many are drawn.

    Args:
        digits: Images (N, height, width) or (N, height, width, 1) of 0 to 255, no larger than a
            frame.
        count: How many films.
        seed: Of the draws.
        frames: Even number of frames of a film.
        side: Height and width of a frame in pixels.
        moving: Digits in a film. Each has a direction and a speed of its own, and the brighter of
            two pixels is seen where they meet.
        dtype: Of the films.

    Returns:
        Two arrays (count, frames / 2, side, side, 1) of 0 to 1: the first half of each
        film and the second.

    Raises:
        ValueError: If `frames` is odd, or the digits are larger than a frame.
    """
    digits = np.asarray(digits).reshape(len(digits), *np.shape(digits)[1:3])
    room = np.array([side - size for size in digits.shape[1:]])
    if frames % 2 or frames < 2:
        raise ValueError(f"`frames` must be even and at least 2, but it is {frames!r}.")
    if room.min() < 1:
        raise ValueError(
            f"`side` must be larger than the digits, {digits.shape[1]} × {digits.shape[2]}, but it "
            f"is {side!r}."
        )
    found = np.empty((count, frames, side, side, 1), dtype)
    for i in range(count):
        film = np.zeros((frames, side, side), "uint8")
        rng = np.random.default_rng((seed, i))
        for _ in range(moving):
            digit = digits[rng.integers(len(digits))]
            angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(*SPEEDS)
            step = speed * np.array([np.sin(angle), np.cos(angle)])
            way = rng.uniform(0, room) + np.arange(frames)[:, None] * step
            # Reflected at the edges: along a line of twice the room, there and back.
            places = np.rint(room - np.abs(way % (2 * room) - room)).astype(int)
            for frame, (row, column) in zip(film, places, strict=True):
                part = frame[row : row + digit.shape[0], column : column + digit.shape[1]]
                np.maximum(part, digit, out=part)
        found[i] = film[..., None] / np.float32(255)
    return found[:, : frames // 2], found[:, frames // 2 :]


def read(digits, split, limit=None):
    """The films of a split, of the digits of MNIST's, in half precision, which takes half the room.

    Args:
        digits: As in `films`.
        split: "train" or "test".
        limit: How many; None for all.

    Returns:
        A `Split`, whose data are what is seen and whose labels are what comes.
    """
    count, seed = SPLITS[split]
    seen, to_come = films(digits, limit or count, seed, dtype="float16")
    return Split(seen, to_come, ("grey",), "moving_mnist", split, 0)
