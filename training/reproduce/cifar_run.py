"""One training of one CIFAR-10 network with the paper's recipe, by `training.fit`.

    python -m training.reproduce.cifar_run cifar_small --data-dir DIR --seed 0 --out FOLDER

Takes the arguments of `training.fit`, to which the recipe is added. Beside what that measures,
metrics.json gets the accuracy on the exact part of the test set, and the loss on the training set
in inference mode: without dropout, and after the epoch instead of during it.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from training import data, errors, fit
from training.errors import UserError

BATCH_SIZE = 128
# Adam's ε is PyTorch's, with which the paper's networks were trained.
RECIPE = {
    "dataset": "cifar10",
    "batch-size": BATCH_SIZE,
    "learning-rate": 1e-3,
    "schedule": "constant",
    "warmup-epochs": 0,
    "weight-decay": 0,
    "epsilon": 1e-8,
    "label-smoothing": 0,
}
EXACT = "cifar10_lossless_part"


def main(argv=None):
    """The command line."""
    a = arguments(argv, RECIPE)
    fit.run(a, lambda model, images: measure(model, images, a.data_dir))


def arguments(argv, recipe):
    """Parses a command line of `training.fit`, to which a recipe is added.

    Args:
        argv: list of str, None for that of this process.
        recipe: dict of options without their dashes.
    """
    p = fit.parser()
    p.add_argument("--end-with-parent", action="store_true", help="end when stdin is closed")
    recipe = [f"--{option}={value}" for option, value in recipe.items()]
    a = p.parse_args([*recipe, "--keep-last", *(sys.argv[1:] if argv is None else argv)])
    if a.end_with_parent:
        _end_with_parent()
    del a.end_with_parent  # Not a setting of the training.
    return a


def measure(model, train_data, data_dir=None):
    """Measures what only the end of a training can tell.

    Args:
        model: the trained model, compiled by `training.fit`.
        train_data: its training images, an `Images` record.
        data_dir: where CIFAR-10 is; see `exact_part`.

    Returns:
        dict with `train_set_loss` and `train_set_accuracy`, and with `exact_accuracy`,
        `exact_loss` and `exact_images` if that part is there; and `threads`, what OMP_NUM_THREADS
        was.
    """
    found = {"threads": os.environ.get("OMP_NUM_THREADS", "")}
    found |= {f"train_set_{key}": value for key, value in _evaluate(model, train_data).items()}
    exact = exact_part(data_dir)
    if exact is not None:
        found |= {f"exact_{key}": value for key, value in _evaluate(model, exact).items()}
        found["exact_images"] = len(exact)
    return found


def exact_part(data_dir):
    """Looks for the exact part of the test set.

    Args:
        data_dir: where CIFAR-10 is. It is looked for there, and beside it in the folder `tfds` and
            in the packed file of its name.

    Returns:
        Its `Images` record, or None where it is not.
    """
    folder = data.default_data_dir() if data_dir is None else Path(data_dir).expanduser()
    for place in (folder, folder.parent / "tfds", folder.parent / f"{EXACT}.npz"):
        try:
            return data.load(EXACT, "evaluation", place)
        except UserError:
            continue
    return None


def _evaluate(model, images):
    batches = data.Batches(images, BATCH_SIZE, model.preprocess, one_hot=True)
    result = model.evaluate(batches, return_dict=True, verbose=0)
    return {key: float(result[key]) for key in ("loss", "accuracy")}


def _end_with_parent():
    """Ends this process in order when its standard input closes: its parent is no more."""

    def wait():
        while os.read(0, 1):  # Reading sys.stdin would hold its lock when this process ends.
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(errors.run(main))
