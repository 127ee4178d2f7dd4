"""What a loaded network says of images, and how often it is right."""

import statistics
import time

import keras
import numpy as np
from keras import ops, tree

from keras_recres.backend.types import Data
from keras_recres.layers.checks import check_count
from keras_recres.models.families import TOLERANCE, family_of
from keras_recres.zoo.class_names import class_names
from keras_recres.zoo.pictures import Pictures


def classes_of(model):
    """Number of logits of a model; of several outputs the first one counts."""
    return model.outputs[0].shape[-1]


def class_names_of(model):
    """Names of the classes of a model, `model.class_names`; their numbers where it has none."""
    count, names = classes_of(model), getattr(model, "class_names", None)
    if names is None:
        return class_names(None, count)
    if isinstance(names, str) or len(names) != count:
        raise ValueError(
            f"model.class_names must be {count} names, one for each class of {model.name!r}, but "
            f"it is {names!r}."
        )
    return tuple(names)


def softmax(logits):
    """Probabilities over the last axis of a NumPy array."""
    return np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))


def check_logits(model, logits):
    """Refuses what a softmax has been applied to already, by its rows.

    Args:
        model: The model that gave them.
        logits: NumPy array (examples, …, classes), of at least two classes.

    Raises:
        ValueError: Every row is a distribution.
    """
    # More than rounding to 16 or 32 bits takes from a sum.
    tolerance = 1e-2 if "16" in model.outputs[0].dtype else 1e-5
    sums = np.asarray(logits, "float64").sum(axis=-1)
    if logits.size and logits.min() >= 0 and np.all(np.abs(sums - 1) < tolerance):
        raise ValueError(
            f"{model.name!r} must return logits, but every row of its outputs is a distribution "
            "already: build it without `classifier_activation`, and without a softmax of its own."
        )


def decode_predictions(
    model: keras.Model, logits: Data, top: int = 5
) -> list[list[tuple[int, str, float]]]:
    """The likeliest classes of each image, as `keras.applications` tells them.

    Example:
    >>> logits = model(model.preprocess(images))  # doctest: +SKIP
    >>> zoo.decode_predictions(model, logits, top=1)  # doctest: +SKIP
    [[(3, 'cat', 0.61)]]

    Args:
        model: A model that `zoo.load` gave, whose outputs are logits.
        logits: What it gives, (images, classes), of any backend.
        top: How many classes of each, at least 1.

    Returns:
        For each image a list of (index, name, probability), the likeliest first. The names are
        those of `model.class_names`, or the indices' digits where the model has none.

    Raises:
        ValueError: For logits or names of another number of classes, probabilities in the place of
            logits, or a `top` below 1.
    """
    logits, names = np.asarray(ops.convert_to_numpy(logits), "float64"), class_names_of(model)
    if logits.ndim != 2 or logits.shape[1] != len(names):
        raise ValueError(
            f"`logits` must have the shape (images, {len(names)}), but it is {logits.shape}."
        )
    check_count("top", top)
    check_logits(model, logits)
    return [
        [(int(i), names[i], float(p[i])) for i in p.argsort(kind="stable")[::-1][:top]]
        for p in softmax(logits)
    ]


def logits_of(model, images, batch_size=128, advance=None):
    """A model's logits for images, which go through `model.preprocess`.

    Args:
        model: A model that `zoo.load` gave.
        images: Sequence of uint8 arrays (height, width, channels), of any sizes, or one array; a
            list of texts; of whatever else the model takes one array (examples, …).
        batch_size: How many at once.
        advance: Function of the number of images just done, for a progress bar.

    Returns:
        A float64 NumPy array (images, classes); of grids (examples, …, classes).
    """
    parts = []
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        outputs = model.predict_on_batch(ops.convert_to_numpy(_prepared(model, some)))
        # Outputs after the first one are for training alone.
        parts.append(np.asarray(tree.flatten(outputs)[0], "float64"))
        if advance:
            advance(len(some))
    if not parts:
        return np.empty((0, *(side or 0 for side in model.outputs[0].shape[1:])))
    return np.concatenate(parts)


def evaluate(model, images, labels, batch_size=128, advance=None):
    """Top-1 accuracy and cross-entropy of a model on labelled images.

    Example:
    >>> from keras_recres.zoo.evaluation import evaluate
    >>> evaluate(model, images, labels)["top1_percent"]  # doctest: +SKIP
    70.3

    Args:
        model: A model that `zoo.load` gave, whose outputs are logits.
        images: Sequence of uint8 arrays (height, width, channels), or one array.
        labels: Integers (images,); of grids (examples, …), one for each cell. Floats of the
            outputs' shape, where these are numbers.
        batch_size: How many at once.
        advance: Function of the number of images just done, for a progress bar.

    Returns:
        A dict with `images`, `top1_percent`, its `standard_error_percent`, `loss` (nats),
        `seconds` and `images_per_second`. A grid is right if all its cells are; `loss` is the mean
        over cells, and `cells_percent` says how many of them are right. Numbers are right within
        0.01, `loss` is the mean of their squared errors, and there is a `largest_error`. Pixels are
        right on their side of a half, `top1_percent` is the share that is, and `loss` the mean of
        their binary cross-entropies.

    Raises:
        ValueError: For labels that are not one class of the model for each image, or outputs that
            are probabilities.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind == "f":
        return _evaluate_floats(model, images, labels, batch_size, advance)
    count, classes = len(images), classes_of(model)
    cells = model.outputs[0].shape[1:-1]
    fits = labels.ndim == 1 + len(cells) and len(labels) == count > 0
    if not fits or labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"`labels` must be one integer below {classes} for each of the {count} images, of "
            f"which there must be one at least, but their shape is {labels.shape}."
        )
    begin = time.perf_counter()
    logits = logits_of(model, images, batch_size, advance)
    seconds = time.perf_counter() - begin
    check_logits(model, logits)
    right = (logits.argmax(axis=-1) == labels).reshape(count, -1)
    accuracy = float(np.mean(right.all(axis=1)))
    log_sum = np.logaddexp.reduce(logits, axis=-1)
    found = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return {
        "images": count,
        "top1_percent": 100 * accuracy,
        "standard_error_percent": 100 * (accuracy * (1 - accuracy) / count) ** 0.5,
        "loss": float(np.mean(log_sum - found)),
        **({"cells_percent": 100 * float(np.mean(right))} if cells else {}),
        "seconds": seconds,
        "images_per_second": count / seconds,
    }


def _evaluate_floats(model, examples, answers, batch_size, advance):
    """`evaluate` of answers other than classes: numbers, or grey values of pixels."""
    begin = time.perf_counter()
    found = logits_of(model, examples, batch_size, advance)
    seconds = time.perf_counter() - begin
    if found.shape != answers.shape:
        raise ValueError(
            f"`labels` must be numbers of the shape {found.shape} that {model.name!r} gives for "
            f"{len(examples)} examples, but their shape is {answers.shape}."
        )
    found, answers = (x.reshape(len(x), -1).astype("float64") for x in (found, answers))
    record = getattr(model, "zoo_record", None)
    if record is not None and family_of(record.builder).answers == "pixels":
        right = np.mean((found > 0) == (answers > 0.5), axis=1)
        measured = {"loss": float(np.mean(np.logaddexp(0, found) - answers * found))}
    else:
        error = np.abs(found - answers)
        right = error.max(axis=1) <= TOLERANCE
        measured = {"loss": float(np.mean(error**2)), "largest_error": float(error.max())}
    return {
        "images": len(examples),
        "top1_percent": 100 * float(np.mean(right)),
        "standard_error_percent": 100 * float(np.std(right)) / len(right) ** 0.5,
        **measured,
        "seconds": seconds,
        "images_per_second": len(examples) / seconds,
    }


def wilson(right, count, confidence=0.95):
    """Wilson's interval of a share, which also holds near 0 and 1 and for few examples.

    Example:
    >>> [round(end, 3) for end in wilson(8, 10)]
    [0.49, 0.943]

    Args:
        right: How many examples were right, 0 to `count`.
        count: Of how many, at least 1.
        confidence: How often such intervals hold the true share, between 0 and 1.

    Returns:
        Its two ends, from 0 to 1.
    """
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = right / count, count / (count + z**2)
    middle = weight * share + (1 - weight) / 2
    reach = z * weight * (share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5
    return max(0.0, middle - reach), min(1.0, middle + reach)


def measure(model, split, batch_size=128, advance=None):
    """`evaluate` on a split of a data set as it is stored.

    Args:
        model: A model that `zoo.load` gave.
        split: A `zoo.tfds_folder.Split`.
        batch_size: How many examples at once.
        advance: Function of the number of examples just done, for a progress bar.

    Returns:
        What `evaluate` returns, with `dataset`, which says what was really read, and `split`.

    Raises:
        ValueError: The data set has other inputs or classes than the model.
        OSError: It is damaged.
    """
    examples, labels = _examples(model, split)
    measured = evaluate(model, examples, labels, batch_size, advance)
    return {"dataset": split.tag, "split": split.split, **measured}


def arrays(model, split, batch_size=128):
    """All examples of a split at once, as the model takes them, and their labels.

    Args:
        model: A model that `zoo.load` gave.
        split: A `zoo.tfds_folder.Split`.
        batch_size: How many examples are prepared at once.

    Returns:
        NumPy arrays (examples, …) and (examples, …).

    Raises:
        ValueError: The data set has other inputs or classes than the model.
        OSError: It is damaged.
    """
    examples, labels = _examples(model, split)
    parts = [
        ops.convert_to_numpy(_prepared(model, examples[start : start + batch_size]))
        for start in range(0, len(examples), batch_size)
    ]
    return np.concatenate(parts), np.asarray(labels)


def _prepared(model, some):
    """Some images or texts on their way through `model.preprocess`."""
    if isinstance(some[0], str | bytes):
        return model.preprocess(some)
    if len({image.shape for image in some}) == 1:
        return model.preprocess(np.stack(some))
    return ops.concatenate([model.preprocess(image) for image in some])


def _examples(model, split):
    """The examples of a split, before `model.preprocess`, and their labels."""
    record, classes = model.zoo_record, classes_of(model)
    known = family_of(record.builder)
    if known.holds != split.holds:
        raise ValueError(
            f"{record.name} takes {known.taken}, but {split.dataset} has {split.holds}."
        )
    if len(split.class_names) != classes:
        raise ValueError(
            f"{record.name} knows {classes} classes, but {split.dataset} has "
            f"{len(split.class_names)}."
        )
    examples = split.data
    if split.holds == "images":
        # Pillow resizes, as in training: on JAX every size would be compiled for itself.
        resizes = getattr(model.preprocess, "size", None) is not None
        channels = model.input_shape[-1]
        examples = Pictures(split, channels, model.preprocess if resizes else None)
    labels = split.labels
    if labels is None:
        _, labels = split.read(np.arange(len(split.data)))
    return examples, labels
