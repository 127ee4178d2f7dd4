"""Weights drawn by NumPy, the same on every backend, and the logits that they must give.

    python -m tests.zoo.seeded [NAME …]

adds the logits of new names without trained weights to `seeded.json`, on the backend in use, writes
those of the given names anew, for networks that were changed on purpose, and drops those of names
whose trained weights have a golden file.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np

from keras_recres import zoo
from keras_recres.models.families import family_of
from keras_recres.models.random_inputs import random_inputs
from keras_recres.zoo import manifest, sources

FILE = Path(__file__).with_suffix(".json")
# Arguments that say how weights begin: names that differ in nothing else are one network.
INITIAL = ("initializer", "sigma_w_sq", "sigma_v_sq", "sigma_b_sq", "sigma_a_sq")


def network(record):
    """What two records of the zoo have in common that build one network."""
    arguments = {key: value for key, value in record.arguments.items() if key not in INITIAL}
    return record.builder, json.dumps(arguments, sort_keys=True)


def ours():
    """Records of the networks that this project trains, which alone have logits to compare with."""
    return [record for record in zoo.list() if "own" in family_of(record.builder).weights]


def networks():
    """For each network that this project trains, what `network` gives: the first of its records."""
    records = {}
    for record in ours():
        records.setdefault(network(record), record)
    return records


def give_weights(model):
    """Gives every weight of a model values of its own, of a size that keeps the signal's.

    Kernels are drawn from N(0, 1 / fan-in), moving variances from U(0.5, 1.5), scales and slopes
    near 1 and 0.25, words' vectors from N(0, 1), everything else from N(0, 0.1²).
    """
    for i, weight in enumerate(model.weights):
        if not keras.backend.is_float_dtype(weight.dtype):
            continue
        rng, shape = np.random.default_rng(i), weight.shape
        # Of a step's own copy the name ends so.
        if weight.name.endswith("variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif weight.name.endswith("gamma"):
            value = rng.normal(1.0, 0.1, shape)
        elif weight.name == "embeddings":
            value = rng.normal(0.0, 1.0, shape)
        elif weight.name in ("slope", "alpha"):
            value = rng.normal(0.25, 0.05, shape)
        elif len(shape) >= 2:
            value = rng.normal(0.0, np.prod(shape[:-1]) ** -0.5, shape)
        else:
            value = rng.normal(0.0, 0.1, shape)
        weight.assign(value.astype("float32"))


def inputs_of(model):
    """Two fixed inputs, standard normal numbers or, of texts, numbers of words."""
    if "int" in model.inputs[0].dtype:
        return keras.ops.convert_to_numpy(random_inputs(model)[0])
    shape = (2, *model.input_shape[1:])
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def thinned(logits):
    """A hundred of more than ten thousand logits, of a film's pixels; else all of them."""
    if logits.size <= 10_000:
        return logits
    return logits.reshape(-1)[:: -(-logits.size // 100)]


def logits_of(record):
    """The logits that are kept of a record's network."""
    return np.asarray(read()[networks()[network(record)].name])


def read():
    """Logits by name, nested lists of numbers."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def main(renew):
    kept = {name: logits for name, logits in read().items() if name not in renew}
    lines = []
    for record in networks().values():
        if record.default_tag in record.trained_tags:
            continue
        if record.name not in kept:
            model = zoo.build(record.name, tag=record.default_tag)
            give_weights(model)
            # Outputs after the first one are for training alone.
            first, *_ = keras.tree.flatten(model(inputs_of(model), training=False))
            found = keras.ops.convert_to_numpy(first)
            kept[record.name] = np.round(thinned(found).astype("float64"), 8).tolist()
        lines.append(f"  {json.dumps(record.name)}: {json.dumps(kept[record.name])}")
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    manifest.write(sources.data_folder())


if __name__ == "__main__":
    main(sys.argv[1:])
