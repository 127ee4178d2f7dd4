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

    @property
    def settings(self):
        """Those of the first of its trainings, None where there are none."""
        return next((m["settings"] for m in self.metrics.values()), None)

    def values(self, key):
        """{seed: accuracy in percent, or another number}; without seeds that did not measure it."""
        scale = 100 if key.endswith("accuracy") else 1
        return {seed: scale * m[key] for seed, m in self.metrics.items() if key in m}

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
        runs: list of `training.jobs.many_runs.Run`.

    Returns:
        A list of `Summary`, also of labels of which nothing is finished yet.

    Raises:
        UserError: the finished runs had different data, epochs, limit, precision or backend, and
            did not ask for it.
    """
    found, first = {}, None
    for run in runs:
        of_label = found.setdefault(run.label, {})
        if (metrics := run.metrics) is None:
            continue
        of_label[run.seed] = metrics
        first = first or run
        # What one of them asks for itself may differ.
        keys = (
            {"tag", "epochs", "limit", "precision", "backend"} - run.how.keys() - first.how.keys()
        )
        pairs = [
            (key, *(m["settings"].get(key) for m in (first.metrics, metrics)))
            for key in sorted(keys)
        ]
        for key, one, other in pairs:
            if one != other:
                raise UserError(
                    f"{first.path} and {run.path} can't stand in one table: they were trained with "
                    f"{key} {one!r} and {other!r}."
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
