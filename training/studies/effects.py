"""What one arm of a study is better by than another, from a few seeds of each network.

A cell is one network: its accuracies, one a seed. Different networks share nothing but a seed's
number, so that pairing by seed removes nothing. What few seeds tell is how far seeds of one network
spread, and all cells tell it together:

    s² = Σ_i Σ_j (y_ij − ȳ_i)² / ν,   ν = Σ_i (n_i − 1)
    d = Σ_i c_i ȳ_i,   error = s (Σ_i c_i² / n_i)^½,   d ± t_{ν, 0.975} · error

with c = 1 and −1 for the two cells of a difference, and ±1/k for the mean of k differences. The
networks are taken as they are (fixed effects) and their seeds to spread alike; an interval that was
asked for after the accuracies had been seen is post hoc, and says so.
"""

import collections.abc
import dataclasses
import statistics

from scipy import stats

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference of means, in points.

    Attributes:
        mean: the difference, None where one of the cells has no seed.
        error: its standard error, None where no cell has two seeds.
        freedom: degrees of freedom ν of the error.
        seeds: how many trainings are in it.
    """

    mean: float | None = None
    error: float | None = None
    freedom: int = 0
    seeds: int = 0

    @property
    def interval(self):
        """(low, high), 95 % by Student's t; None without an error."""
        if self.error is None:
            return None
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.error
        return self.mean - reach, self.mean + reach

    def __str__(self):
        if self.mean is None:
            return ""
        return f"{self.mean:+.2f}" + ("" if self.error is None else f" ± {self.error:.2f}")


class Cells:
    """The networks of a study, each with the accuracies of its seeds.

    Args:
        values: {cell: {seed: points}}; a cell may have none yet.

    Attributes:
        spread: s, the standard deviation over seeds, None where no cell has two of them.
        freedom: ν.

    Example:
        >>> cells = Cells({"once": {0: 66.9, 1: 66.5}, "twice": {0: 68.0, 1: 68.5}})
        >>> str(cells.difference("twice", "once"))
        '+1.55 ± 0.32'
    """

    def __init__(self, values: collections.abc.Mapping):
        self.values = {cell: list(points.values()) for cell, points in values.items()}
        self.freedom = sum(max(0, len(points) - 1) for points in self.values.values())
        left = sum(
            (y - statistics.mean(points)) ** 2 for points in self.values.values() for y in points
        )
        self.spread = (left / self.freedom) ** 0.5 if self.freedom else None

    def difference(self, cell, other):
        """`cell` minus `other`, an `Effect`."""
        return self.mean_difference([(cell, other)])

    def mean_difference(self, pairs):
        """The mean of several differences (cell, other), an `Effect`."""
        parts = collections.Counter()
        for cell, other in pairs:
            parts[cell] += 1 / len(pairs)
            parts[other] -= 1 / len(pairs)
        points = {cell: self.values.get(cell, []) for cell in parts}
        if not all(points.values()) or not pairs:
            return Effect()
        mean = sum(c * statistics.mean(points[cell]) for cell, c in parts.items())
        error = None
        if self.spread is not None:
            error = self.spread * sum(c**2 / len(points[cell]) for cell, c in parts.items()) ** 0.5
        return Effect(mean, error, self.freedom, sum(map(len, points.values())))

    def interaction(self, pair, other):
        """The difference of two differences, (a − b) − (c − d), an `Effect`."""
        half = self.mean_difference([pair, other[::-1]])
        if half.mean is None:
            return half
        error = None if half.error is None else 2 * half.error
        return dataclasses.replace(half, mean=2 * half.mean, error=error)

    def share(self, tied, once, untied):
        """ρ = (tied − once) / (untied − once): which share of what depth buys recurrence has.

        Its 95 % interval is Fieller's: the ρ for which tied − ρ untied − (1 − ρ) once may be 0.

        Args:
            tied: the cell of the recurrent network.
            once: that of the same one, run once.
            untied: that of the network whose steps have weights of their own.

        Returns:
            ρ, and its interval (low, high); None for either where it cannot be told, the interval
            also where untied and once may be the same.
        """
        cells = [self.values.get(cell, []) for cell in (tied, once, untied)]
        if not all(cells):
            return None, None
        mean = [statistics.mean(points) for points in cells]
        gain, whole = mean[0] - mean[1], mean[2] - mean[1]
        rho = gain / whole if whole else None
        if self.spread is None:
            return rho, None
        k = (stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.spread) ** 2
        per_tied, per_once, per_untied = (1 / len(points) for points in cells)
        # (gain − ρ whole)² ≤ k (1/n_tied + ρ²/n_untied + (1 − ρ)²/n_once), by powers of ρ.
        a = whole**2 - k * (per_untied + per_once)
        b = gain * whole - k * per_once
        c = gain**2 - k * (per_tied + per_once)
        if a <= 0:
            return rho, None
        reach = max(0.0, b * b - a * c) ** 0.5
        return rho, ((b - reach) / a, (b + reach) / a)


def by_example(first, second):
    """First minus second of two networks on the same examples, an `Effect`.

    What is hard for both takes no part in it; its error is over examples, not over seeds.

    Args:
        first: {example: points}.
        second: {example: points}; those count that both have.
    """
    pairs = [first[key] - second[key] for key in first if key in second]
    if not pairs:
        return Effect()
    error = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else None
    return Effect(statistics.mean(pairs), error, len(pairs) - 1, len(pairs))


def seeds_needed(effect, spread, power=None, most=1000):
    """How many seeds each of two networks needs for an effect to be seen.

    Args:
        effect: the difference of the two means, above 0.
        spread: standard deviation over seeds, above 0, in the same unit.
        power: None for an interval that excludes 0 when the means differ by just the effect; else
            the probability that it does, such as 0.9, by the noncentral t distribution.
        most: where to stop.

    Returns:
        The number, None if it is above `most`.
    """
    for seeds in range(2, most + 1):
        freedom, size = 2 * seeds - 2, effect / (spread * (2 / seeds) ** 0.5)
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
        if size > reach if power is None else stats.nct.sf(reach, freedom, size) >= power:
            return seeds
    return None


def sentence(title, found, unit="points", more="more accurate", less="less accurate"):
    """An `Effect` in words, after what it is the difference of.

    Args:
        title: what is compared.
        found: the `Effect`.
        unit: its unit.
        more: what a difference above 0 is called.
        less: what one below 0 is called.
    """
    if found.mean is None:
        return f"{title}: not measured yet."
    interval = ""
    if found.interval:
        low, high = found.interval
        interval = f", 95 % interval {low:+.2f} to {high:+.2f}"
    trainings = f"{found.seeds} training{'s' if found.seeds > 1 else ''}"
    told = verdict(found, 1.0 if unit == "points" else 0.0, more, less)
    return f"{title}: {told}; {found} {unit} ({trainings}{interval})."


def verdict(found, tolerance=1.0, more="more accurate", less="less accurate"):
    """What a difference, of points of accuracy by default, says in words.

    Args:
        found: an `Effect`.
        tolerance: points within which two networks are called equal.
        more: what a difference above 0 is called.
        less: what one below 0 is called.

    Returns:
        `more` or `less` when the 95 % interval is on one side of 0, "equal to within ..." when it
        is within the tolerance, else "not decided".
    """
    if found.interval is None:
        return "not decided: too few trainings"
    low, high = found.interval
    if low > 0:
        return more
    if high < 0:
        return less
    if -tolerance <= low and high <= tolerance:
        return f"equal to within {tolerance:g} point{'s' if tolerance != 1 else ''}"
    return "not decided"


def method(cells, wanted=1.0):
    """How the intervals of a study came about, and what it would take to see an effect.

    Args:
        cells: the study's `Cells`.
        wanted: an effect in points.
    """
    if cells.spread is None:
        return "No network has two seeds yet, so that no difference has an error."
    needed = seeds_needed(wanted, cells.spread, 0.9) if cells.spread else 2
    return (
        f"Errors are from the spread of seeds, {cells.spread:.2f} points pooled over all networks "
        f"of the table ({cells.freedom} degrees of freedom), intervals by Student's t, not paired, "
        f"and not planned before the accuracies were seen; to see {wanted:g} point with 90 % "
        f"probability takes {needed or 'over 1,000'} seeds of each network."
    )
