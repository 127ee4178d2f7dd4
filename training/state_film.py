"""The moving picture of docs/more_steps.md: the state of `prefix_sum_rec` while it solves a string.

    python -m training.state_film [FILE]

A frame a step, from above: the bits, the channels of the state, and whether each place's answer,
read off this state, is right.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_recres import zoo
from keras_recres.zoo import problems
from training.files import replacing

FILE = Path(__file__).resolve().parents[1] / "docs" / "more_steps.webp"
BITS, STEPS = 128, 50
# Pixels of a cell, milliseconds of a frame and of the last one.
CELL, FRAME, LAST = 5, 200, 3000
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (225, 225, 225)
# Okabe and Ito's blue and vermilion: apart for every kind of colour vision.
RIGHT, WRONG, STATE = (0, 114, 178), (213, 94, 0), (70, 20, 90)


def solve(bits=BITS, steps=STEPS):
    """What `prefix_sum_rec` thinks of the first test string.

    Returns:
        The string (bits,), the state after each step (steps, bits, channels), and whether each
        answer is right (steps, bits).
    """
    problem = problems.read(f"prefix_sums/{bits}", "test", 1)
    model = zoo.load("prefix_sum_rec", input_shape=(bits, 1))
    think = model.get_layer("think")
    start = keras.Model(model.input, think.input)(problem.data.astype("float32"))
    states = think(start, steps=steps, return_states=True)[:, 0]
    answers = states
    for layer in model.layers[model.layers.index(think) + 1 :]:
        answers = layer(answers)
    right = keras.ops.convert_to_numpy(answers).argmax(axis=-1) == problem.labels
    return problem.data[0, :, 0], keras.ops.convert_to_numpy(states), right


def colours(state):
    """Cells (bits, channels) from 0, white, to 2 and more, as rows of pixels."""
    # Few colours: the file is smaller, and nobody sees it.
    share = np.round(12 * np.clip(state.T / 2, 0, 1))[..., None] / 12
    return (255 + share * (np.array(STATE) - 255)).astype("uint8")


def frame(bits, state, right, step):
    """One picture."""
    font = ImageFont.load_default(14)
    rows = np.where(bits[None, :, None], BLACK, GREY).astype("uint8")
    verdict = np.where(right[None, :, None], RIGHT, WRONG).astype("uint8")
    parts = (
        ("bits: 1 black, 0 grey", rows, 3),
        ("state, a row a channel", colours(state), 1),
        (f"answers after step {step}: {right.sum()} of {len(right)} right", verdict, 3),
    )
    height = sum(24 + CELL * tall * len(pixels) for _, pixels, tall in parts) + 8
    picture = Image.new("RGB", (CELL * len(bits) + 16, height), WHITE)
    draw, y = ImageDraw.Draw(picture), 4
    for title, pixels, tall in parts:
        draw.text((8, y), title, BLACK, font)
        size = (CELL * pixels.shape[1], CELL * tall * pixels.shape[0])
        picture.paste(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), (8, y + 20))
        y += 24 + size[1]
    return picture


def main(file=FILE):
    bits, states, right = solve()
    frames = [
        frame(bits, *of_step, i + 1) for i, of_step in enumerate(zip(states, right, strict=True))
    ]
    times = [FRAME] * (len(frames) - 1) + [LAST]
    with replacing(file) as aside:
        frames[0].save(
            aside, save_all=True, append_images=frames[1:], duration=times, loop=0, lossless=True,
            method=6, minimize_size=True,
        )  # fmt: skip
    print(f"{file}: {len(frames)} frames, {Path(file).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
