"""Images in files, and what a model says to them."""

import io

import numpy as np
from keras import ops
from PIL import Image


def encode(pixels, kind="PNG", **options):
    """A file of uint8 pixels, as bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decode(contents, mode="RGB"):
    """Its pixels, as Pillow has them."""
    return np.asarray(Image.open(io.BytesIO(contents)).convert(mode))


def logits_of(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def logits_of_files(model, files):
    """Decoded by Pillow, preprocessed one by one by the model's own preprocessing."""
    x = [ops.convert_to_numpy(model.preprocess(decode(file))) for file in files]
    return logits_of(model, np.concatenate(x))
