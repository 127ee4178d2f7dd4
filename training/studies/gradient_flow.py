"""What becomes of gradients in time and in depth, and which networks learn the adding task.

Five ways to pass on a state, h = F(h₋, x): plain, tanh(W x + U h₋ + b); residual,
h₋ + 0.1 tanh(W (h₋ + x) + b); highway, whose gate carries h₋ + x; GRU; LSTM. Each runs for 50, 100
and 200 steps: in time over the adding task (arXiv 1211.5063, section 4, has such tasks), with
gradients clipped to the norm 1 and not, and in depth as a block of shared weights that is run
again. Measured is the norm of ∂h_T/∂h_0, at the start and, in time, after training. An answer is
right if it is within 0.04 of the sum.
"""

import csv

import numpy as np

from training.ledger.summary import FINAL
from training.studies import drawings, sequences
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

UNITS, SCALE, RATE, CLIP = 32, 0.1, 2e-3, 1.0
STEPS = (50, 100, 200)
KINDS = {
    "plain": "plain",
    "residual": "residual, step 0.1",
    "highway": "highway",
    "gru": "GRU",
    "lstm": "LSTM",
}
# The lecture's factors of a linear recurrence.
FACTORS, LONG = (0.5, 0.9, 1.1, 1.5), 128
EXAMPLES, TESTED = 8, 1000


def _norm(key):
    def text(row):
        values = [m[key] for m in row.measured.metrics.values() if key in m]
        return f"{np.median(values):.1e}" if values else ""

    return text


class GradientFlow(TrainedHere):
    examples = ("", "--updates 20 --arms '*_50*'", "--report")
    seeds, words = 2, 2
    least = LEAST | {"updates": 1}
    columns = columns(
        "network",
        ("gradients", lambda row: "clipped" if row.form.arguments["clip"] else ""),
        ("parameters", counted),
        ("right, %", lambda row: row.measured.text(FINAL)),
        ("‖∂h_T/∂h_0‖ at first", _norm("first")),
        ("after training", _norm("last")),
        "seeds",
    )

    def options(self, p):
        told = "training steps of 32 sequences (default 3000)"
        p.add_argument("--updates", type=int, default=3000, help=told)

    def forms(self, a):
        in_time = [
            Form(
                f"{kind}_{steps}{'_clipped' if clip else ''}",
                kind,
                what,
                {"steps": steps, "clip": clip, "along": "time"},
            )
            for steps in STEPS
            for clip in (False, True)
            for kind, what in KINDS.items()
        ]
        return in_time + [
            Form(
                f"{kind}_{steps}_depth",
                kind,
                what,
                {"steps": steps, "clip": False, "along": "depth"},
                seeds=1,
            )
            for steps in STEPS
            for kind, what in KINDS.items()
        ]

    def settings(self, form, a):
        return {"updates": a.updates}

    def groups(self, table, a):
        titles = {"time": "The adding task, {} steps in time", "depth": "{} steps in depth"}
        found = {}
        for row in table.values():
            steps, along = row.form.arguments["steps"], row.form.arguments["along"]
            found.setdefault(titles[along].format(steps), []).append(row)
        return found

    def learn(self, form, seed, a, path):
        from keras_recres.probes import gradient_flow

        steps, along = form.arguments["steps"], form.arguments["along"]
        rng = np.random.default_rng(seed)
        if along == "depth":
            model = deep(form.name, steps)
            x = rng.normal(size=(EXAMPLES, *model.input_shape[1:])).astype("float32")
            record = gradient_flow(model, x, along=along)
            record.to_csv(path / "first.csv")
            return {"first": float(np.median(record.jacobian[:, 0])), **size(model)}
        model = in_time(form.name, steps)
        x, y = sequences.adding(a.updates * sequences.BATCH, steps, seed)
        new, sums = sequences.adding(TESTED, steps, (seed, 1))
        clip = CLIP if form.arguments["clip"] else None
        found = {}
        for when in ("first", "last"):
            if when == "last":
                found["loss"] = sequences.learn(model, x, y, "mse", RATE, clip)
            record = gradient_flow(model, new[:EXAMPLES])
            record.to_csv(path / f"{when}.csv")
            found[when] = float(np.median(record.jacobian[:, 0]))
        error = np.abs(model.predict(new, batch_size=250, verbose=0) - sums)
        # Of what overflowed nothing is right.
        return {**found, FINAL: float(np.mean(error < sequences.NEAR)), **size(model)}

    def claims(self, table, a):
        from keras_recres.probes import gradient_product

        products = gradient_product(FACTORS, LONG)
        told = ", ".join(f"{w}: {p:.3g}" for w, p in zip(FACTORS, products, strict=True))
        yield f"A linear recurrence multiplies a gradient in {LONG} steps by w^{LONG}, {told}."
        for steps in STEPS:
            for kind in list(KINDS)[1:]:
                what = f"{steps} steps, clipped: {KINDS[kind]} against plain"
                labels = f"{kind}_{steps}_clipped", f"plain_{steps}_clipped"
                yield from self.compared(table, what, *labels)
        for kind, what in KINDS.items():
            labels = f"{kind}_{STEPS[-1]}_clipped", f"{kind}_{STEPS[-1]}"
            yield from self.compared(
                table, f"{what}, {STEPS[-1]} steps: clipped against not", *labels
            )

    def draw(self, table, path, a):
        """Norms of ∂h_T/∂h_t against T − t of 100 steps: in time, trained, and in depth."""
        panels = {
            "in time, at the start": ("{}_100_clipped", "first"),
            "in time, trained": ("{}_100_clipped", "last"),
            "in depth, at the start": ("{}_100_depth", "first"),
        }
        with drawings.figure(path, (14, 4), 1, 3, sharey=True) as (_, axes):
            for axis, (title, (label, when)) in zip(axes, panels.items(), strict=True):
                for kind, what in KINDS.items():
                    row = table.get(label.format(kind))
                    file = row and row.runs[0].path / f"{when}.csv"
                    if file and file.exists():
                        norms = read_norms(file)
                        axis.plot(range(len(norms)), norms[::-1], label=what)
                axis.set(xlabel="steps back, T − t", yscale="log", title=title)
                axis.grid(alpha=0.3)
                if axis.lines:
                    axis.legend()
            axes[0].set_ylabel("‖∂h$_T$/∂h$_t$‖$_2$, median of 8 sequences")


def size(model):
    """How many parameters a model has, as metrics.json has it."""
    return {"parameters": model.count_params()}


def read_norms(file):
    """The medians of ‖∂h_T/∂h_t‖ in a record's table, from t = 0 on; NaN for 0."""
    with open(file, newline="", encoding="utf-8") as lines:
        norms = np.array([float(row["jacobian"]) for row in csv.DictReader(lines)])
    return np.where(norms > 0, norms, np.nan)


def in_time(kind, steps):
    """A network of one recurrent layer from sequences (batch, steps, 2) to a number."""
    import keras

    from keras_recres import layers

    x = inputs = keras.Input((steps, 2))
    if kind in ("residual", "highway"):  # Which add it to the state.
        x = keras.layers.Dense(UNITS, name="features")(x)
    x = layers.Recurrent(cell(kind), name="run")(x)
    return keras.Model(inputs, keras.layers.Dense(1, name="sum")(x))


def cell(kind):
    """The recurrent cell of a kind."""
    import keras

    from keras_recres import layers
    from keras_recres.layers.cells.residual_cell import ResidualCell

    if kind == "residual":
        branch = keras.layers.Dense(UNITS, "tanh")
        return ResidualCell(branch, (UNITS,), residual_scale=SCALE, inject_input="add")
    if kind == "highway":
        branch = layers.Highway(keras.layers.Dense(UNITS, "tanh"))
        return ResidualCell(branch, (UNITS,), shortcut="none", inject_input="add")
    kinds = {
        "plain": keras.layers.SimpleRNNCell,
        "gru": keras.layers.GRUCell,
        "lstm": keras.layers.LSTMCell,
    }
    return kinds[kind](UNITS)


def deep(kind, steps):
    """A network that runs one block again, of the same kind as the cell, to a number."""
    import keras

    from keras_recres import layers, models

    if kind in ("gru", "lstm"):
        rnn = layers.Recurrent(cell(kind))
        rnn.build((None, 1, 2))
        block = models.rnn_to_residual(rnn, steps=steps)
        features = 2 + sum(keras.tree.flatten(rnn.cell.state_size))
    else:
        branch = keras.layers.Dense(UNITS, "tanh")
        branch = layers.Highway(branch) if kind == "highway" else branch
        own = {"residual_scale": SCALE} if kind == "residual" else {"shortcut": "none"}
        block, features = layers.RecurrentResidual(branch, steps=steps, **own), UNITS
    inputs = keras.Input((features,))
    return keras.Model(inputs, keras.layers.Dense(1, name="sum")(block(inputs)))


STUDY = GradientFlow()
