"""One network, probed along several curves."""

import dataclasses
import itertools

import numpy as np
from keras import ops

from keras_recres.probes import extrinsic_curvature, measures
from keras_recres.probes.curves import Curve


@dataclasses.dataclass(frozen=True)
class Probed:
    """What the curvature probe found in one network.

    Attributes:
        network: Its name in the zoo.
        weights: "trained" or "random".
        seed: Which training, or which random weights.
        records: {name of the curve: `CurvatureRecord`}, all with the same rows.
        stretches: {name of the curve: what `measures.stretch` says of the record}.
        accuracy: Measured, in [0, 1]; None for random weights.
        loss: Cross-entropy in nats, or None.
    """

    network: str
    weights: str
    seed: int
    records: dict
    stretches: dict
    accuracy: float | None = None
    loss: float | None = None

    @property
    def rows(self):
        """Names of the layers, and of their steps."""
        return next(iter(self.records.values())).names

    @property
    def blocks(self):
        """Indices of the rows that are (a step of) a residual block; -1 of them is the last."""
        return [i for i, name in enumerate(self.rows) if name.startswith("block")]

    @property
    def last_steps(self):
        """Which of the blocks' rows are the last step of their block, booleans."""
        rows = next(iter(self.records.values())).rows
        layers = [rows[i][0] for i in self.blocks]
        return [a != b for a, b in itertools.pairwise([*layers, None])]

    def kappa(self, names):
        """κ in the blocks along all the curves of these names together, (blocks, all their θ)."""
        return np.concatenate([self.records[n].kappa[self.blocks] for n in names], axis=1)

    def rate(self, names):
        """The turning rate κ |v| / |ẋ| in the blocks, radians per unit of input, shaped alike."""
        rates = [self.stretches[n]["turning_rate"][self.blocks] for n in names]
        return np.concatenate(rates, axis=1)

    def stretch(self, names):
        """Median over these curves of the length in the last block over the input's length."""
        return float(np.median([self.stretches[n]["stretch"][self.blocks[-1]] for n in names]))


def probe(model, curves, count, advance, layers=None, joined=None, batch_size=64, **facts):
    """Probes one model along several curves.

    Args:
        model: The model.
        curves: {name: `Curve`}.
        count: Number of θ on each curve.
        advance: Function of the θ just done.
        layers: Names of the layers to look at; None for all.
        joined: `join(curves)`; the same object every time, so that a model is compiled for it
            once. None makes it.
        batch_size: Number of θ at once.
        **facts: Other fields of `Probed`.
    """
    whole = extrinsic_curvature(
        model,
        joined or join(curves),
        np.concatenate([i + (np.arange(count) + 0.5) / count for i in range(len(curves))]),
        layers=layers,
        batch_size=batch_size,
    )
    records, stretches = {}, {}
    for i, (name, curve) in enumerate(curves.items()):
        mine = slice(i * count, (i + 1) * count)
        low, high = curve.interval
        records[name] = dataclasses.replace(
            whole,
            theta=curve.theta(count),
            kappa=whole.kappa[:, mine],
            # The joined curve runs through this one in one unit of θ.
            speed=whole.speed[:, mine] / (high - low),
            kinks=None,
            interval=curve.interval,
            closed=curve.closed,
        )
        stretches[name] = measures.stretch(records[name], curve)
    advance(count * len(curves))
    return Probed(records=records, stretches=stretches, **facts)


def join(curves):
    """One `Curve` that is the i-th of several where i < θ < i + 1, to compile a model for once."""
    parts = list(curves.values())

    def function(theta):
        begin = ops.floor(ops.stop_gradient(theta))
        x = None
        for i, part in enumerate(parts):
            low, high = part.interval
            here = part(low + (high - low) * (theta - begin))
            mine = ops.reshape(begin == i, (-1, *[1] * len(part.shape)))
            x = here if x is None else ops.where(mine, here, x)
        return x

    return Curve(function, (0, len(parts)), parts[0].shape, name="joined")
