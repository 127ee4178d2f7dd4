"""The paper's claims about curvature, tested: its order, its growth, its tie to accuracy."""

import dataclasses
import itertools

import numpy as np

from keras_recres.probes import measures
from training.studies.effects import Cells

# Curvature of a network in one number, in its last block: functions of a `Probed` and the names
# of curves. Dilating the output divides κ, but does not change the turning rate κ|v|/|ẋ|.
KAPPA, RATE = "median of κ", "median turning rate"
MEASURES = {
    KAPPA: lambda one, names: float(np.median(one.kappa(names)[-1])),
    RATE: lambda one, names: float(np.median(one.rate(names)[-1])),
    "mean of κ": lambda one, names: float(np.mean(one.kappa(names)[-1])),
    "mean turning rate": lambda one, names: float(np.mean(one.rate(names)[-1])),
}


@dataclasses.dataclass(frozen=True)
class Order:
    """Whether one kind of network has more curvature than another, by one of `MEASURES`.

    Attributes:
        more: Name of the kind that should have more.
        less: Name of the other.
        medians: Their medians.
        share: Part of all pairs of networks in which it has; ties count half.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        pairs: Number of pairs.
    """

    more: str
    less: str
    medians: tuple
    share: float
    low: float
    high: float
    pairs: int

    @property
    def verdict(self):
        """One of "holds", "fails", and "undecided" where the interval has one half in it."""
        if self.low > 0.5:
            return "holds"
        return "fails" if self.high < 0.5 else "undecided"

    def __str__(self):
        return (
            f"{self.more} above {self.less}: {self.verdict} (medians {self.medians[0]:.3g} and "
            f"{self.medians[1]:.3g}; in {100 * self.share:.0f} % of the pairs, 95 % interval "
            f"{100 * self.low:.0f} to {100 * self.high:.0f} %)"
        )


def order(more, less, names, samples=2000):
    """Compares the curvature of two kinds of networks.

    Args:
        more: A number for each network of the kind that should have more.
        less: The same for the other kind.
        names: The pair of names.
        samples: Bootstrap samples, drawn of the networks of each kind.
    """
    a, b = np.asarray(more, "float64"), np.asarray(less, "float64")
    share = _share(a, b)
    rng = np.random.default_rng(0)
    shares = [_share(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(samples)]
    low, high = np.quantile(shares, (0.025, 0.975))
    medians = (float(np.median(a)), float(np.median(b)))
    return Order(*names, medians, share, float(low), float(high), a.size * b.size)


def ratios(probed, chain, names, measure=KAPPA):
    """Sentences: how many times the curvature of a network the next one in the chain has.

    Logarithms are compared as accuracies are, by `training.studies.effects`.
    """
    value = MEASURES[measure]
    of = {
        name: {o.seed: float(np.log(value(o, names))) for o in probed if o.network == name}
        for name in chain
    }
    cells, said = Cells(of), []
    for less, more in itertools.pairwise(name for name in chain if of[name]):
        found = cells.difference(more, less)
        told = f"{more} has {np.exp(found.mean):.2f} times the {measure} of {less}"
        if found.interval:
            low, high = np.exp(found.interval)
            told += f" (95 % interval {low:.2f} to {high:.2f}, {found.seeds} networks, spread of "
            told += "the logarithm pooled)"
        said.append(f"{told}.")
    return said


def _share(a, b):
    return float(np.mean((np.sign(a[:, None] - b) + 1) / 2))


def orders(probed, chain, names, measure=KAPPA):
    """`Order`s of neighbours in a chain of kinds, from the least to the most curvature.

    Args:
        probed: List of `Probed`.
        chain: Names of networks; one that is absent is skipped.
        names: Names of the curves.
        measure: A key of `MEASURES`.
    """
    value = MEASURES[measure]
    of = {name: [value(one, names) for one in probed if one.network == name] for name in chain}
    there = [name for name in chain if of[name]]
    return [order(of[more], of[less], (more, less)) for less, more in itertools.pairwise(there)]


def growth(values):
    """Spearman's ρ of depth and the median over θ, from values (blocks, θ)."""
    medians = np.median(values, axis=1)
    if len(medians) < 4:
        return float("nan")
    depth = np.arange(len(medians))
    return measures.rank_correlation(depth, medians, interval="fisher").value


def correlations(probed, names):
    """Rank correlations of curvature with accuracy.

    Args:
        probed: Trained networks.
        names: Names of the curves.

    Returns:
        {measure: {"all" or the network's name: `Correlation`}}.
    """
    accuracy = np.array([one.accuracy for one in probed])
    kinds = np.array([one.network for one in probed])
    found = {}
    for measure, value in MEASURES.items():
        x = np.array([value(one, names) for one in probed])
        found[measure] = {"all": measures.rank_correlation(x, accuracy, groups=kinds)}
        for kind in dict.fromkeys(kinds):
            where = kinds == kind
            if where.sum() >= 4:
                found[measure][str(kind)] = measures.rank_correlation(x[where], accuracy[where])
    return found
