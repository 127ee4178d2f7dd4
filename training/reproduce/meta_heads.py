"""Grouped heads on the small CIFAR-10 network: weights, initialisation and number of groups.

The paper (see `cifar_tables`) concludes that a head of N small dense maps, mixed by an (N, M)
matrix, keeps or improves the accuracy of a dense head with a fraction of its parameters. It tried
one such head a network. Here, on the small network: N = M = 2 to 32 groups; the mixing weights as
they are or through a softmax; drawn from N(0, 1), or from N(0, 1/N), which preserves the variance
of the signal. Each group has 10 units, as in the paper's head of 4, whatever N: the grouped map
has 20,480 weights for every N, and only the mixing, N², and the classifier, 100 N, grow with N.
"""

import argparse
import dataclasses
from pathlib import Path

from training.errors import UserError
from training.jobs import many_runs
from training.reproduce import cifar_tables

GROUPS = (2, 4, 8, 16, 32)
FORMS = {
    "raw": "raw weights, N(0, 1)",
    "preserving": "raw weights, N(0, 1/N)",
    "softmax": "softmax, N(0, 1)",
}
NETWORK, DENSE = "cifar_small_metahead", "dense"


@dataclasses.dataclass(frozen=True)
class Head:
    """One head of the comparison.

    Attributes:
        form: a key of `FORMS`, or `DENSE` for the head that the others replace.
        groups: N, 0 for the dense head.
    """

    form: str
    groups: int = 0

    @property
    def label(self):
        """What it is called in folders and tables."""
        return f"{self.form}_{self.groups}" if self.groups else self.form

    @property
    def name(self):
        """The network's name in the zoo."""
        return NETWORK if self.groups else "cifar_small"

    @property
    def arguments(self):
        """Builder arguments that replace the name's, as JSON can hold them."""
        if not self.groups:
            return {}
        arguments = {"head_groups": self.groups}
        if self.form == "softmax":
            arguments["meta_softmax"] = True
        if self.form == "preserving":
            normal = {"module": "keras.initializers", "class_name": "RandomNormal"}
            config = {"mean": 0.0, "stddev": self.groups**-0.5, "seed": None}
            arguments["meta_initializer"] = {**normal, "config": config}
        return arguments

    def run(self, seed, a):
        """Its training; two of the heads are networks of `cifar_tables` and trained there."""
        of_tables = {DENSE: "cifar_small", "raw_4": NETWORK}.get(self.label)
        if of_tables:
            path = a.tables / of_tables / str(seed)
            return many_runs.Run(self.label, self.name, seed, path)
        path = a.out / self.label / str(seed)
        return many_runs.Run(self.label, self.name, seed, path, self.arguments)


HEADS = (Head(DENSE), *(Head(form, groups) for groups in GROUPS for form in FORMS))


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce meta_heads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.reproduce meta_heads --data-dir DIR\n"
        "  python -m training.reproduce meta_heads --report\n\n"
        "The dense head and the raw one of 4 groups are trainings of cifar_tables: those that are\n"
        "finished in --tables are taken. Give the same command again to go on.",
    )
    cifar_tables.add_arguments(p, Path("runs/meta_heads"))
    p.add_argument(
        "--tables",
        type=Path,
        default=Path("runs/cifar_tables"),
        help="--out of cifar_tables (default runs/cifar_tables)",
    )
    return p


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    cifar_tables.check(a)
    # Seed by seed: a part of the trainings is a whole comparison with fewer seeds.
    runs = [head.run(seed, a) for seed in range(a.seeds) for head in HEADS]
    failed = cifar_tables.train(runs, a)
    # Matplotlib and rich take seconds to import: after all that may be refused.
    from training.reproduce import meta_heads_report

    meta_heads_report.show(runs, a)
    if failed:
        raise UserError(failed)
    return 0
