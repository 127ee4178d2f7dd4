"""T2T-ViT-7 at 224 × 224: images per second, forward and training step."""

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from training.benchmarks.timing import peak_mib, seconds

BATCH = 8


def cases(backend, quick):
    """With and without recurrence, in float32 and mixed bfloat16."""
    steps = (1,) if quick else (1, 2)
    policies = ("float32",) if quick else ("float32", "mixed_bfloat16")
    return [{"steps": s, "policy": policy} for s in steps for policy in policies]


def measure(steps, policy):
    """Images per second of a forward pass and of a training step."""
    keras.config.set_dtype_policy(policy)
    from keras_recres import models

    model = models.t2t_vit(7, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH, 224, 224, 3)).astype("float32")
    y = rng.integers(0, 1000, BATCH)
    model.predict_on_batch(x)
    forward = seconds(lambda: model.predict_on_batch(x), 10, budget=10)
    float(model.train_on_batch(x, y))
    train = seconds(lambda: float(model.train_on_batch(x, y)), 10, budget=15)
    return {"forward": BATCH / forward, "train": BATCH / train, "mib": peak_mib()}


def report(rows):
    """Prints images per second by backend."""
    table = Table(title=f"T2T-ViT-7, 224 × 224, batch {BATCH}: images per second")
    for heading in ("backend", "steps", "policy", "forward", "training", "peak MiB"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["backend"],
            str(row["steps"]),
            row["policy"],
            f"{row['forward']:.1f}",
            f"{row['train']:.1f}",
            f"{row['mib']:.0f}",
        )
    Console(width=100).print(table)
