"""Folding ResNet50: how long it takes, and what a folded model's forward pass and files cost.

Random weights; rank 16 without data; forward passes of 32 images on one thread, the two models in
turns, by the processor's clock.
"""

import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_recres.models import recurrent, rules
from training.benchmarks.timing import one_thread_an_operation, seconds_in_turns

BATCH = 32
FILES = {"keras": "Keras file", "saved_model": "SavedModel"}


def cases(backend, quick):
    """The cases of one backend."""
    del backend
    return [{"rank": rank, "side": 64 if quick else 224} for rank in ((16,) if quick else (0, 16))]


def measure(rank, side):
    """Seconds of folding and of forward passes, and bytes of weights and files."""
    one_thread_an_operation()
    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, input_shape=(side, side, 3))
    started, processor = time.perf_counter(), time.process_time()
    folded, _ = recurrent(model, rules.fold(rank=rank), verbose=False)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    x = np.random.default_rng(0).normal(size=(BATCH, side, side, 3)).astype("float32")
    models = {"model": model, "folded": folded}
    forward = seconds_in_turns(
        {name: lambda m=m: m.predict_on_batch(x) for name, m in models.items()},
        10,
        budget=60,
        clock=time.process_time,
    )
    sizes = {name: file_sizes(one) for name, one in models.items()}
    return {"fold": seconds, "processor": processor, "forward": forward, "bytes": sizes}


def file_sizes(model):
    """Bytes of a model's weights, each counted once, and of its files, those of FILES it can be."""
    sizes = {"weights": sum(keras.ops.convert_to_numpy(w).nbytes for w in model.weights)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        sizes["keras"] = path.stat().st_size
        if keras.backend.backend() != "torch":  # Which writes no SavedModel.
            path = Path(folder) / "exported"
            model.export(path, verbose=False)
            sizes["saved_model"] = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return sizes


def report(rows):
    """Prints the seconds of folding, and what the folded model costs by what the model does."""
    table = Table(title=f"ResNet50 folded; forward passes of {BATCH} images")
    for heading in ("backend", "rank", "side", "folding, s", "processor, s", "forward", "weights"):
        table.add_column(heading, justify="right")
    for heading in FILES.values():
        table.add_column(f"{heading} / weights", justify="right")
    for row in rows:
        sizes = row["bytes"]["folded"]
        table.add_row(
            row["backend"],
            str(row["rank"]),
            str(row["side"]),
            f"{row['fold']:.0f}",
            f"{row['processor']:.0f}",
            f"{row['forward']['folded'] / row['forward']['model']:.2f} x",
            f"{sizes['weights'] / row['bytes']['model']['weights']:.2f} x",
            *(f"{sizes[kind] / sizes['weights']:.3f} x" if kind in sizes else "" for kind in FILES),
        )
    Console(width=110).print(table)
