"""Seven ResNet-50s on MNIST: tanh, ReLU and α-ReLU, initialised by He and by Xavier.

Trains the networks of G. Borin Macedo's slides on FRN and RRN (Unicamp, 2020, after arXiv
1712.08969) with their recipe: SGD 0.01, batch 32, 5 epochs, pixels in [0, 1], no augmentation. In
the slides the two with α-ReLU, α = 0.1, gave a NaN from the first batch on, and 9.80 %. Here they
are trained with α = 0.75, and with the slides' α beside.

They want an accelerator, and their whole recipe was not run yet. On two cores, one epoch and seed,
test accuracy: ReLU He 75.2 %, He uniform 81.4, tanh He 74.3, Xavier 77.6 (6,400 images), ReLU
Xavier 86.7 (12,800); α-ReLU He and Xavier, 22,400 images, 85.5 and 86.7 with statistics of batch
normalization that are averaged anew (`--precise-bn 60`), and 9.7 and 10.1 with its moving averages,
which trail behind. The loss of α-ReLU falls from 2.7 to 0.5 and from 2.9 to 0.6. About 45 images a
second on one core.
"""

import argparse
from pathlib import Path

from training import recipes
from training.errors import UserError
from training.jobs import many_runs
from training.reproduce import cifar_tables, mnist_run

NAMES = tuple(
    f"mnist_resnet50_{kind}"
    for kind in (
        "relu_he",
        "relu_he_uniform",
        "relu_xavier",
        "tanh_he",
        "tanh_xavier",
        "alpha_relu_he",
        "alpha_relu_xavier",
    )
)
SEED = 42  # The slides' own, where they tell one.
SLIDES_ALPHA = 0.1


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce mnist_resnet50",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.reproduce mnist_resnet50 --data-dir DIR\n"
        "  python -m training.reproduce mnist_resnet50 --data-dir DIR --epochs 1 --limit 12800 "
        "--precise-bn 60\n"
        "  python -m training.reproduce mnist_resnet50 --names '*alpha*' --report\n\n"
        "Finished trainings are not done again, and interrupted ones go on at their last whole\n"
        "epoch, when the same command is given again. Their weights, 94 MB each, stay in --out:\n"
        "--record files results and logs.",
    )
    p.add_argument(
        "--names", nargs="+", default=["*"], metavar="NAME", help="wildcards; default all seven"
    )
    p.add_argument(
        "--memory",
        action="store_true",
        help="train nothing: what a linear classifier reads off the untrained networks' features",
    )
    p.add_argument(
        "--precise-bn",
        type=int,
        default=0,
        metavar="BATCHES",
        help="as in training.fit: for short trainings, whose moving averages trail behind",
    )
    cifar_tables.add_arguments(p, Path("runs/mnist_resnet50"))
    p.set_defaults(epochs=recipes.load(mnist_run.RECIPE).settings["epochs"], seeds=1)
    return p


def runs_of(names, a):
    """The trainings of the named networks, those with the slides' α last of each seed."""
    kinds = [(name, name, {}) for name in names]
    kinds += [
        (f"{name}, alpha {SLIDES_ALPHA}", name, {"alpha": SLIDES_ALPHA})
        for name in names
        if "alpha" in name
    ]
    return [
        many_runs.Run(
            label,
            name,
            seed,
            a.out / label.replace(", alpha ", "_alpha_") / str(seed),
            arguments,
            module="training.reproduce.mnist_run",
            dataset="mnist",
        )
        for seed in range(SEED, SEED + a.seeds)
        for label, name, arguments in kinds
    ]


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    cifar_tables.check(a)
    if a.precise_bn < 0:
        raise UserError(f"--precise-bn must be at least 0, found {a.precise_bn}.")
    runs = runs_of(cifar_tables.names_like(a.names, NAMES), a)
    if a.memory:
        from training.reproduce import mnist_resnet50_memory as memory

        memory.show(runs, a)
        return 0
    failed = cifar_tables.train(runs, a)
    from training.reproduce import mnist_resnet50_report as report

    filed = report.file(runs) if a.record else []
    report.show(report.rows(runs), a)
    for row in filed:
        print(f"filed {row['name']}.{row['tag']}: {row['value']} {row['metric']}, {row['budget']}")
    if failed:
        raise UserError(failed)
    return 0
