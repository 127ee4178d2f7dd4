"""Trains a small model in one or more scopes and prints what was logged: `train.py JOBS`.

JOBS is a JSON list of {"kind", "model", "options"}. Of a job that is refused it prints the error.
"""

import json
import sys

import keras
import numpy as np
from keras import layers

from keras_recres import distribute, models
from keras_recres.layers import RecurrentResidual
from keras_recres.models import rules
from keras_recres.models.families import family_of
from tests.distribute import virtual

BATCH = 16


class Batches(keras.utils.PyDataset):
    """The same four batches in every process."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.x = rng.normal(size=(4 * BATCH, 8)).astype("float32")
        self.y = (self.x[:, 0] * self.x[:, 1] > 0).astype("int32")

    def __len__(self):
        return 4

    def __getitem__(self, index):
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return self.x[rows], self.y[rows]


def norm(**options):
    """Dense layers, batch normalization and a recurrent block."""
    branch = keras.Sequential([layers.BatchNormalization(), layers.Dense(8, "tanh")])
    return keras.Sequential(
        [keras.Input((8,)), RecurrentResidual(branch, steps=2, **options), layers.Dense(2)],
        name="norm",
    )


def scan():
    """The same, its steps a loop that asks for what replicas may not do in one."""
    return norm(loop="scan", remat=True)


def frn():
    return models.mean_field_net("frn", depth=2, width=8, input_shape=(8,), num_classes=2)


def vit():
    """A T2T-ViT of images that a dense layer makes."""
    network = models.t2t_vit(
        1,
        2,
        input_shape=(32, 32, 3),
        num_classes=2,
        embed_dim=16,
        num_heads=2,
        token_dim=8,
        drop_path=0.0,
    )
    image = [keras.Input((8,)), layers.Dense(32 * 32 * 3), layers.Reshape((32, 32, 3))]
    return keras.Sequential([*image, network], name="vit")


def blocks(rule):
    """Residual blocks made recurrent."""
    x = inputs = keras.Input((8,))
    for _ in range(3):
        y = layers.Dense(8, "tanh")(layers.BatchNormalization()(x))
        x = layers.Add()([x, y])
    model = keras.Model(inputs, layers.Dense(2)(x), name="blocks")
    return models.recurrent(model, rule, verbose=False)[0]


def repeated():
    return blocks(rules.repeat(2))


def folded():
    return blocks(rules.fold(rank=2))


MODELS = {one.__name__: one for one in (norm, scan, frn, vit, repeated, folded)}
LAYOUTS = {"frn": ("mean_field_net", {"kind": "frn"}), "vit": ("t2t_vit", {})}


def train(kind, model, options=()):
    options = dict(options)
    if kind == "model_parallel" and "layout" not in options:
        builder, arguments = LAYOUTS[model]
        options["layout"] = family_of(builder).layout(arguments)
    keras.utils.set_random_seed(0)
    with distribute.scope(kind, **options) as devices:
        network = devices.prepare(MODELS[model]())
        network.compile(
            keras.optimizers.Adam(0.01),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        data = Batches()
        batches = devices.shard(data)
        fitted = network.fit(batches, epochs=3, shuffle=False, verbose=0, validation_data=batches)
        np.testing.assert_array_equal(data.x, Batches().x, "training changed the data")
        agree = [devices.agree(3), devices.agree(devices.process)]
        weights = [float(np.abs(keras.ops.convert_to_numpy(w)).sum()) for w in network.weights]
    return {
        "kind": devices.kind,
        "replicas": devices.replicas,
        "processes": devices.processes,
        "process": devices.process,
        "agree": agree,
        "history": fitted.history,
        "weights": weights,
    }


if __name__ == "__main__":
    virtual.make()
    found = []
    for job in json.loads(sys.argv[1]):
        try:
            found.append(train(**job))
        except ValueError as error:
            found.append({"refused": str(error)})
    print(json.dumps(found))
