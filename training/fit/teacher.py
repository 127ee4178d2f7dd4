"""The teacher that a network in training follows: another network, trained on the same data."""

import json
from pathlib import Path

import keras
import numpy as np

from keras_recres import zoo
from training.errors import UserError
from training.fit import backup
from training.fit.models import build


def load(text, peek, model, precision="float32"):
    """Finds a teacher and checks that it can teach.

    Args:
        text: a name of the zoo that has weights for the data set, or the folder of a finished
            training.
        peek: an `Images` record of the data set, one image is enough.
        model: the network to teach.
        precision: Keras dtype policy that the teacher computes with.

    Returns:
        A model that takes the batches that `model` takes, and gives logits of the same classes.

    Raises:
        UserError: there is none, or it takes or gives something else.
    """
    find = _of_folder if Path(text).is_dir() else _of_zoo
    teacher = find(text, peek, precision)
    for what, theirs, ours in (
        ("takes", teacher.input_shape[1:], model.input_shape[1:]),
        ("gives", teacher.output_shape[1:], model.output_shape[1:]),
        ("prepares images by", _geometry(teacher.preprocess), _geometry(model.preprocess)),
    ):
        if theirs != ours:
            raise UserError(
                f"the teacher {str(text)!r} {what} {theirs}, but the network to teach {ours}."
            )
    return normalized(teacher, model.preprocess)


def _geometry(p):
    return {"size": p.size, "crop": p.crop, "interpolation": p.interpolation}


def normalized(teacher, p):
    """A teacher for images that were normalised for another network.

    Of a pixel x one has (s x − m) / d and the other (s' x − m') / d', which is linear in the first.

    Args:
        teacher: a model with `preprocess`.
        p: the other's `Preprocessing`.

    Returns:
        The teacher itself if it has the same.
    """
    own = teacher.preprocess
    (scale, mean, std), (own_scale, own_mean, own_std) = _numbers(p), _numbers(own)
    flip = own.bgr != p.bgr
    if flip:
        own_mean, own_std = own_mean[::-1], own_std[::-1]
    factor = own_scale * std / (scale * own_std)
    offset = (own_scale * mean / scale - own_mean) / own_std
    if np.allclose(factor, 1) and np.allclose(offset, 0) and not flip:
        return teacher
    images = keras.Input(teacher.input_shape[1:])
    again = keras.layers.Rescaling(factor.tolist(), offset.tolist(), dtype="float32")
    images_of_teacher = keras.ops.flip(again(images), -1) if flip else again(images)
    return keras.Model(images, teacher(images_of_teacher), name=f"{teacher.name}_normalized")


def _numbers(p):
    """Scale, mean and standard deviation as float64 arrays that broadcast over channels."""
    return p.scale, np.asarray(p.mean or (0.0,)), np.asarray(p.std or (1.0,))


def _of_zoo(name, peek, precision):
    try:
        zoo.info(name)
        model = zoo.load(name, weights=peek.tag, dtype=precision)
    except (ValueError, OSError) as error:
        raise UserError(f"--teacher: {' '.join(str(error).split())}") from None
    return model


def _of_folder(folder, peek, precision):
    folder = Path(folder)
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        settings = metrics["settings"]
        name, tag, overrides = settings["name"], settings["tag"], settings["model_arguments"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"--teacher: {folder} is not a folder of a finished training.") from None
    if tag != peek.tag:
        raise UserError(f"the teacher in {folder} was trained on {tag}, not on {peek.tag}.")
    overrides = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
    model, _ = build(name, peek, overrides, precision)
    backup.load(model, folder / f"{name}.{tag}.weights.h5", "train the teacher again")
    return model
