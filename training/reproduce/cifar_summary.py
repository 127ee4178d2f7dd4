"""What the seeds of one CIFAR-10 network measured, together."""

import dataclasses
import statistics

from training.errors import UserError

# How metrics.json calls what the tables tell.
FINAL, BEST, EXACT = "val_accuracy", "best_val_accuracy", "exact_accuracy"


@dataclasses.dataclass(frozen=True)
class Summary:
    """The finished trainings of one network, which differ in their seed only.

    Attributes:
        label: what the network is called.
        metrics: for each seed the content of its metrics.json.
    """

    label: str
    metrics: dict

    def values(self, key):
        """{seed: accuracy in percent}; without the seeds that have not measured it."""
        return {seed: 100 * m[key] for seed, m in self.metrics.items() if key in m}

    def mean(self, key):
        """The mean over the seeds in percent, None where there are none."""
        values = self.values(key).values()
        return statistics.mean(values) if values else None

    def spread(self, key):
        """The sample standard deviation over the seeds, None for fewer than two."""
        values = self.values(key).values()
        return statistics.stdev(values) if len(values) > 1 else None

    def text(self, key):
        """Mean ± standard deviation, such as "71.98 ± 0.31", "" where nothing was measured."""
        mean, spread = self.mean(key), self.spread(key)
        if mean is None:
            return ""
        return f"{mean:.2f}" + ("" if spread is None else f" ± {spread:.2f}")


def summarize(runs):
    """Gathers the finished runs by label, in their order.

    Args:
        runs: list of `training.many_runs.Run`.

    Returns:
        A list of `Summary`, also of labels of which nothing is finished yet.

    Raises:
        UserError: the finished runs had different data, epochs, limit, precision or backend.
    """
    found, kinds = {}, {}
    for run in runs:
        of_label = found.setdefault(run.label, {})
        if (metrics := run.metrics) is not None:
            of_label[run.seed] = metrics
            keys = ("tag", "epochs", "limit", "precision", "backend")
            kinds.setdefault(tuple(metrics["settings"].get(key) for key in keys), run.path)
    if len(kinds) > 1:
        (first, one), (second, other) = list(kinds.items())[:2]
        raise UserError(
            f"{one} and {other} can't stand in one table: data set, epochs, limit, precision "
            f"and backend are {', '.join(map(str, first))} and {', '.join(map(str, second))}."
        )
    return [Summary(label, metrics) for label, metrics in found.items()]


def remarks(summaries):
    """What has to be said of the images that were used, a list of sentences."""
    settings = [m["settings"] for summary in summaries for m in summary.metrics.values()]
    said = []
    if "cifar10_jpeg" in {found["tag"] for found in settings}:
        said.append("CIFAR-10 re-encoded as JPEG (cifar10_jpeg): not the original pixels.")
    if limits := {found["limit"] for found in settings} - {None}:
        said.append(f"A trial: only {min(limits):,} images of each split were used.")
    return said
