"""The curvature of the ViTs (figure 3, table 2): along curves through real images."""

import keras
import numpy as np

from keras_recres import zoo
from keras_recres.probes import curves
from training import data
from training.studies.curvature_probed import join, probe

NAMES = ("vit3", "vit3_rec", "vit7", "vit7_rec")
DATASET, TAG = "cifar10", "cifar10_jpeg"
ONE_CLASS = (0, 3, 7)  # CIFAR-10's aeroplane, cat and horse; other data: those that there are.
ARCS = 3


def image_curves(images, labels):
    """Several curves through a data set of preprocessed images.

    Returns:
        {name: `Curve`}: the ellipse of the principal components, splines through the class means
        and through six images of one class each, and great arcs from an image to one of another
        class.
    """
    found = {
        "pca": curves.from_dataset(images, by="pca"),
        "class means": curves.from_dataset(images, by="class", labels=labels),
    }
    for label in _classes(labels):
        found[f"class {label}"] = curves.from_dataset(
            images, by="class", labels=labels, label=label, points=6
        )
    begin = 0
    for i in range(ARCS):
        # The next image, and the first one after it of another class.
        end = begin + 1 + int(np.argmax(labels[begin + 1 :] != labels[begin]))
        found[f"arc {i}"] = curves.great_circle(images[begin], images[end], arc=True)
        begin = end + 1
    return found


def curve_count(labels):
    """How many curves `image_curves` makes."""
    return 2 + len(_classes(labels)) + ARCS


def _classes(labels):
    classes = np.unique(labels)
    return [label for label in ONE_CLASS if label in classes] or classes[:1]


def accuracy(name):
    """Filed accuracy of a name's weights on the data set they are for, in [0, 1], or None."""
    for row in zoo.info(name).results:
        if row.tag == TAG and row.dataset == TAG and row.metric == "top1_percent":
            return float(row.value) / 100
    return None


def trained_names():
    """Those of `NAMES` that have weights."""
    return [name for name in NAMES if TAG in zoo.info(name).trained_tags]


def read_images(data_dir, count):
    """The first test images and their classes, uint8 (count, 32, 32, 3) and (count,)."""
    found = data.load(DATASET, "evaluation", data_dir=data_dir, limit=count)
    return found.images, found.labels


def run(images, labels, seeds, count, progress):
    """Probes the networks, with trained weights where there are any, and with random ones.

    Args:
        images: uint8 images.
        labels: Their classes.
        seeds: Number of random weights of each network.
        count: Number of θ on each curve.
        progress: As `training.studies.progress.progress` yields it.

    Returns:
        A list of `Probed`.
    """
    probed = []
    for name in NAMES:
        # One model for all weights of a name, so that it is compiled once.
        model = zoo.build(name, TAG)
        x = keras.ops.convert_to_numpy(model.preprocess(images))
        curves = image_curves(x, labels)
        joined = join(curves)
        blocks = [layer.name for layer in model.layers if layer.name.startswith("block")]
        kinds = [("trained", 0)] if name in trained_names() else []
        for weights, seed in [*kinds, *(("random", seed) for seed in range(seeds))]:
            progress.describe(f"probing {name}, {weights} weights")
            keras.utils.set_random_seed(seed)
            if weights == "trained":
                model.set_weights(zoo.load(name, TAG).get_weights())
            else:
                model.set_weights(zoo.build(name, TAG).get_weights())
            probed.append(
                probe(
                    model,
                    curves,
                    count,
                    progress.advance,
                    layers=[*blocks, "norm", "head"],
                    joined=joined,
                    network=name,
                    weights=weights,
                    seed=seed,
                    accuracy=accuracy(name) if weights == "trained" else None,
                )
            )
    return probed
