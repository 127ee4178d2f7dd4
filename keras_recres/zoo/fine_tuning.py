"""A network of the zoo, or one of your own, fine-tuned on a folder of images."""

from __future__ import annotations

import contextlib
import logging
import math
import pathlib
import re
import sys
import time
from typing import Any

import keras
import numpy as np

from keras_recres.backend import keras_private
from keras_recres.backend.types import Path
from keras_recres.models.families import family_of
from keras_recres.zoo import evaluation, image_folder, registry
from keras_recres.zoo.head_first import Batches, Best, fit, stoppable
from keras_recres.zoo.loading import load
from keras_recres.zoo.preprocessing import Preprocessing

logger = logging.getLogger("keras_recres")

# The share of the images to learn from that says which epoch is the best: the held-out ones are
# measured once, at the end.
WATCHED = 0.1
# A class with so many times the images of another is worth a sentence.
IMBALANCE = 3


def fine_tune(
    model_or_name: keras.Model | str,
    folder: Path,
    *,
    epochs: int = 10,
    freeze_epochs: int = 2,
    seed: int = 0,
    size: int | None = None,
    augment: bool | str = False,
    batch_size: int = 32,
    learning_rate: float = 3e-4,
    ema: float = 0.0,
    layer_decay: float = 1.0,
) -> tuple[keras.Model, dict[str, Any]]:
    """Trains a network on images of your own: first its head, then all layers.

    The folder has a subfolder for each class, or train/ and val/ with such subfolders, or is a CSV
    with the columns path and label. Without train/ and val/ a fifth of each class, drawn by the
    seed, is held out. A tenth of each class among the others is watched: the weights of the epoch
    that is best on these are kept, and the training ends when no epoch in a third of `epochs` was
    better. The held-out images are measured once, at the end. Files that are not images are
    named and left out, by the logger `keras_recres`, which also tells that classes are of very
    unequal size; progress goes to stderr.

    While only the head learns, the statistics of batch normalization stay as they are, too. Adam's
    learning rate is constant for the head; for all layers it rises through one epoch and falls
    along a half cosine. All pixels are held in memory, 3 bytes each: 500 images of 224 × 224 are
    75 MB. Ctrl-C, or `kill`, ends the training after the current batch, and what was best until
    then is measured and returned; given twice it ends at once.

    Args:
        model_or_name: A name of `zoo.list()` with weights, which gets a fresh head; or a model that
            `zoo.load` gave or that has a `preprocess` like those, with as many logits as there are
            classes. The model itself is trained; its head should be fresh if the classes are new.
        folder: Path of the folder or of the CSV.
        epochs: Passes over the images, those of the head included, at least 1.
        freeze_epochs: In the first so many of them only the head learns, at least 0.
        seed: Draws what is held out, the head, the order and the augmentation; 0 to 2³² − 1.
        size: Side of the images in pixels, of a name's network; None for the one that it was
            trained with.
        augment: Whether to mirror half of the images and to move each by up to an eighth.
        batch_size: Images a step, at least 1.
        learning_rate: Its peak, above 0.
        ema: Momentum of the average of the weights that is watched and kept, 0 for none to below 1.
        layer_decay: Factor of the learning rate from each layer with weights to the one before it
            (discriminative rates), above 0 to 1.

    Returns:
        The model, with `class_names`; and a dict: what was asked for, `classes` with the number of
        images of each, `skipped`, `log` by epoch, and of the held-out images `top1_percent`, its
        95 % `interval_percent` (Wilson), `confusion` (rows are the true classes) and
        `predictions`.

    Raises:
        ValueError: An argument is out of its range, the folder has no images, one class, or a class
            with too few, or the loss became NaN before any epoch was whole.
        ImportError: Pillow is missing.

    Example:
    >>> model, record = zoo.fine_tune("vit3_rec", "flowers", epochs=20)  # doctest: +SKIP
    >>> record["top1_percent"], record["interval_percent"]  # doctest: +SKIP
    (71.0, [61.5, 79.0])
    >>> model.save("flowers.keras")  # doctest: +SKIP
    """
    begin = time.perf_counter()
    _check(epochs, freeze_epochs, seed, batch_size, learning_rate, ema, layer_decay)
    named = isinstance(model_or_name, str)
    if not named:
        _check_model(model_or_name, size)
    listing = image_folder.find(
        folder, None if named else getattr(model_or_name, "class_names", None)
    )
    listing.split(seed)  # What cannot be is said before anything takes time.
    keras_private.set_random_seed(seed)
    model = _named(model_or_name, listing.class_names, size) if named else model_or_name
    channels, classes = model.input_shape[-1], evaluation.classes_of(model)
    if classes != len(listing.class_names):
        raise ValueError(
            f"{model.name!r} has {classes} logits, but {str(folder)!r} has "
            f"{len(listing.class_names)} classes: load it with classes=[…] or num_classes=…."
        )
    model.class_names = listing.class_names
    listing, pixels = image_folder.decoded(listing, channels, model.preprocess)
    held_out = listing.split(seed)
    _tell_imbalance(listing)
    learnt = np.flatnonzero(~held_out)
    watched = learnt[image_folder.draw(listing.labels[learnt], WATCHED, seed)]
    if len(watched):
        learnt = np.setdiff1d(learnt, watched)
    else:  # Of so few images none can be spared.
        watched = learnt
    batches, others = (
        Batches(pixels[part], listing.labels[part], model.preprocess, batch_size, *how)
        for part, how in ((learnt, (seed, augment)), (watched, ()))
    )
    best, asked = Best(max(3, math.ceil(epochs / 3))), (epochs, freeze_epochs)
    with stoppable(best):
        fit(model, batches, others, asked, learning_rate, ema, layer_decay, best)
        if best.weights is None:
            raise ValueError(
                f"the loss became NaN in epoch {len(best.log)}, before any epoch was whole: give a "
                f"learning_rate below {learning_rate:g}."
            )
        model.set_weights(best.weights)
        measured = _measured(model, listing, held_out, pixels, batch_size)
    counts = {
        name: {
            "learnt": int(np.sum(listing.labels[learnt] == i)),
            "watched": int(np.sum(listing.labels[watched] == i)),
            "held_out": int(np.sum(listing.labels[held_out] == i)),
        }
        for i, name in enumerate(listing.class_names)
    }
    network = getattr(model, "zoo_record", None)
    record = {
        "network": network.name if network else model.name,
        "tag": getattr(model, "zoo_tag", None),
        "folder": str(folder),
        "input_shape": list(model.input_shape[1:]),
        "parameters": model.count_params(),
        "settings": {
            "epochs": epochs,
            "freeze_epochs": freeze_epochs,
            "seed": seed,
            "size": size,
            "augment": augment,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "ema": ema,
            "layer_decay": layer_decay,
        },
        "classes": counts,
        "skipped": [list(entry) for entry in listing.skipped],
        "interrupted": best.interrupted,
        "best_epoch": best.epoch,
        "log": best.log,
        **measured,
        "backend": keras.backend.backend(),
        "seconds": time.perf_counter() - begin,
        "peak_memory_bytes": peak_memory(),
    }
    return model, record


def _check(epochs, freeze_epochs, seed, batch_size, learning_rate, ema, layer_decay):
    rules = {
        "epochs": (epochs, epochs >= 1, "at least 1"),
        "freeze_epochs": (freeze_epochs, freeze_epochs >= 0, "at least 0"),
        "seed": (seed, 0 <= seed < 2**32, "from 0 to 2**32 - 1"),
        "batch_size": (batch_size, batch_size >= 1, "at least 1"),
        "learning_rate": (learning_rate, 0 < learning_rate < math.inf, "above 0"),
        "ema": (ema, 0 <= ema < 1, "from 0 to below 1"),
        "layer_decay": (layer_decay, 0 < layer_decay <= 1, "above 0, and 1 at most"),
    }
    for name, (value, fine, allowed) in rules.items():
        if not fine:
            raise ValueError(f"{name} must be {allowed}, found {value!r}.")


def _check_model(model, size):
    preprocess = getattr(model, "preprocess", None)
    if len(getattr(model, "outputs", None) or ()) != 1:
        raise ValueError(f"fine_tune takes a name or a model with one output, found {model!r}.")
    if not isinstance(preprocess, Preprocessing) or preprocess.size is None:
        raise ValueError(
            f"{model.name!r} must have a `preprocess`, a zoo.Preprocessing with a size, found "
            f"{preprocess!r}."
        )
    if size is not None:
        raise ValueError("size is for a name of the zoo: a model has its own.")


def _named(name, class_names, size):
    """The network of a name with a fresh head."""
    record = registry.info(name)
    tag = registry.trained_tag(record, record.default_tag)
    if family_of(record.builder).inputs == "text":
        raise ValueError(f"{record.name} takes texts, and a folder of images has none.")
    shape = record.arguments_of(tag)["input_shape"]
    if record.preprocessing is None or len(shape) != 3:
        raise ValueError(f"{record.name} takes {tuple(shape)}, not images.")
    # Without a word: that its head is fresh is what was asked for.
    shape = None if size is None else (size, size, shape[-1])
    with _quiet():
        return load(name, classes=list(class_names), input_shape=shape)


@contextlib.contextmanager
def _quiet():
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _tell_imbalance(listing):
    counts = np.bincount(listing.labels)
    least, most = int(counts.argmin()), int(counts.argmax())
    if counts[most] >= IMBALANCE * counts[least]:
        logger.warning(
            "the classes of %s are of unequal size, from %s images of %r to %s of %r: accuracy is "
            "mostly that of the large ones.",
            listing.path,
            f"{counts[least]:,}",
            listing.class_names[least],
            f"{counts[most]:,}",
            listing.class_names[most],
        )


def _measured(model, listing, held_out, pixels, batch_size):
    """What the network says of the held-out images."""
    labels = listing.labels[held_out]
    logits = evaluation.logits_of(model, pixels[held_out], batch_size)
    probabilities, answers = evaluation.softmax(logits), logits.argmax(axis=-1)
    confusion = np.zeros((len(listing.class_names),) * 2, int)
    np.add.at(confusion, (labels, answers), 1)
    right = int(confusion.trace())
    log_sum = np.logaddexp.reduce(logits, axis=-1)
    return {
        "images": len(labels),
        "right": right,
        "top1_percent": 100 * right / len(labels),
        "interval_percent": [100 * end for end in evaluation.wilson(right, len(labels))],
        "loss": float(np.mean(log_sum - logits[np.arange(len(labels)), labels])),
        "confusion": confusion.tolist(),
        "predictions": [
            {
                "path": str(listing.files[n]),
                "label": listing.class_names[label],
                "predicted": listing.class_names[answer],
                "probability": float(row[answer]),
            }
            for n, label, answer, row in zip(
                np.flatnonzero(held_out), labels, answers, probabilities, strict=True
            )
        ],
    }


def peak_memory():
    """Bytes that this process has held at most, or None where the system does not say."""
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        # What getrusage tells begins, on Linux, with the peak of whoever started this process.
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return 1024 * int(found[1])
    try:
        import resource
    except ImportError:  # Windows.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
