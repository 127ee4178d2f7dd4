"""Folding ResNet50: how long it takes, and what a folded model's forward pass and file cost.

Random weights; rank 16 without data; forward passes of 32 images, the two models in turns.
"""

import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_recres.models import recurrent, rules
from training.benchmarks.timing import seconds_in_turns

BATCH = 32


def cases(backend, quick):
    """The cases of one backend."""
    del backend
    return [{"rank": rank, "side": 64 if quick else 224} for rank in ((16,) if quick else (0, 16))]


def measure(rank, side):
    """Seconds of folding and of forward passes, and bytes of the files."""
    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, input_shape=(side, side, 3))
    started, processor = time.perf_counter(), time.process_time()
    folded, _ = recurrent(model, rules.fold(rank=rank), verbose=False)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    x = np.random.default_rng(0).normal(size=(BATCH, side, side, 3)).astype("float32")
    models = {"model": model, "folded": folded}
    forward = seconds_in_turns(
        {name: lambda m=m: m.predict_on_batch(x) for name, m in models.items()}, 10, budget=60
    )
    sizes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, one in models.items():
            path = Path(folder) / f"{name}.keras"
            one.save(path)
            sizes[name] = path.stat().st_size
    return {"fold": seconds, "processor": processor, "forward": forward, "bytes": sizes}


def report(rows):
    """Prints the seconds of folding, and what the folded model costs by what the model does."""
    table = Table(title=f"ResNet50 folded; forward passes of {BATCH} images")
    for heading in ("backend", "rank", "side", "folding, s", "processor, s", "forward", "file"):
        table.add_column(heading, justify="right")
    for row in rows:
        ratios = (row[key]["folded"] / row[key]["model"] for key in ("forward", "bytes"))
        table.add_row(
            row["backend"],
            str(row["rank"]),
            str(row["side"]),
            f"{row['fold']:.0f}",
            f"{row['processor']:.0f}",
            *(f"{ratio:.2f} x" for ratio in ratios),
        )
    Console().print(table)
