"""Plain and highway networks of dense layers on MNIST, 10 to 100 deep: which learn, what gates do.

The networks of arXiv 1505.00387: layers of 50 units with gates, or of 71 without, about 5,000
parameters a layer, tanh, Glorot's initialisation, gates' biases from −2. Both kinds are trained
alike, by Adam, whose rate falls by a tenth an epoch; one search chooses the first rate of each kind
and depth, that of the least training loss after an epoch, among the same five. The authors searched
a hundred settings of SGD each. Compared is the training loss, mean of the last epoch, by its power
of ten.

Of each highway network three things are measured, layer by layer, on 2,000 images of the test set:
the mean bias of its gates, how far they are open, and the accuracy with the gates of this one layer
closed, so that it passes its input on, as in 1507.06228.
"""

import csv
import json
import math
import statistics

import numpy as np

from training.fit.run_folder import read_log
from training.ledger.summary import FINAL
from training.studies import drawings
from training.studies.effects import Cells
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

DEPTHS, UNITS = (10, 20, 50, 100), {"plain": 71, "highway": 50}
BATCH, GATE_BIAS, DECAY = 100, -2.0, 0.9
RATES = (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3)
# Layers up to it are early ones, of the 50 deep network whose gates a claim is about.
EARLY, TOLD, TESTED = 15, "highway_50", 2000


def _mean(key, text):
    def cell(row):
        found = row.measured.mean(key)
        return "" if found is None else format(found, text)

    return cell


class HighwayStudy(TrainedHere):
    examples = (
        "--data-dir DIR",
        "--data-dir DIR --arms '*_10' --limit 2000 --epochs 1",
        "--report",
    )
    common, epochs = ("seeds", "epochs", "data-dir", "limit", "report", "out"), 20
    key, unit = "log10_loss", "powers of ten"
    seeds = 2
    least = LEAST | {"limit": BATCH}
    columns = columns(
        "network",
        ("parameters", counted),
        ("rate", _mean("rate", "g")),
        ("training loss", _mean("loss", ".4f")),
        ("its power of ten", lambda row: row.measured.text("log10_loss")),
        *("top-1, %", "seeds"),
    )

    def title(self, a):
        return f"Dense networks on MNIST, {a.epochs} epochs"

    def forms(self, a):
        return [
            Form(f"{kind}_{depth}", kind, f"{kind}, {depth} layers", {"depth": depth})
            for depth in DEPTHS
            for kind in UNITS
        ]

    def learn(self, form, seed, a, path):
        import keras

        x, y = digits("train", a)
        new, labels = digits("test", a)
        model = network(form.name, form.arguments["depth"])
        fit = Fit(model, x, y, seed)
        # The first seed has searched.
        searched = path.parent / str(self.first_seed) / "metrics.json"
        if searched.exists():
            rate = json.loads(searched.read_text(encoding="utf-8"))["rate"]
        else:
            rate = min(RATES, key=lambda rate: fit(rate, 1))
        loss = fit(rate, a.epochs, [keras.callbacks.CSVLogger(path / "log.csv")])
        found = {
            "rate": rate,
            "loss": loss,
            self.key: math.log10(loss),
            FINAL: right(model, new, labels),
            "parameters": model.count_params(),
        }
        if form.name == "highway":
            rows = gates(model, new[:TESTED], labels[:TESTED])
            with open(path / "gates.csv", "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            lost = {row["layer"]: row["points_lost"] for row in rows}
            for when, layers in (
                ("early", [k for k in lost if k <= EARLY]),
                ("late", [k for k in lost if k > EARLY]),
            ):
                if layers:
                    found[f"lost_{when}"] = statistics.mean(lost[k] for k in layers)
        return found

    def claims(self, table, a):
        for depth in DEPTHS:
            what = f"Training loss of highway against plain, {depth} layers"
            yield from self.compared(table, what, f"highway_{depth}", f"plain_{depth}")
        for kind in UNITS:
            what = f"Training loss of {kind}, {DEPTHS[-1]} layers against {DEPTHS[0]}"
            yield from self.compared(table, what, f"{kind}_{DEPTHS[-1]}", f"{kind}_{DEPTHS[0]}")
        if TOLD in table:
            measured = table[TOLD].measured
            lost = Cells({when: measured.values(f"lost_{when}") for when in ("early", "late")})
            what = f"Gates of one layer closed, layers 2 to {EARLY} of 50 against those after them"
            effect = lost.difference("early", "late")
            yield what, effect, "points of accuracy lost", "costlier", "cheaper"

    def notes(self, table, a):
        told = ", ".join(f"{rate:g}" for rate in RATES)
        return [f"Rates searched for each kind and depth, one epoch each: {told}."]

    def draw(self, table, path, a):
        """Training loss by epoch, and gates by layer: bias, opening, what closing them costs."""
        panels = {
            "bias": "mean bias of the gates",
            "opening": "mean opening of the gates",
            "points_lost": "points lost with the layer's gates closed",
        }
        with drawings.figure(path, (18, 4), 1, 4) as (_, axes):
            for row in table.values():
                folder, depth = row.runs[0].path, row.form.arguments["depth"]
                style = {"color": f"C{DEPTHS.index(depth)}", "label": row.form.what}
                style["linestyle"] = "-" if row.form.name == "highway" else "--"
                log = read_log(folder / "log.csv")
                axes[0].plot([1 + r["epoch"] for r in log], [r["loss"] for r in log], **style)
                if (folder / "gates.csv").exists():
                    rows = read_gates(folder / "gates.csv")
                    for axis, key in zip(axes[1:], panels, strict=True):
                        layers = [r["layer"] for r in rows]
                        axis.plot(layers, [r[key] for r in rows], **style)
            axes[0].set(xlabel="epochs", ylabel="training loss", yscale="log")
            axes[0].legend(fontsize="small")
            for axis, label in zip(axes[1:], panels.values(), strict=True):
                axis.set(xlabel="layer", ylabel=label, xscale="log")
            for axis in axes:
                axis.grid(alpha=0.3)


class Fit:
    """Trains a model from the same start each time, and compiles it once.

    Args:
        model: a built model of logits.
        x: its inputs.
        y: their classes.
        seed: of the order of examples.
    """

    def __init__(self, model, x, y, seed):
        import keras

        from training.fit.models import jit_compile

        self.model, self.x, self.y, self.seed = model, x, y, seed
        self.start = model.get_weights()
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(model.trainable_variables)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(self.optimizer, loss, jit_compile=jit_compile())

    def __call__(self, rate, epochs, callbacks=()):
        """The loss of the last epoch, infinite where it overflowed."""
        import keras

        keras.utils.set_random_seed(self.seed)
        self.model.set_weights(self.start)
        for variable in self.optimizer.variables:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
        falls = keras.callbacks.LearningRateScheduler(lambda epoch: rate * DECAY**epoch)
        history = self.model.fit(
            self.x,
            self.y,
            batch_size=BATCH,
            epochs=epochs,
            callbacks=[falls, *callbacks],
            verbose=0,
        )
        loss = history.history["loss"][-1]
        return float(loss) if math.isfinite(loss) else math.inf


def digits(split, a):
    """Pixels, float32 (N, 784) of 0 to 1, and classes of MNIST; of training, whole batches."""
    from training import data

    found = data.load("mnist", split, a.data_dir, limit=a.limit)
    count = len(found.images)
    count -= count % BATCH if split == "train" else 0
    pixels = found.images[:count].reshape(count, -1).astype("float32") / 255
    return pixels, np.asarray(found.labels[:count], "int32")


def network(kind, depth):
    """Logits (batch, 10) of pixels (batch, 784), of so many layers before them."""
    import keras

    from keras_recres import layers

    def dense(name):
        return keras.layers.Dense(UNITS[kind], "tanh", name=name)

    inputs = keras.Input((784,))
    x = dense("layer1")(inputs)
    for i in range(2, depth + 1):
        layer = dense(f"layer{i}")
        if kind == "highway":
            layer = layers.Highway(dense("transform"), gate_bias=GATE_BIAS, name=f"layer{i}")
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def right(model, x, labels):
    """Accuracy, in [0, 1]."""
    answers = model.predict(x, batch_size=500, verbose=0).argmax(-1)
    return float((answers == labels).mean())


def gates(model, x, labels):
    """What each layer's gates are and do, a list of dicts.

    Returns:
        layer: its number, from 2 on;
        bias: mean bias of its gates;
        opening: their mean over units and examples, in [0, 1];
        points_lost: of accuracy, with the gates of this layer closed.
    """
    import keras

    from keras_recres import layers

    highways = [layer for layer in model.layers if isinstance(layer, layers.Highway)]
    states = keras.Model(model.input, [layer.input for layer in highways])
    states = keras.tree.flatten(states.predict(x, batch_size=500, verbose=0))
    whole, rows = right(model, x, labels), []
    for i, (layer, state) in enumerate(zip(highways, states, strict=True), 2):
        opening = keras.ops.convert_to_numpy(layer.gate(state))
        kernel, bias = layer.gate.get_weights()
        layer.gate.set_weights([0 * kernel, np.full_like(bias, -1e4)])
        lost = 100 * (whole - right(model, x, labels))
        layer.gate.set_weights([kernel, bias])
        row = {"layer": i, "bias": float(bias.mean()), "opening": float(opening.mean())}
        rows.append({**row, "points_lost": lost})
    return rows


def read_gates(file):
    """The rows that `gates` gave, of numbers."""
    with open(file, newline="", encoding="utf-8") as lines:
        return [{key: float(x) for key, x in row.items()} for row in csv.DictReader(lines)]


STUDY = HighwayStudy()
