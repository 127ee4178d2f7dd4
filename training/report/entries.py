"""What the page is about: one entry for each network and data set."""

import dataclasses
import fnmatch
import math

from keras_recres.zoo import registry, sources
from keras_recres.zoo.record import Record, Result
from training.fit.run_folder import read_log
from training.ledger.filing import BEST_OF

# Pictures of curvature by layer, and the names in them.
CURVATURE = {
    "curvature_planar.png": ("planar_*",),
    "curvature_vit.png": ("vit3", "vit3_rec", "vit7", "vit7_rec"),
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A network of the zoo, on one data set or not trained yet.

    Attributes:
        record: What the zoo knows of the name.
        tag: The data set's tag, or None.
        results: All that was measured there, the accuracy after the last epoch first.
        log: Its training by epoch, a list of dicts of floats.
        picture: File of a picture of its curvature, or None.
    """

    record: Record
    tag: str | None
    results: tuple[Result, ...]
    log: list
    picture: str | None

    @property
    def key(self):
        """NAME.TAG, or NAME."""
        return f"{self.record.name}.{self.tag}" if self.tag else self.record.name

    @property
    def main(self):
        """The result that the table shows, or None."""
        return self.results[0] if self.results else None

    @property
    def parameters(self):
        """Parameters of the network that was trained, of the paper's where none was."""
        return int(self.main.parameters) if self.main else self.record.parameters.total

    @property
    def multiply_adds(self):
        """Multiply-adds per example of the network that was trained, or of the paper's."""
        trained = self.main and self.main.multiply_adds
        return int(trained) if trained else self.record.multiply_adds

    @property
    def measured(self):
        """The measured number, nan where there is none."""
        return _number(self.main.value) if self.main else math.nan


def read(figures):
    """Entries of all names: those that were measured, then the others, in the order of the zoo.

    Args:
        figures: Folder with the pictures.
    """
    found = [entry for record in registry.list() for entry in _of_name(record, figures)]
    return sorted(found, key=lambda entry: entry.main is None)


def _of_name(record, figures):
    by_tag = {}
    for result in record.results:
        by_tag.setdefault(result.tag, []).append(result)
    picture = _picture(record.name, figures)
    if not by_tag:
        return [Entry(record, None, (), [], picture)]
    return [
        Entry(record, tag, tuple(sorted(results, key=_rank)), _log(record.name, tag), picture)
        for tag, results in by_tag.items()
    ]


def _rank(result):
    # As the README's table has it: the data set of the training first, and no epoch chosen on it.
    return (result.dataset != result.tag, BEST_OF in result.metric)


def _log(name, tag):
    return read_log(sources.data_folder() / "logs" / f"{name}.{tag}.csv")


def _picture(name, figures):
    for file, patterns in CURVATURE.items():
        if any(fnmatch.fnmatchcase(name, p) for p in patterns) and (figures / file).is_file():
            return file
    return None


def _number(text):
    try:
        return float(text)
    except ValueError:
        return math.nan
