"""Paired differences of measurements, and what may be said of them."""

import dataclasses
import statistics

# Student's t, two-sided 95 %, for 1 to 30 degrees of freedom.
T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean of paired differences.

    Attributes:
        count: number of pairs.
        mean: their mean, None without any.
        error: its standard error, None for fewer than two.
    """

    count: int
    mean: float | None
    error: float | None

    @property
    def interval(self):
        """(low, high), 95 % by Student's t; None for fewer than two pairs."""
        if self.error is None:
            return None
        t = T95[self.count - 2] if self.count - 2 < len(T95) else 1.96
        return self.mean - t * self.error, self.mean + t * self.error

    def __str__(self):
        if self.mean is None:
            return ""
        return f"{self.mean:+.2f}" + ("" if self.error is None else f" ± {self.error:.2f}")


def difference(first, second):
    """First minus second, pair by pair.

    Args:
        first: {key: value}.
        second: {key: value}; a pair is a key that both have.

    Example:
        >>> str(difference({0: 3.0, 1: 4.0}, {0: 1.0, 1: 1.0, 2: 5.0}))
        '+2.50 ± 0.50'
    """
    pairs = [first[key] - second[key] for key in first if key in second]
    if not pairs:
        return Difference(0, None, None)
    error = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else None
    return Difference(len(pairs), statistics.mean(pairs), error)


def sentence(title, found):
    """A `Difference` in points of accuracy in words, after what it is the difference of."""
    if found.mean is None:
        return f"{title}: not measured yet."
    pairs = f"{found.count} pair{'s' if found.count > 1 else ''}"
    interval = ""
    if found.interval:
        low, high = found.interval
        interval = f", 95 % interval {low:+.2f} to {high:+.2f}"
    return f"{title}: {verdict(found)}; {found} points ({pairs}{interval})."


def verdict(found, tolerance=1.0):
    """What a difference in points of accuracy says, in words.

    Args:
        found: a `Difference`.
        tolerance: points within which two networks are called equal.

    Returns:
        "more accurate" or "less accurate" when the 95 % interval is on one side of 0, "equal to
        within ..." when it is within the tolerance, else "not decided".
    """
    if found.interval is None:
        return "not decided: too few trainings"
    low, high = found.interval
    if low > 0:
        return "more accurate"
    if high < 0:
        return "less accurate"
    if -tolerance <= low and high <= tolerance:
        return f"equal to within {tolerance:g} point{'s' if tolerance != 1 else ''}"
    return "not decided"
