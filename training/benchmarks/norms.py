"""Training steps of the CIFAR-10 networks with our BatchNormalization and with Keras' own.

`train_on_batch` of 128 images, as `compile` leaves it: compiled on TensorFlow (without XLA on a
CPU) and JAX, eager on PyTorch. The two are timed in turns in one process.

On two cores of an AMD EPYC with nothing else running, `cifar_small` and `cifar_medium`, times as
fast as with Keras' layer: TensorFlow 1.15 and 1.21, PyTorch 1.32 and 1.28; JAX, where it is Keras'
layer, 1.00 and 0.99.
"""

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_recres import layers, zoo
from training.benchmarks.timing import seconds_in_turns

BATCH = 128
NETWORKS = ("cifar_small", "cifar_medium")


def cases(backend, quick):
    """The cases of one backend."""
    del backend
    return [{"network": name} for name in (NETWORKS[:1] if quick else NETWORKS)]


def measure(network):
    """Seconds of a training step with each."""
    keras.utils.set_random_seed(0)
    ours = zoo.build(network)
    models = {"Keras": keras.models.clone_model(ours, clone_function=_keras_norm), "ours": ours}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, *ours.input_shape[1:])).astype("float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, BATCH)]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    steps = {}
    for name, model in models.items():
        model.compile(keras.optimizers.SGD(1e-2), loss)
        # The loss comes back as a float, so the step is over when this returns.
        steps[name] = lambda model=model: float(model.train_on_batch(x, y))
    return {"train": seconds_in_turns(steps, 40, budget=20)}


def _keras_norm(layer):
    """The same layer, or Keras' norm in place of ours; not within other layers."""
    ours = isinstance(layer, layers.BatchNormalization)
    kind = keras.layers.BatchNormalization if ours else type(layer)
    return kind.from_config(layer.get_config())


def report(rows):
    """Prints milliseconds and ratios; the ratio is above 1 where ours is faster."""
    table = Table(title=f"A training step with either BatchNormalization; batch {BATCH}, ms")
    for heading in ("backend", "network", "Keras", "ours", "ratio"):
        table.add_column(heading, justify="right")
    for row in rows:
        keras_own, ours = (row["train"][name] for name in ("Keras", "ours"))
        times = f"{1e3 * keras_own:.1f}", f"{1e3 * ours:.1f}", f"{keras_own / ours:.2f}"
        table.add_row(row["backend"], row["network"], *times)
    Console(width=120).print(table)
