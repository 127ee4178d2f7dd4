"""The memory of truncated backpropagation: `python -m training.studies.truncation_memory WAY K`."""

import json
import subprocess
import sys

import numpy as np

from training.errors import UserError

SYMBOLS = 4
UNITS, STEPS, BATCH = 128, 512, 256


def network(steps, units, batch=None, **options):
    """An LSTM that tells a symbol at each step: logits (batch, steps, symbols + 1)."""
    import keras

    from keras_recres import layers

    inputs = keras.Input(batch_shape=(batch, steps, SYMBOLS))
    lstm = keras.layers.LSTMCell(units)
    x = layers.Recurrent(lstm, return_sequences=True, name="run", **options)(inputs)
    return keras.Model(inputs, keras.layers.Dense(SYMBOLS + 1, name="logits")(x))


def cross_entropy():
    """The loss of logits."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def measured(way, k):
    """The megabytes that training steps take in a process of its own."""
    command = [sys.executable, "-m", "training.studies.truncation_memory", way, str(k)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"memory was not measured: {(done.stderr.splitlines() or [''])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main(way, k, units=UNITS, steps=STEPS, batch=BATCH):
    """Trains two steps, and prints by how much memory grew at most, in megabytes.

    Args:
        way: "whole" for `truncate`, "windows" for windows of k steps.
        k: steps that gradients flow back.
        units: of the LSTM.
        steps: of a sequence.
        batch: sequences at once.
    """
    from keras_recres.zoo.fine_tuning import peak_memory

    if way == "whole":
        model, windows = network(steps, units, batch, truncate=k), [slice(0, steps)]
    else:
        model = network(k, units, batch, stateful=True)
        windows = [slice(i, i + k) for i in range(0, steps, k)]
    x = np.eye(SYMBOLS, dtype="float32")[np.zeros((batch, steps), int)]
    y = np.zeros((batch, steps), "int32")
    model.compile("sgd", cross_entropy())
    before = peak_memory()
    for _ in range(2):
        for window in windows[:4]:
            model.train_on_batch(x[:, window], y[:, window])
    print(json.dumps(round((peak_memory() - before) / 2**20, 1)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
