"""Networks that run in depth and in time, at equal parameters, on digits read row by row.

Three layers over the 28 rows of an MNIST digit, of about 20,000 parameters each: LSTMs one on
another; a Grid LSTM (arXiv 1507.01526), with weights of its own for each layer and with one layer's
for all; depth-gated LSTMs (1508.03790); densely connected Bi-LSTMs (1802.00889); and a
RecurrentResidual whose branch is an LSTM over the whole sequence, run three times: recurrent in
depth and in time. A dense layer reads the mean of the last layer's steps.
"""

import numpy as np

from training.ledger.summary import FINAL
from training.studies import drawings, sequences
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

PARAMETERS, DEPTH, RATE, BATCH = 20_000, 3, 3e-3, 100
KINDS = {
    "stacked": "LSTMs one on another",
    "grid": "Grid LSTM",
    "grid_tied": "Grid LSTM, one layer's weights",
    "depth_gated": "depth-gated LSTMs",
    "dense": "dense Bi-LSTMs",
    "residual": "RecurrentResidual of an LSTM",
}


def _seconds(row):
    found = [m["seconds"] for m in row.measured.metrics.values()]
    return f"{np.mean(found):,.0f}" if found else ""


class DepthAndTime(TrainedHere):
    examples = ("--data-dir DIR", "--data-dir DIR --limit 2000 --epochs 1", "--report")
    common, epochs = ("seeds", "epochs", "data-dir", "limit", "report", "out"), 4
    seeds = 2
    least = LEAST | {"limit": BATCH}
    columns = columns(
        "network",
        ("units", lambda row: str(units_of(row.form.name))),
        ("parameters", counted),
        "top-1, %",
        ("seconds", _seconds),
        "seeds",
    )

    def title(self, a):
        return f"MNIST, row by row, {a.epochs} epochs"

    def forms(self, a):
        return [Form(kind, kind, what) for kind, what in KINDS.items()]

    def learn(self, form, seed, a, path):
        import keras

        model = network(form.name, units_of(form.name))
        x, y = rows_of("train", a)
        order = np.random.default_rng(seed).permutation(len(x))[: len(x) // BATCH * BATCH]
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        found = sequences.learn(
            model, x[order], y[order], loss, RATE, 1.0, batch=BATCH, epochs=a.epochs
        )
        new, labels = rows_of("test", a)
        right = model.predict(new, batch_size=500, verbose=0).argmax(-1) == labels
        return {FINAL: float(right.mean()), "loss": found, "parameters": model.count_params()}

    def claims(self, table, a):
        for kind in ("grid", "grid_tied", "depth_gated", "dense", "residual"):
            what = f"{KINDS[kind]} against LSTMs one on another"
            yield from self.compared(table, what, kind, "stacked")
        what = "One layer's weights against three, Grid LSTM, at equal parameters"
        yield from self.compared(table, what, "grid_tied", "grid")

    def draw(self, table, path, a):
        """Accuracy of each seed and the mean against the seconds of a training."""
        with drawings.figure(path, (8, 4.5)) as (_, axes):
            drawings.seeds_at(axes, table, lambda row: float(_seconds(row).replace(",", "")))
            axes.set(xlabel="seconds a training", ylabel="top-1, %: each seed, and the mean")


def rows_of(split, a):
    """Digits as sequences of 28 rows, float32 (N, 28, 28) of 0 to 1, and their classes."""
    from training import data

    digits = data.load("mnist", split, a.data_dir, limit=a.limit)
    return digits.images[..., 0].astype("float32") / 255, np.asarray(digits.labels, "int32")


def units_of(kind):
    """The units with which a network's parameters come nearest to `PARAMETERS`."""
    return min(range(8, 65), key=lambda units: abs(parameters(kind, units) - PARAMETERS))


def parameters(kind, n, m=28, classes=10):
    """How many parameters a network of n units has; a test compares `network` with it."""
    lstm = 4 * (n * n + m * n + n)
    upper = 4 * (2 * n * n + n)
    grid = 2 * 4 * (2 * n * n + n)
    head = n * classes + classes
    return {
        "stacked": lstm + (DEPTH - 1) * upper + head,
        "grid": 2 * (m * n + n) + DEPTH * grid + head,
        "grid_tied": 2 * (m * n + n) + grid + head,
        # Peepholes for each, depth gates for the upper ones.
        "depth_gated": lstm + 3 * n + (DEPTH - 1) * (upper + 3 * n + n * n + 3 * n) + head,
        "dense": sum(8 * (n * n + (m + 2 * n * i) * n + n) for i in range(DEPTH))
        + 2 * n * classes
        + classes,
        "residual": m * n + n + upper + head,
    }[kind]


def network(kind, units):
    """One of `KINDS`: logits (batch, 10) of sequences (batch, 28, 28)."""
    import keras

    from keras_recres import layers

    x = inputs = keras.Input((28, 28))
    if kind == "dense":
        for _ in range(DEPTH):
            lstm = layers.Recurrent(keras.layers.LSTMCell(units), return_sequences=True)
            last = keras.layers.Bidirectional(lstm)(x)
            x = keras.layers.Concatenate()([x, last])
        x = last
    elif kind == "residual":
        lstm = layers.Recurrent(keras.layers.LSTMCell(units), return_sequences=True)
        x = layers.RecurrentResidual(lstm, steps=DEPTH)(keras.layers.Dense(units)(x))
    else:
        cell = {
            "stacked": lambda: [keras.layers.LSTMCell(units) for _ in range(DEPTH)],
            "grid": lambda: layers.GridLSTMCell(units, DEPTH),
            "grid_tied": lambda: layers.GridLSTMCell(units, DEPTH, tied=True),
            "depth_gated": lambda: layers.DepthGatedLSTMCell(units, DEPTH),
        }[kind]
        x = layers.Recurrent(cell(), return_sequences=True)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


STUDY = DepthAndTime()
