"""`python -m training.reproduce EXPERIMENT`: measures a table or figure of the papers again."""

import sys

from training import errors
from training.errors import UserError, nearest
from training.studies import EXPERIMENTS, of

USAGE = "usage: python -m training.reproduce EXPERIMENT [options]\n\nexperiments:\n" + "\n".join(
    f"  {name:17} {what}" for name, what in EXPERIMENTS.items()
)


def main(argv=None):
    """The command line."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE + "\n\n`python -m training.reproduce EXPERIMENT --help` tells its options.")
        return 0 if argv else 2
    if argv[0] not in EXPERIMENTS:
        raise UserError(
            f"there is no experiment {argv[0]!r}.{nearest(argv[0], EXPERIMENTS)} "
            f"The experiments are: {', '.join(EXPERIMENTS)}."
        )
    return of(argv[0]).main(argv[1:])


if __name__ == "__main__":
    sys.exit(errors.run(main))
