"""Folding ResNet50: how long it takes, and what a folded model's forward pass and files cost.

Random weights; rank 16 without data; forward passes of 32 images on one thread, the two models in
turns, by the processor's clock.
"""

import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from keras_recres import serve
from keras_recres.models import recurrent, rules
from training.benchmarks.timing import one_thread_an_operation, seconds_in_turns
from training.files import markdown_table

BATCH = 32
FORMATS = ["onnx", "litert", "openvino"]
FILES = {
    "keras": "Keras file",
    "saved_model": "SavedModel",
    "onnx": "ONNX",
    "tflite": "LiteRT",
    "bin": "OpenVINO",
}


def cases(backend, quick):
    """The cases of one backend."""
    if quick:
        return [{"rank": 16, "side": 64, "formats": []}]
    # Keras exports ONNX from TensorFlow and PyTorch, the others from TensorFlow alone.
    formats = FORMATS if backend == "tensorflow" else []
    return [{"rank": rank, "side": 224, "formats": formats} for rank in (0, 16)]


def measure(rank, side, formats):
    """Seconds of folding and of forward passes, and bytes of weights and files."""
    one_thread_an_operation()
    keras.utils.set_random_seed(0)
    shape = {"input_shape": (side, side, 3), "classifier_activation": None}
    model = keras.applications.ResNet50(weights=None, **shape)
    started, processor = time.perf_counter(), time.process_time()
    folded, _ = recurrent(model, rules.fold(rank=rank), verbose=False)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    x = np.random.default_rng(0).normal(size=(BATCH, side, side, 3)).astype("float32")
    forward = seconds_in_turns(
        {
            name: lambda m=m: m.predict_on_batch(x)
            for name, m in (("model", model), ("folded", folded))
        },
        10,
        budget=60,
        clock=time.process_time,
    )
    weights = {"model": bytes_of(model), "folded": bytes_of(folded)}
    return {
        **{"fold": seconds, "processor": processor, "forward": forward},
        **{"weights": weights, "files": file_sizes(folded, formats)},
    }


def bytes_of(model):
    """Bytes of a model's weights, each counted once."""
    return sum(keras.ops.convert_to_numpy(w).nbytes for w in model.weights)


def file_sizes(model, formats):
    """Bytes of a model's Keras file, of its SavedModel and of what else is exported of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        sizes = {"keras": path.stat().st_size}
        # The logits of random weights are small, and need no better than four digits.
        path = serve.export(model, folder, warmup=False, tolerance=1e-4, formats=formats)
        files = [p for p in path.rglob("*") if p.is_file()]
        extra = {p.suffix[1:]: p.stat().st_size for p in files if p.parent.name == "assets.extra"}
        whole = sum(p.stat().st_size for p in files)
        return {**sizes, "saved_model": whole - sum(extra.values()), **extra}


def report(rows):
    """Prints the table."""
    print(markdown(rows))


def markdown(rows):
    """What folding takes, and what the folded model costs by what the model does, a table."""
    heads = ("backend", "rank", "side", "folding, s", "processor, s", "forward", "weights")
    lines = []
    for row in rows:
        weights, files, forward = row["weights"], row["files"], row["forward"]
        lines.append(
            (
                *(str(row[name]) for name in ("backend", "rank", "side")),
                f"{row['fold']:.1f}",
                f"{row['processor']:.1f}",
                f"{forward['folded'] / forward['model']:.2f} ×",
                f"{weights['folded'] / weights['model']:.2f} ×",
                *(f"{files[k] / weights['folded']:.3f} ×" if k in files else "" for k in FILES),
            )
        )
    return "\n".join(markdown_table((*heads, *FILES.values()), lines))
