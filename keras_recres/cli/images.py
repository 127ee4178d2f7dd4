"""Which networks take image files, and which texts."""

from keras_recres.cli.errors import UserError
from keras_recres.zoo.text import TextPreprocessing


def takes_texts(record):
    """Whether a network's examples are texts."""
    return isinstance(record.preprocessing, TextPreprocessing)


def channels_of(record, tag):
    """How many channels a network's images have; refuses networks that take no images."""
    shape = record.arguments_of(tag).get("input_shape", ())
    if takes_texts(record):
        raise UserError(f"{record.name} takes texts, not images.")
    if record.preprocessing is None or len(shape) != 3 or shape[-1] not in (1, 3):
        raise UserError(f"{record.name} takes {tuple(shape) or 'points'}, not images.")
    return shape[-1]
