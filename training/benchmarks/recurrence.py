"""RecurrentResidual: unrolled steps against a loop in the graph, and what "auto" chooses.

The training step of a model with one recurrent block: "dense", a narrow tanh layer, where a step
costs little more than its launch; "block", a transformer block, where the arithmetic dominates.
"""

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from training.benchmarks.timing import peak_mib, seconds

STEPS = (1, 4, 16, 64)
# auto's later steps over the best form's, and JAX' first step with 64 steps over that with 4.
AUTO_BAR, COMPILE_BAR = 1.2, 2
SHAPES = {"dense": (128, 32), "block": (8, 17, 128)}


def cases(backend, quick):
    """The cases of one backend; on PyTorch both forms are one Python loop."""
    steps = STEPS[:3] if quick else STEPS
    plain = [
        {"branch": branch, "steps": s, "loop": loop, "remat": False}
        for branch in SHAPES
        for s in steps
        for loop in (("unroll",) if backend == "torch" else ("unroll", "scan"))
        # XLA compiles this one for six minutes, on two cores, into steps six times slower.
        if (backend, branch, s, loop) != ("jax", "block", 64, "unroll")
    ]
    return plain + [
        {"branch": "block", "steps": steps[-1], "loop": "auto", "remat": remat, "batch": 64}
        for remat in (False, True)
    ]


def measure(branch, steps, loop, remat, batch=None):
    """First and later training steps, in seconds, and how far they raised the peak memory, MiB."""
    from keras_recres import layers
    from keras_recres.layers import depth_loop

    shape = SHAPES[branch]
    shape = (batch or shape[0], *shape[1:])
    inputs = keras.Input(shape[1:])
    inner = (
        keras.layers.Dense(shape[-1], activation="tanh")
        if branch == "dense"
        else layers.TransformerBlock(num_heads=4)
    )
    shortcut = "add" if branch == "dense" else "none"
    recurrent = layers.RecurrentResidual(
        inner, steps=steps, shortcut=shortcut, residual_scale=0.1, loop=loop, remat=remat
    )
    model = keras.Model(inputs, recurrent(inputs))
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype("float32") for _ in range(2))

    def step():
        # The loss comes back as a float, so the step is over when this returns.
        return float(model.train_on_batch(x, y))

    before = peak_mib()
    first = seconds(step, 1)
    later = seconds(step, 50)
    return {
        "first": first,
        "later": later,
        "mib": peak_mib() - before,
        "auto": depth_loop.form_of_loop("auto", steps, len(inner.weights)),
    }


def report(rows):
    """Prints the table, and the two bars: auto's steps, and JAX' compile time."""
    console = Console(width=110)
    table = Table(title="RecurrentResidual, one training step")
    headings = (
        "backend",
        "branch",
        "steps",
        "loop",
        "first step, s",
        "later steps, ms",
        "peak +MiB",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    plain = [row for row in rows if "batch" not in row]
    for row in plain:
        table.add_row(
            row["backend"],
            row["branch"],
            str(row["steps"]),
            row["loop"],
            f"{row['first']:.2f}",
            f"{1e3 * row['later']:.2f}",
            f"{row['mib']:.0f}",
        )
    console.print(table)
    for backend in dict.fromkeys(row["backend"] for row in rows):
        _bars(console, [row for row in rows if row["backend"] == backend])


def _bars(console, rows):
    backend = rows[0]["backend"]
    plain = [row for row in rows if "batch" not in row]
    # "auto" is one of the two forms, the same operations: its time is that form's.
    chosen = [row for row in plain if row["loop"] == row["auto"]]
    ratios = {
        (row["branch"], row["steps"]): row["later"]
        / min(r["later"] for r in plain if _setting(r) == _setting(row))
        for row in chosen
    }
    worst = max(ratios, key=ratios.get)
    console.print(
        f"{backend}: auto's later steps take at most {ratios[worst]:.2f} of the best form's "
        f"({worst[0]}, {worst[1]} steps); {_bar(ratios[worst], AUTO_BAR)}"
    )
    if backend == "jax":
        first = {_setting(row): row["first"] for row in chosen}
        for branch in SHAPES:
            if (branch, 64) in first:
                ratio = first[branch, 64] / first[branch, 4]
                console.print(
                    f"jax: first step of {branch}: 64 steps take {ratio:.2f} of 4 steps; "
                    f"{_bar(ratio, COMPILE_BAR)}"
                )
    plainly, remat = (
        next(r for r in rows if "batch" in r and r["remat"] is f) for f in (False, True)
    )
    console.print(
        f"{backend}: remat, {remat['steps']} steps: {plainly['mib']:.0f} → {remat['mib']:.0f} MiB, "
        f"{1e3 * plainly['later']:.0f} → {1e3 * remat['later']:.0f} ms a step"
    )


def _bar(ratio, bar):
    return f"the bar of {bar:g} is {'met' if ratio <= bar else 'MISSED'}"


def _setting(row):
    return row["branch"], row["steps"]
