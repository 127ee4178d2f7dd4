"""What a model answers to a few inputs, on the backend in use: what its export must answer, too."""

import struct
import zlib

import numpy as np
from keras import ops

from keras_recres.models import random_inputs as inputs
from keras_recres.zoo.evaluation import check_logits
from keras_recres.zoo.text import TextPreprocessing

BATCH = 3
# Between classes whose logits are nearer than this, rounding may decide.
MARGIN = 1e-4


def make(network, preprocessing, labels, max_steps):
    """Inputs and outputs of every signature, "SIGNATURE/inputs/NAME" and "SIGNATURE/outputs/NAME".

    Args:
        network: The `Network`.
        preprocessing: What encoded images or texts go through, or None.
        labels: Names of the classes.
        max_steps: Largest number of steps that is allowed.
    """
    generator = np.random.default_rng(0)
    shape = network.input_shape
    texts = isinstance(preprocessing, TextPreprocessing)
    if preprocessing is None or texts:
        # JAX makes 32-bit integers of the 64 that a signature asks for.
        x = random_inputs(network, BATCH).astype(network.input_dtype)
    else:
        pixels = generator.integers(0, 256, (BATCH, *shape), dtype="uint8")
        x = ops.convert_to_numpy(preprocessing(pixels))
    name = "images" if len(shape) == 3 else "inputs"
    features, logits = _numpy(network(x))
    check_logits(network.model, logits)
    found = {
        "features/inputs/" + name: x,
        "features/outputs/features": features,
        "serving_default/inputs/" + name: x,
        **_answer("serving_default", logits, labels),
    }
    if texts:
        words = generator.choice(preprocessing.known, (BATCH, 2 * preprocessing.length))
        # Of three lengths, with what is dropped, unknown or upper case.
        written = [" ".join(row[: 5**i]) + "<br />Qx-ç'X!" for i, row in enumerate(words, 1)]
        _, logits = _numpy(network(preprocessing(written)))
        found["serving_texts/inputs/texts"] = np.array([text.encode() for text in written])
        found.update(_answer("serving_texts", logits, labels))
    elif preprocessing is not None:
        # Not of the network's size: this resizes and, where there is a border to cut off, crops.
        height, width, channels = shape
        larger = (BATCH, height + height // 2, 2 * width, channels)
        pixels = generator.integers(0, 256, larger, dtype="uint8")
        _, logits = _numpy(network(preprocessing(pixels)))
        found["serving_bytes/inputs/image_bytes"] = np.array([png(image) for image in pixels])
        found.update(_answer("serving_bytes", logits, labels))
    if network.steps:
        # As built, fewer and more, in one batch.
        most = [min(s + 1, max_steps) for s in network.steps]
        wanted = np.array([network.steps, [1] * len(network.steps), most], "int32")
        rows = [network.with_static_steps(x[i : i + 1], row)[1] for i, row in enumerate(wanted)]
        found["serving_steps/inputs/" + name] = x
        found["serving_steps/inputs/steps"] = wanted
        found.update(_answer("serving_steps", np.concatenate(_numpy(rows)), labels))
    return found


def random_inputs(network, batch):
    """A batch for a `Network`, as `models.random_inputs` makes it."""
    return ops.convert_to_numpy(inputs.random_inputs(network.model, batch)[0])


def inputs_of(reference):
    """For every signature its inputs."""
    inputs = {}
    for key, array in reference.items():
        signature, kind, name = key.split("/")
        if kind == "inputs":
            inputs.setdefault(signature, {})[name] = array
    return inputs


def _answer(signature, logits, labels):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = {
        f"{signature}/outputs/logits": logits,
        f"{signature}/outputs/probabilities": e / e.sum(axis=1, keepdims=True),
    }
    first, second = np.sort(logits, axis=1)[:, [-1, -2]].T
    if np.all(first - second > MARGIN):
        names = [labels[i].encode() for i in logits.argmax(axis=1)]
        found[f"{signature}/outputs/classes"] = np.array(names)
    return found


def _numpy(tensors):
    return [ops.convert_to_numpy(x) for x in tensors]


def png(pixels):
    """A PNG file of uint8 pixels, (height, width, 1 or 3): exact, and without another library."""
    height, width, channels = pixels.shape
    # Each row begins with its filter, 0 for none.
    rows = np.concatenate(
        [np.zeros((height, 1), "uint8"), pixels.reshape(height, width * channels)], axis=1
    )
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
