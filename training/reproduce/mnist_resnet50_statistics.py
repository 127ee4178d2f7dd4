"""Test accuracy of the trained ResNet-50s with batch statistics that fit their weights.

Batch normalization's moving averages (momentum 0.99) trail behind the weights of a short training,
and more so with α-ReLU, whose slope is large near zero. Here they are averaged anew over training
images with the weights held, as `--precise-bn` does it in training: how far a network has come, and
what inference lacks yet.
"""

from keras_recres import zoo
from training import data
from training.errors import UserError
from training.precise_bn import fit_statistics

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
                images = normalize(train.images.astype("float32"))
                fit_statistics(model, (images[i : i + BATCH] for i in range(0, FITTED, BATCH)))
            x = normalize(test.images.astype("float32"))
            logits = model.predict(x, batch_size=BATCH, verbose=0)
            found.append((logits.argmax(-1) == test.labels).mean())
        print(
            f"{run.label}, seed {run.seed}: {found[0]:.1%} of {len(test):,} test images with the "
            f"moving averages, {found[1]:.1%} with statistics of {len(train):,} training images",
            flush=True,
        )
