"""Test accuracy of the trained ResNet-50s with batch statistics that fit their weights.

Batch normalization's moving averages (momentum 0.99) trail behind the weights of a short training,
and more so with α-ReLU, whose slope is large near zero. Here they are averaged anew over training
images with the weights held: how far a network has come, and what inference lacks yet.
"""

import keras

from keras_recres import zoo
from training import data
from training.errors import UserError

BATCH = 32
FITTED, TESTED = 1920, 2048


def show(runs, a):
    """Prints, for every finished training of `runs`, both accuracies on the first test images.

    Args:
        runs: list of `training.reproduce.cifar_runs.Run`.
        a: argument `data_dir`.

    Raises:
        UserError: none of them is finished.
    """
    finished = [run for run in runs if run.metrics]
    if not finished:
        raise UserError("no training is finished: train first, with the same --out.")
    train = data.load("mnist", "train", a.data_dir, limit=FITTED)
    test = data.load("mnist", "evaluation", a.data_dir, limit=TESTED)
    for run in finished:
        tag = zoo.info(run.name).default_tag
        model = zoo.build(run.name, tag=tag, **run.arguments)
        model.load_weights(run.path / f"{run.name}.{tag}.weights.h5")
        normalize = zoo.info(run.name).preprocessing_of(tag).normalize
        found = []
        for recompute in (False, True):
            if recompute:
                fit_statistics(model, normalize(train.images.astype("float32")))
            x = normalize(test.images.astype("float32"))
            logits = model.predict(x, batch_size=BATCH, verbose=0)
            found.append((logits.argmax(-1) == test.labels).mean())
        print(
            f"{run.label}, seed {run.seed}: {found[0]:.1%} of {len(test):,} test images with the "
            f"moving averages, {found[1]:.1%} with statistics of {len(train):,} training images",
            flush=True,
        )


def fit_statistics(model, images, batch_size=BATCH):
    """Sets each batch normalization's moving averages to the means over batches of `images`.

    All batches are seen with the same weights. Dropout and the like draw as in training.

    Args:
        model: a Keras model; its weights stay as they are.
        images: array, (n, …), as the model takes them.
        batch_size: as in training, since variances depend on it.
    """
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momentum = [layer.momentum for layer in norms]
    for seen, begin in enumerate(range(0, len(images) - batch_size + 1, batch_size)):
        for layer in norms:
            layer.momentum = seen / (seen + 1)
        model(images[begin : begin + batch_size], training=True)
    for layer, before in zip(norms, momentum, strict=True):
        layer.momentum = before
