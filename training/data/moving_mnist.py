"""Moving MNIST: films of two digits that move and bounce, drawn from our MNIST.

    from training.data import moving_mnist

    seen, to_come = moving_mnist.read("train", count=1000, data_dir=DIR)
    model = zoo.load("conv_lstm_moving_mnist", weights=None)
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(seen, to_come)

The task is that of arXiv 1506.04214; its films are not these.
"""

import numpy as np

from training import data

SIDE, FRAMES, DIGITS = 64, 20, 2
# Pixels that a digit moves in a frame.
SPEEDS = 3.0, 5.0


def films(digits, count, seed=0, frames=FRAMES, side=SIDE, moving=DIGITS):
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

    Returns:
        Two float32 arrays (count, frames / 2, side, side, 1) of 0 to 1: the first half of each
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
    found = np.zeros((count, frames, side, side), "uint8")
    for i, film in enumerate(found):
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
    found = (found[..., None] / np.float32(255)).astype("float32")
    return found[:, : frames // 2], found[:, frames // 2 :]


def read(split, count, seed=0, data_dir=None):
    """Films of the prepared MNIST's digits, of its split "train" or "test"."""
    return films(data.load("mnist", split, data_dir=data_dir).images, count, seed)
