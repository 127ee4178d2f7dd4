"""How often recurrent blocks run in training: drawn for every batch, or more with every epoch.

    uniform(1,4)      each of 1 … 4 equally often
    poisson(2)        Poisson of mean 2; a 0 counts as 1, what is beyond ⌈λ + 3√λ⌉ as that
    progressive(1,4)  1 in the first quarter of the epochs, … 4 in the last
    incremental(30)   n of 0 … 29 without gradients, then k of 1 … 30 − n with: what is left to do
                      from wherever the first steps led (after arXiv 2202.05826; the whole loss)

One number holds for all recurrent blocks of the network. It follows from seed, epoch and batch
alone, so that a training that goes on draws what it would have drawn.
"""

import dataclasses
import math
import re
import statistics

import numpy as np

from training.errors import UserError, nearest

KINDS = {"uniform": 2, "poisson": 1, "progressive": 2, "incremental": 1}
EXAMPLES = "uniform(1,4), poisson(2), progressive(1,4) or incremental(30)"


@dataclasses.dataclass(frozen=True)
class Steps:
    """What `parse` reads: a name of `KINDS` and its numbers."""

    kind: str
    numbers: tuple

    @property
    def most(self):
        """The largest number of steps."""
        if self.kind == "poisson":
            rate = self.numbers[0]
            return math.ceil(rate + 3 * math.sqrt(rate))
        return int(self.numbers[-1])

    @property
    def fewest(self):
        """The smallest one."""
        return 1 if len(self.numbers) == 1 else int(self.numbers[0])

    def draw(self, seed, epoch, batch, epochs):
        """Steps of a batch.

        Args:
            seed: the training's.
            epoch: from 0.
            batch: its number in the epoch, from 0.
            epochs: epochs in all.
        """
        if self.kind == "progressive":
            return self.fewest + (self.most - self.fewest + 1) * epoch // epochs
        if self.kind == "incremental":
            return sum(self._incremental(seed, epoch, batch))
        rng = _generator(seed, epoch, batch)
        if self.kind == "uniform":
            return int(rng.integers(self.fewest, self.most + 1))
        return int(np.clip(rng.poisson(self.numbers[0]), 1, self.most))

    def backprop_steps(self, seed, epoch, batch):
        """How many of a batch's steps, the last ones, have gradients; None for all, as most do."""
        if self.kind == "incremental":
            return self._incremental(seed, epoch, batch)[1]
        return None

    def _incremental(self, seed, epoch, batch):
        rng = _generator(seed, epoch, batch)
        without = int(rng.integers(self.most))
        return without, int(rng.integers(1, self.most - without + 1))

    def average(self, epoch, epochs):
        """About the mean number of steps of an epoch's batches."""
        return statistics.mean(self.draw(0, epoch, batch, epochs) for batch in range(200))


def _generator(seed, epoch, batch):
    # Four numbers: the batch's own generator has three.
    return np.random.default_rng((seed, epoch, batch, 1))


def parse(text):
    """Reads what --steps is given; None where it is plain numbers, or nothing.

    Raises:
        UserError: it is neither.

    Example:
        >>> parse("uniform(1,4)").draw(seed=0, epoch=0, batch=0, epochs=1) in (1, 2, 3, 4)
        True
    """
    if not text or "(" not in text:
        return None
    match = re.fullmatch(r"\s*(\w+)\s*\(([^()]*)\)\s*", text)
    if match and match[1] not in KINDS:
        raise UserError(
            f"--steps knows no {match[1]!r}.{nearest(match[1], KINDS)} It takes numbers such as "
            f"2,4,2, or {EXAMPLES}."
        )
    try:
        kind = match[1]
        numbers = tuple(map(float, match[2].split(",")))
        fine = len(numbers) == KINDS[kind] and all(map(math.isfinite, numbers))
        if kind == "poisson":
            fine = fine and 0 < numbers[0] <= 100
        else:
            fine = fine and all(n == int(n) for n in numbers) and 1 <= numbers[0] <= numbers[-1]
    except (TypeError, ValueError, IndexError):
        fine = False
    if not fine:
        raise UserError(
            f"--steps takes {EXAMPLES}, with whole numbers from 1 upwards, and for poisson a mean "
            f"above 0 and up to 100, found {text!r}."
        )
    return Steps(kind, numbers)
