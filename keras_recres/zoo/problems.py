"""Problems of any size with known answers, made when they are asked for.

    prefix_sums/32   strings of 32 random bits; the answer of each place is the parity of all bits
                     up to it
    mazes/11         mazes of 11 × 11 pixels, a path wide; start and end are random cells, and the
                     answer of each pixel is whether it is on the path between them
    mazes/11-loops   with a tenth of the inner walls taken away, and one shortest path
    mazes/11-ends    start and end are dead ends

    vanderpol/10     random starts of van der Pol's oscillator, and where they are after 10 steps of
                     0.01 in time, numbers
    duffing/10       the same of Duffing's oscillator under a periodic force, with its phase

The first two are those of Bansal et al. (arXiv 2202.05826), in sizes of one's choice. Example i of
a split is the same on every machine, however many are asked for.
"""

import numpy as np

from keras_recres.zoo.mazes import draw
from keras_recres.zoo.tfds_folder import Split

SPLITS = {"train": 0, "test": 1}
# Drawn together: a number of examples asks for whole blocks.
BLOCK = 500


def parse(dataset):
    """The parts of a name.

    Args:
        dataset: "prefix_sums/32", "mazes/11", "mazes/11-loops".

    Returns:
        Name, size and variant, or None for the name of another data set.

    Raises:
        ValueError: The data set has no such size or variant.
    """
    name, _, rest = dataset.partition("/")
    if name not in PROBLEMS:
        return None
    size, dash, variant = rest.partition("-")
    _, least, step, variants, *_ = PROBLEMS[name]
    fine = size.isdecimal() and int(size) >= least and (int(size) - least) % step == 0
    if not fine or (dash and variant not in variants):
        examples = [f"{name}/{least}", f"{name}/{least + step}"]
        examples += [f"{name}/{least}-{variant}" for variant in variants]
        raise ValueError(
            f"{name} are called by their size, as in {', '.join(examples)}, not {dataset!r}."
        )
    return name, int(size), variant


def read(dataset, split, limit=None):
    """Examples and answers.

    Args:
        dataset: A name that `parse` takes.
        split: "train", "test" or "evaluation", which is "test".
        limit: How many; None for as many as a training has, or 1,000 of "test".

    Returns:
        A `Split` whose data are int8 (N, size, 1) or (N, size, size, 3) of zeros and ones, and
        whose labels are int64 (N, size) or (N, size, size); of dynamical systems data and labels
        are float32 (N, numbers).

    Raises:
        ValueError: For another name or another split.
    """
    name, size, variant = parse(dataset)
    split = "test" if split == "evaluation" else split
    if split not in SPLITS:
        raise ValueError(f"{dataset} has no split {split!r}, only {', '.join(SPLITS)}.")
    make, *_, train, classes = PROBLEMS[name]
    count = limit or (train if split == "train" else 1000)
    blocks = (
        make(np.random.default_rng((size, SPLITS[split], block)), min(BLOCK, count), size, variant)
        for block in range(-(-count // BLOCK))
    )
    data, labels = map(np.concatenate, zip(*blocks, strict=True))
    return Split(data[:count], labels[:count], classes, dataset, split, 0)


def strings(rng, count, bits, variant=""):
    """Bits (count, bits, 1) and their prefix sums modulo 2 (count, bits)."""
    # One after the other, so that fewer are the first of more.
    x = rng.integers(0, 2, (count, bits), dtype=np.int8)
    return x[..., None], np.cumsum(x, axis=1, dtype=np.int64) % 2


def mazes(rng, count, side, variant=""):
    """Mazes (count, side, side, 3) and their paths (count, side, side)."""
    pairs = [draw(rng, side, variant) for _ in range(count)]
    return tuple(np.stack(parts) for parts in zip(*pairs, strict=True))


def vanderpol(rng, count, steps, variant=""):
    """Of x'' = (1 − x²) x' − x, from a box around its limit cycle: (x, x') before and after."""

    def velocity(s):
        x, v = s.T
        return np.stack([v, (1 - x**2) * v - x], axis=1)

    return _followed(velocity, rng.uniform(-1, 1, (count, 2)) * (3, 4), steps)


def duffing(rng, count, steps, variant=""):
    """Of x'' = x − x³ − 0.2 x' + 0.3 cos φ, φ' = 1: (x, x', cos φ, sin φ) before and after."""

    def velocity(s):
        x, v, cosine, sine = s.T
        return np.stack([v, x - x**3 - 0.2 * v + 0.3 * cosine, -sine, cosine], axis=1)

    x, phase = rng.uniform(-2, 2, (count, 2)), rng.uniform(0, 2 * np.pi, count)
    return _followed(velocity, np.c_[x, np.cos(phase), np.sin(phase)], steps)


def _followed(velocity, start, steps):
    """Starts and ends, by four steps of the Runge-Kutta method in each of 0.01: to 1e-9."""
    s, dt = start, 0.01 / 4
    for _ in range(4 * steps):
        first = velocity(s)
        second = velocity(s + dt / 2 * first)
        third = velocity(s + dt / 2 * second)
        s = s + dt / 6 * (first + 2 * second + 2 * third + velocity(s + dt * third))
    return start.astype("float32"), s.astype("float32")


# Name → what makes them, the smallest size and from there on each how many-th, variants, how many a
# training has, and the names of the answers.
PROBLEMS = {
    "prefix_sums": (strings, 1, 1, (), 100_000, ("even", "odd")),
    "mazes": (mazes, 5, 2, ("loops", "ends"), 50_000, ("off", "path")),
    "vanderpol": (vanderpol, 1, 1, (), 50_000, ("x", "x'")),
    "duffing": (duffing, 1, 1, (), 50_000, ("x", "x'", "cos", "sin")),
}
