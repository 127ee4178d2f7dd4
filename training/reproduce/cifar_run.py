"""One training of one CIFAR-10 network with the paper's recipe, by `training.fit`.

    python -m training.reproduce.cifar_run cifar_small --data-dir DIR --seed 0 --out FOLDER

Takes the arguments of `training.fit`; the recipe is `cifar_tables`. Beside what that measures,
metrics.json gets the accuracy on the exact part of the test set, and the loss on the training set
in inference mode: without dropout, and after the epoch instead of during it.
"""

import os
import sys
from pathlib import Path

from training import data, errors
from training.errors import UserError
from training.fit import loop as fit

RECIPE = "cifar_tables"
# Of the measurements only.
BATCH_SIZE = 128
EXACT = "cifar10_lossless_part"


def main(argv=None):
    """The command line."""
    a = fit.arguments(argv, RECIPE)
    fit.run(a, lambda model, images: measure(model, images, a.data_dir))


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


if __name__ == "__main__":
    sys.exit(errors.run(main))
