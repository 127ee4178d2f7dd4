"""`python -m training.reproduce EXPERIMENT`: measures a table or figure of the papers again."""

import importlib
import sys

from training import errors
from training.errors import UserError, nearest

EXPERIMENTS = {
    "planar": "table 1 and figure 2: two-neuron shallow, recurrent and deep residual networks",
    "curvature": "figures 1 to 3, table 2: curvature by layer, and whether accuracy follows it",
    "cifar_tables": "two tables: CIFAR-10 networks with fewer parameters by groups and volumes",
    "mnist_init": "maps and limits of depth on MNIST: initialisation by mean-field theory",
    "mnist_resnet50": "seven ResNet-50s on MNIST: tanh, ReLU and α-ReLU, He and Xavier",
    "mean_field": "networks at initialisation against the theory of infinite width; phase planes",
    "t2t_vit": "table 2: T2T-ViTs with and without recurrence, what trainings of them say",
    "equal_computation": "T2T-ViTs without recurrence, trained for as much computation as with it",
    "recurrent_forms": "T2T-ViT recurrence with norms, vectors and numbers of steps of its own",
    "deep_thinking": "prefix sums and mazes: more steps solve larger problems, and what that needs",
    "shared_resnet": "one residual block a stage: recurrence's share of what depth buys",
    "in_depth": "trained networks repeated and folded, trained on, against what costs as much",
    "transfer": "few photographs of unseen classes, from scratch, 32- and 64-pixel weights",
    "meta_heads": "CIFAR-10 with grouped heads: softmax, initialisation, number of groups",
}

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


def of(name):
    """The study of this name."""
    return importlib.import_module(f"training.studies.{name}").STUDY


if __name__ == "__main__":
    sys.exit(errors.run(main))
