"""Recurrent cells: tokens a processor second, forward and in training, beside Keras' own layers.

One batch of 32 sequences with 128 features, cells of 128 units, the last output, SGD on the mean
square; on PyTorch in one thread, with subnormal numbers as 0, as the others have them. All cells
are measured in one process, so that they meet the same load: compare ratios, and only within a run.
"""

import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from training.fit.precision import subnormals_are_zero

BATCH, WIDTH = 32, 128
LENGTHS = (100, 400)
KERAS, TORCH, OURS = "keras LSTM", "torch.nn.LSTM", "peephole LSTM"
# In training: the peephole LSTM's tokens over those of Keras' LSTM and of torch.nn.LSTM, other
# cells' work a second over that of a peephole LSTM at its goal, and the first step with the longest
# sequences over that with the shortest, where something is compiled.
GOALS = {"torch": 8.0, "jax": 1.0, "tensorflow": 0.9}
TORCH_GOAL, OTHERS_GOAL, COMPILE_GOAL = 0.6, 1 / 1.5, 1.5


def cells():
    """{name: layer that runs the cell}."""
    from keras_recres import layers

    def run(cell):
        return layers.Recurrent(cell)

    return {
        KERAS: keras.layers.LSTM(WIDTH),
        "keras GRU": keras.layers.GRU(WIDTH),
        "RNN(peephole LSTM)": keras.layers.RNN(layers.PeepholeLSTMCell(WIDTH)),
        "Recurrent(LSTMCell)": run(keras.layers.LSTMCell(WIDTH)),
        OURS: run(layers.PeepholeLSTMCell(WIDTH)),
        "Jordan": run(layers.JordanCell(WIDTH, WIDTH)),
        "depth-gated, 2 layers": run(layers.DepthGatedLSTMCell(WIDTH, 2)),
        "Grid, 2 layers": run(layers.GridLSTMCell(WIDTH, 2)),
        "Array, 2 lanes": run(layers.ArrayLSTMCell(WIDTH, 2)),
    }


def cases(backend, quick):
    """A case is a length: its cells are measured in one process."""
    return [{"length": length} for length in (LENGTHS[:1] if quick else LENGTHS)]


@subnormals_are_zero()
def measure(length):
    """For each cell processor seconds of the first step, a later one and a forward pass.

    The least of three turns, in each of which every cell has its turn.
    """
    from keras_recres import models

    x = np.random.default_rng(0).normal(size=(BATCH, length, WIDTH)).astype("float32")
    y = np.zeros((BATCH, WIDTH), "float32")
    found, steps = {}, {}
    if keras.backend.backend() == "torch":
        steps[TORCH] = _plain_torch(x)
        found[TORCH] = {"multiply_adds": 4 * WIDTH * 2 * WIDTH}
    for name, layer in cells().items():
        model = keras.Sequential([keras.Input((length, WIDTH)), layer])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        steps[name] = (
            lambda model=model: model.train_on_batch(x, y),
            lambda model=model: model.predict_on_batch(x),
        )
        found[name] = {"multiply_adds": models.multiply_adds(model).total / length}
    for name, (train, forward) in steps.items():
        found[name]["first"] = _cpu_seconds(train)
        forward()
    turns = [
        {name: [_cpu_seconds(function) for function in steps[name]] for name in steps}
        for _ in range(3)
    ]
    for name, of in found.items():
        of["training"], of["forward"] = map(min, zip(*(turn[name] for turn in turns), strict=True))
    return {"cells": found}


def _cpu_seconds(function):
    begin = time.process_time()
    function()
    return time.process_time() - begin


def _plain_torch(x):
    """A training step and a forward pass of torch.nn.LSTM."""
    import torch

    torch.set_num_threads(1)
    layer, x = torch.nn.LSTM(WIDTH, WIDTH, batch_first=True), torch.tensor(x)
    optimizer = torch.optim.SGD(layer.parameters(), 0.01)

    def train():
        optimizer.zero_grad()
        layer(x)[0][:, -1].square().mean().backward()
        optimizer.step()

    def forward():
        with torch.no_grad():
            layer(x)

    return train, forward


def report(rows):
    """Prints the table, and which goals are met."""
    console = Console(width=110)
    table = Table(title="Thousand tokens a processor second")
    for heading in ("backend", "length", "cell", "forward", "training", "first step, s"):
        table.add_column(heading, justify="right")
    for row in rows:
        for name, of in row["cells"].items():
            rates = (f"{_rate(row, name, what):.1f}" for what in ("forward", "training"))
            first = f"{of['first']:.1f}"
            table.add_row(row["backend"], str(row["length"]), name, *rates, first)
    console.print(table)
    for row in rows:
        for line in _goals(row):
            console.print(f"{row['backend']}, {row['length']} steps: {line}")
    for backend in dict.fromkeys(row["backend"] for row in rows if row["backend"] != "torch"):
        first = [row["cells"][OURS]["first"] for row in rows if row["backend"] == backend]
        later = [row["cells"][OURS]["training"] for row in rows if row["backend"] == backend]
        compiling = [a - b for a, b in zip(first, later, strict=True)]
        if len(compiling) > 1:
            ratio = compiling[-1] / compiling[0]
            console.print(f"{backend}: compiling the longest takes {_goal(ratio, COMPILE_GOAL)}")


def _goals(row):
    ours = _rate(row, OURS, "training")
    goals = {KERAS: GOALS[row["backend"]]}
    if row["backend"] == "torch":
        if row["length"] < max(LENGTHS):
            # Keras' own LSTM is quadratic in the length there: the goals are of long sequences.
            return
        goals[TORCH] = TORCH_GOAL
    for name, goal in goals.items():
        ratio = ours / _rate(row, name, "training")
        yield f"{OURS} over {name} {_goal(ratio, goal, least=True)}"
    # On PyTorch against what is linear in the length.
    name, goal = (TORCH, TORCH_GOAL) if row["backend"] == "torch" else (KERAS, goals[KERAS])
    work = row["cells"][OURS]["multiply_adds"] * goal * _rate(row, name, "training")
    for name in list(row["cells"])[list(row["cells"]).index(OURS) + 1 :]:
        ratio = row["cells"][name]["multiply_adds"] * _rate(row, name, "training") / work
        told = _goal(ratio, OTHERS_GOAL, least=True)
        yield f"{name}'s multiply-adds over those of a {OURS} at its goal {told}"


def _rate(row, name, what):
    return BATCH * row["length"] / row["cells"][name][what] / 1e3


def _goal(ratio, goal, least=False):
    met = ratio >= goal if least else ratio <= goal
    return f"{ratio:.2f}; the goal of {goal:.2g} is {'met' if met else 'MISSED'}"
