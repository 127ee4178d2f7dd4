"""The teacher that a network in training follows: another network, trained on the same data."""

import dataclasses
import json
from pathlib import Path

from keras_recres import zoo
from training import backup
from training.errors import UserError
from training.models import build


def load(text, peek, model):
    """Finds a teacher and checks that it can teach.

    Args:
        text: a name of the zoo that has weights for the data set, or the folder of a finished
            training.
        peek: an `Images` record of the data set, one image is enough.
        model: the network to teach.

    Returns:
        A model that takes the batches that `model` takes, and gives logits of the same classes.

    Raises:
        UserError: there is none, or it takes or gives something else.
    """
    teacher = _of_folder(Path(text), peek) if Path(text).is_dir() else _of_zoo(text, peek)
    for what, theirs, ours in (
        ("takes", teacher.input_shape[1:], model.input_shape[1:]),
        ("gives", teacher.output_shape[1:], model.output_shape[1:]),
        ("prepares images by", _fields(teacher), _fields(model)),
    ):
        if theirs != ours:
            raise UserError(
                f"the teacher {str(text)!r} {what} {theirs}, but the network to teach {ours}."
            )
    return teacher


def _fields(model):
    return dataclasses.asdict(model.preprocess)


def _of_zoo(name, peek):
    try:
        zoo.info(name)
        model = zoo.load(name, weights=peek.tag)
    except (ValueError, OSError) as error:
        raise UserError(f"--teacher: {' '.join(str(error).split())}") from None
    return model


def _of_folder(folder, peek):
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        settings = metrics["settings"]
        name, tag, overrides = settings["name"], settings["tag"], settings["model_arguments"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"--teacher: {folder} is no folder of a finished training.") from None
    if tag != peek.tag:
        raise UserError(f"the teacher in {folder} was trained on {tag}, not on {peek.tag}.")
    overrides = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
    model, _ = build(name, peek, overrides)
    backup.load(model, folder / f"{name}.{tag}.weights.h5", "train the teacher again")
    return model
