"""What the ResNet-50s know of their input before training: linear classifiers of their features.

A network that maps images of one class and of two classes alike far apart cannot be trained, since
what its first layers learn tells its last ones nothing. Ridge regression on the features after each
stage, from 1,000 training images, says how much is left; another 500 measure it.
"""

import csv
import io
import sys

import keras
import numpy as np

from keras_recres import zoo
from training import data
from training.errors import output_folder
from training.files import write_aside
from training.studies import tables

STAGES = {
    "stem": "pool1_pool",
    "stage 1": "conv2_block3_out",
    "stage 2": "conv3_block4_out",
    "stage 3": "conv4_block6_out",
    "stage 4": "conv5_block3_out",
}
FITTED, TESTED = 1000, 500
RIDGE = 1e-2
FILE = "memory.csv"


def show(runs, a):
    """Measures every network of `runs`, of the first seed; prints a table and writes memory.csv.

    Args:
        runs: list of `training.jobs.many_runs.Run`.
        a: arguments `data_dir` and `out`.
    """
    images = data.load("mnist", "train", a.data_dir, limit=FITTED + TESTED)
    lines = []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["network", *(f"{stage} percent" for stage in STAGES)])
    seed = min(run.seed for run in runs)
    for run in (run for run in runs if run.seed == seed):
        keras.utils.set_random_seed(seed)
        model = zoo.build(run.name, tag=zoo.info(run.name).default_tag, **run.arguments)
        percent = [f"{100 * accuracy:.1f}" for accuracy in measure(model, images)]
        print(f"{run.label}: {', '.join(percent)} %", file=sys.stderr, flush=True)
        lines.append((run.label.removeprefix("mnist_resnet50_"), *percent))
        writer.writerow([run.label, *percent])
    title = f"before training: accuracy of a linear classifier, {TESTED} images, %"
    tables.show(title, ("network", *STAGES), lines)
    output_folder(a.out)
    write_aside(a.out / FILE, text.getvalue())
    print(f"Written to {a.out}: {FILE}.", file=sys.stderr)


def measure(model, images):
    """Accuracy of a linear classifier of the features after each stage.

    Args:
        model: one of the ResNet-50s.
        images: an `Images` record of at least 1,500.

    Returns:
        A list of numbers in [0, 1].
    """
    taps = keras.Model(model.input, [model.get_layer(name).output for name in STAGES.values()])
    pixels = model.preprocess(images.images[: FITTED + TESTED])
    # Batch norms use the batch's statistics, as they will in training.
    outputs = taps(pixels, training=True)
    labels = images.labels[: FITTED + TESTED]
    return [linear_accuracy(keras.ops.convert_to_numpy(x), labels) for x in outputs]


def linear_accuracy(features, labels):
    """Accuracy on the last `TESTED` rows of ridge regression on the first `FITTED`.

    Args:
        features: array (FITTED + TESTED, …).
        labels: their classes.
    """
    x = np.asarray(features, dtype=np.float64).reshape(len(features), -1)
    x = x - x[:FITTED].mean(axis=0)
    kernel = x @ x[:FITTED].T
    kernel /= np.trace(kernel[:FITTED]) / FITTED + np.finfo(np.float64).tiny
    targets = np.eye(labels.max() + 1)[labels[:FITTED]]
    weights = np.linalg.solve(kernel[:FITTED] + RIDGE * np.eye(FITTED), targets - targets.mean(0))
    found = kernel[FITTED : FITTED + TESTED] @ weights + targets.mean(0)
    return float(np.mean(found.argmax(axis=1) == labels[FITTED : FITTED + TESTED]))
