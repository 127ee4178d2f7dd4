"""The neocognitron: a cell of its own for each digit, wherever it lies; beside small networks.

Five digits of 8 × 6 pixels in images of 16 × 16, as in Fukushima's simulation of 1980. The
neocognitron has the paper's sizes and learns without labels: from each digit in the middle 5 times,
or 20 times from each at places that are drawn, a pixel aside at most or anywhere. Two convolutional
networks learn the labels of the same images in 200 steps of Adam: one reads its maps pixel by
pixel, one their means. All are asked about every digit at all 99 places at which it lies within the
image. A digit's cell is the one that answers most to it in the middle, a network's the label's; an
image is right if the digit's cell answers most and is no other digit's.
"""

import numpy as np

from training.ledger.summary import FINAL
from training.studies import drawings, sequences
from training.studies.effects import Cells
from training.studies.forms import Form, columns
from training.studies.trained_here import TrainedHere, counted

DIGITS = """
.####. ..#... .####. .####. ....#.
#....# ..#... #....# #....# ...##.
#....# ..#... .....# .....# ..#.#.
#....# ..#... ....#. ..###. .#..#.
#....# ..#... ...#.. .....# ######
#....# ..#... ..#... .....# ....#.
#....# ..#... .#.... #....# ....#.
.####. ..#... ###### .####. ....#.
"""
SIDE, HEIGHT, WIDTH, COUNT = 16, 8, 6, 5
DOWN, ACROSS = SIDE - HEIGHT + 1, SIDE - WIDTH + 1
MIDDLE = DOWN // 2, ACROSS // 2
PLACES = [(i, j) for i in range(DOWN) for j in range(ACROSS)]
# How far each is aside.
ASIDE = np.array([max(abs(i - MIDDLE[0]), abs(j - MIDDLE[1])) for i, j in PLACES])
# Where digits are seen: in words, pixels aside at most, presentations.
WHERE = {
    "middle": ("in the middle", 0, 5),
    "near": ("a pixel aside at most", 1, 20),
    "anywhere": ("anywhere", ASIDE.max(), 20),
}
KINDS = {
    "neocognitron": "neocognitron",
    "dense": "convolutions, a dense head",
    "mean": "convolutions, means of maps",
}
STEPS, RATE, NEAR_KEY = 200, 1e-2, "near_accuracy"


def _cells(row):
    found = [str(m["cells"]) for m in row.measured.metrics.values()]
    return " ".join(found)


class NeocognitronStudy(TrainedHere):
    examples = ("", "--arms 'neocognitron_*'", "--report")
    columns = columns(
        "network",
        ("digits seen", lambda row: WHERE[row.form.name][0]),
        ("parameters", counted),
        ("digits with a cell of their own", _cells),
        ("right at all places, %", lambda row: row.measured.text(FINAL)),
        ("a pixel aside at most, %", lambda row: row.measured.text(NEAR_KEY)),
        "seeds",
    )
    words = 2

    def title(self, a):
        return f"{COUNT} digits at {len(PLACES)} places"

    def forms(self, a):
        # Of the neocognitron that sees digits in the middle nothing is drawn.
        return [
            Form(
                f"{kind}_{where}",
                where,
                what,
                {"kind": kind},
                seeds=1 if (kind, where) == ("neocognitron", "middle") else None,
            )
            for where in WHERE
            for kind, what in KINDS.items()
        ]

    def learn(self, form, seed, a, path):
        import keras

        from keras_recres import models

        kind, where = form.arguments["kind"], form.name
        images, labels = presented(where, seed)
        if kind == "neocognitron":
            model = models.neocognitron()
            models.self_organize(model, images, presentations=1)
        else:
            model = network(kind)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            epochs = STEPS * COUNT // len(images)
            sequences.learn(model, images, labels, loss, RATE, batch=COUNT, epochs=epochs)
        answers = model.predict(digits(PLACES), batch_size=99, verbose=0)
        right, cells = judged(
            answers.reshape(len(PLACES), COUNT, -1), labelled=kind != "neocognitron"
        )
        np.save(path / "right.npy", right)
        return {
            FINAL: float(right.mean()),
            NEAR_KEY: float(right[ASIDE < 2].mean()),
            "cells": cells,
            "parameters": model.count_params(),
        }

    def claims(self, table, a):
        cells = Cells({label: row.measured.values(NEAR_KEY) for label, row in table.items()})
        for where, (told, *_) in WHERE.items():
            one = f"neocognitron_{where}"
            for kind in ("dense", "mean"):
                other, what = f"{kind}_{where}", f"neocognitron against {KINDS[kind]}"
                yield from self.compared(table, f"Digits seen {told}: {what}", one, other)
                if one in table and other in table:
                    what = f"Digits seen {told}, asked a pixel aside at most: {what}"
                    yield what, cells.difference(one, other)

    def draw(self, table, path, a):
        """For each network the share of digits that are right, by place."""
        extent = (-MIDDLE[1] - 0.5, MIDDLE[1] + 0.5, MIDDLE[0] + 0.5, -MIDDLE[0] - 0.5)
        grid = len(WHERE), len(KINDS)
        with drawings.figure(path, (9, 7.5), *grid, sharex=True, sharey=True) as (whole, axes):
            for axis, form in zip(axes.flat, self.forms(a), strict=True):
                axis.set_title(f"{form.what}\nseen {WHERE[form.name][0]}", fontsize=8)
                runs = table[form.label].runs if form.label in table else []
                files = [run.path / "right.npy" for run in runs]
                right = [np.load(file) for file in files if file.exists()]
                if right:
                    share = np.mean(right, axis=(0, 2)).reshape(DOWN, ACROSS)
                    shown = axis.imshow(share, vmin=0, vmax=1, extent=extent)
            whole.supxlabel("pixels to the right")
            whole.supylabel("pixels down")
            whole.colorbar(shown, ax=axes, label="share of digits that are right")


def digits(places):
    """0 to 4 at each place (from the top, from the left), float32 (5 · places, 16, 16, 1)."""
    rows = np.array([[*row.replace(" ", "")] for row in DIGITS.split("\n")[1:-1]]) == "#"
    drawn = np.moveaxis(rows.reshape(HEIGHT, COUNT, WIDTH), 1, 0)
    images = np.zeros((len(places), COUNT, SIDE, SIDE, 1), "float32")
    for image, (i, j) in zip(images, places, strict=True):
        image[:, i : i + HEIGHT, j : j + WIDTH, 0] = drawn
    return images.reshape(-1, SIDE, SIDE, 1)


def presented(where, seed):
    """The images that are learnt from, in their order, and their labels."""
    _, aside, count = WHERE[where]
    labels, places = np.tile(np.arange(COUNT), count), np.flatnonzero(aside >= ASIDE)
    drawn = np.random.default_rng(seed).choice(places, len(labels))
    images = digits([PLACES[k] for k in drawn]).reshape(-1, COUNT, SIDE, SIDE, 1)
    return images[np.arange(len(labels)), labels], labels


def network(head):
    """A network of two convolutions: logits (batch, 5) of images (batch, 16, 16, 1)."""
    import keras

    x = inputs = keras.Input((SIDE, SIDE, 1))
    for i, filters in enumerate((8, 16), 1):
        conv = keras.layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{i}")
        x = keras.layers.MaxPooling2D(2, name=f"pool{i}")(conv(x))
    if head == "dense":
        x = keras.layers.Flatten(name="flat")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, keras.layers.Dense(COUNT, name="logits")(x))


def judged(answers, labelled):
    """Which images are right.

    Args:
        answers: of each cell, (places, digits, cells).
        labelled: whether cell k is digit k's; else it is the one that answers most in the middle.

    Returns:
        Booleans (places, digits), and how many digits have a cell of their own.
    """
    winners = answers.argmax(-1)
    (middle,) = winners[ASIDE == 0]
    cells = np.arange(COUNT) if labelled else middle
    own = np.bincount(cells)[cells] == 1
    return (winners == cells) & (answers.max(-1) > answers.min(-1)) & own, int(own.sum())


STUDY = NeocognitronStudy()
