"""Exported models: latency, throughput, cold start and size, beside Keras and other runtimes.

`serving_default` of the SavedModel in TensorFlow's C library; Keras on TensorFlow by `predict` and
by the model's call as a tf.function; ONNX Runtime; OpenVINO in float32. Each runs in a process of
its own with the same threads, kept to as many cores, and they take turns; one client, one request
after another. Answers are compared with the model's before anything is timed. A cold start is from
the start of a process to its first answer to one image.
"""

import contextlib
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from training.benchmarks import serve_files
from training.benchmarks.serve_ways import ENGINES
from training.errors import UserError

MODELS = ("vit7", "vit7_rec", "cifar_medium")
BATCHES = (1, 32)
# For each way: requests at the most, seconds by batch size, in how many turns. And cold starts
# besides those of the processes that were timed.
FULL = {"requests": 120, "seconds": {1: 4.0, 32: 2.0}, "turns": 3, "starts": 1}
QUICK = {"requests": 20, "seconds": {1: 0.3, 32: 0.3}, "turns": 2, "starts": 0}
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "onnxruntime", "openvino")
NAMES = {"c_api": "C API", "keras": "Keras", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}
# oneDNN, as the page on serving says, also where TensorFlow would not turn it on.
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1"}
ROOT = pathlib.Path(__file__).resolve().parents[2]


def cases(backend, quick):
    """A process for each model. What is served is TensorFlow's, whatever trained it."""
    if backend != "tensorflow":
        return []
    return [{"model": name, "quick": quick} for name in (["cifar_small"] if quick else MODELS)]


def measure(model, quick):
    """Exports a model and measures all ways to run it, with one thread and one for each core."""
    from training.provenance import hardware

    how = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        network, found = serve_files.write(model, folder, BATCHES)
        shape = network.input_shape[1:]
        x = np.random.default_rng(0).normal(size=(max(BATCHES), *shape)).astype("float32")
        np.save(folder / "images.npy", x)
        expected = keras.ops.convert_to_numpy(network(x, training=False))
        files, speed = found.pop("files"), []
        for threads in thread_counts():
            starts = {}
            with contextlib.ExitStack() as stack:
                workers = {}
                for engine in [e for e, (_, kind) in ENGINES.items() if kind in files]:
                    try:
                        workers[engine] = _started(engine, threads, files, folder, stack, starts)
                    except UserError as error:
                        found["notes"][engine] = str(error)
                speed += _speed(workers, threads, expected, how)
        for _ in range(how["starts"]):
            for engine in workers:
                with contextlib.ExitStack() as stack:
                    _started(engine, threads, files, folder, stack, starts)
    return {
        "shape": list(shape),
        "parameters": network.count_params(),
        "hardware": hardware(),
        "versions": _versions(),
        "cold_seconds": {engine: min(times) for engine, times in starts.items()},
        "cold_threads": threads,
        "speed": speed,
        **found,
    }


def _started(engine, threads, files, folder, stack, starts):
    """A worker and its first answer; `starts` gets the seconds until then."""
    begin = time.perf_counter()
    worker = stack.enter_context(Worker(engine, threads, files, folder))
    answer = worker.ask(None, 1)
    starts.setdefault(engine, []).append(time.perf_counter() - begin)
    return worker, answer


def thread_counts():
    """One, and one for each core."""
    from training.provenance import cores  # Keras, which takes seconds.

    # In the C library's ConfigProto they are one byte.
    return sorted({1, min(cores(), 127)})


def _speed(workers, threads, expected, how):
    """Rows of all ways, batch size by batch size."""
    rows = []
    for batch in BATCHES:
        ways = {way: w for w, first in workers.values() for way in first["ways"]}
        times, repeats, rows_of_batch = {}, {}, {}
        for way, worker in ways.items():
            answer = worker.ask(way, batch)
            difference = _difference(answer["logits"], expected[:batch])
            row = {"threads": threads, "batch": batch, "way": way, "difference": difference}
            rows_of_batch[way] = row
            if not difference <= serve_files.TOLERANCE:
                row["error"] = f"the logits differ from Keras' by {difference:.1g}: not timed"
                continue
            # The first answer compiled something.
            (second,) = worker.ask(way, batch)["seconds"]
            in_a_turn = min(how["seconds"][batch] / second, how["requests"]) / how["turns"]
            times[way], repeats[way] = [], max(1, int(in_a_turn))
        for _ in range(how["turns"]):
            for way, count in repeats.items():
                times[way] += ways[way].ask(way, batch, count)["seconds"]
        for way, seconds in times.items():
            rows_of_batch[way].update(
                p50=float(np.percentile(seconds, 50)),
                # Of fewer than 100 requests it is the slowest.
                p99=float(np.percentile(seconds, 99, method="inverted_cdf")),
                images_per_second=batch * len(seconds) / sum(seconds),
                requests=len(seconds),
            )
        rows += rows_of_batch.values()
    return rows


def _difference(found, expected):
    """As a share of the largest logit, if that is above 1."""
    found = np.asarray(found)
    if found.shape != expected.shape:
        return float("inf")
    return float(np.max(np.abs(found - expected)) / max(1, np.max(np.abs(expected))))


class Worker:
    """An engine in a process of its own."""

    def __init__(self, engine, threads, files, folder):
        self.engine, self.errors = engine, folder / f"{engine}.txt"
        files = json.dumps(files[ENGINES[engine][1]])
        command = [sys.executable, "-m", "training.benchmarks.serve_ways", engine, str(threads)]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command, files, str(folder / "images.npy")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)},
            )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()

    def ask(self, way, batch, repeats=1):
        """The answer to one line; None for the engine's first way."""
        request = {"way": way, "batch": batch, "repeats": repeats}
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            last = (self.errors.read_text().strip().splitlines() or ["no message"])[-1]
            raise UserError(f"{self.engine} ended: {last}")
        answer = json.loads(line)
        if answer["heavy"] and self.engine != "keras":
            raise UserError(f"{self.engine} imported {' and '.join(answer['heavy'])}.")
        return answer


def _versions():
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def report(rows):
    """Prints for each model its speed, then its files and cold starts."""
    if not rows:
        raise UserError("what is served is TensorFlow's: --backends must have tensorflow.")
    console = Console(width=110)
    for row in rows:
        console.print(_speed_table(row))
        console.print(_file_table(row))
        for kind, note in row["notes"].items():
            console.print(f"{row['model']}, {kind}: {note}", markup=False, highlight=False)
    versions = ", ".join(f"{package} {v}" for package, v in rows[0]["versions"].items())
    console.print(f"{rows[0]['hardware']}; {versions}", highlight=False)


def markdown(rows):
    """One thread's milliseconds of a request, and seconds until a fresh process answers."""
    lines = [["network", "way", *(f"{batch} at once, ms" for batch in BATCHES), "first answer, s"]]
    lines.append(["---", "---"] + ["---:"] * (1 + len(BATCHES)))
    engine_of = {name: engine for engine, name in NAMES.items()}
    for row in rows:
        for way in dict.fromkeys(cell["way"] for cell in row["speed"]):
            cells = [c for c in row["speed"] if c["way"] == way and c["threads"] == 1]
            times = [f"{1e3 * c['p50']:.2f}" if "p50" in c else "–" for c in cells]
            cold = row["cold_seconds"].get(engine_of.get(way.split(" predict")[0]))
            first = f"{cold:.1f}" if cold else ""
            lines.append([f"`{row['model']}`", way, *times, first])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    versions = ", ".join(f"{package} {v}" for package, v in rows[0]["versions"].items())
    return f"{table}\n\nOne thread, {rows[0]['hardware']}; {versions}."


def _speed_table(row):
    size = " × ".join(map(str, row["shape"]))
    table = Table(title=f"{row['model']}, {size}, {row['parameters']:,} parameters")
    for heading in ("threads", "batch", "way", "p50, ms", "p99, ms", "p50 / C API", "images/s"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for heading in ("requests", "difference"):
        table.add_column(heading, justify="right")
    before = None
    for cell in row["speed"]:
        setting = cell["threads"], cell["batch"]
        if before not in (None, setting):
            table.add_section()
        before = setting
        table.add_row(*map(str, setting), cell["way"], *_cells(cell, row["speed"]))
    return table


def _cells(cell, cells):
    if "error" in cell:
        return ["-"] * 5 + [f"{cell['difference']:.0e}, not timed"]
    ours = [
        c["p50"]
        for c in cells
        if c["way"] == "C API" and "p50" in c
        if (c["threads"], c["batch"]) == (cell["threads"], cell["batch"])
    ]
    return [
        f"{1e3 * cell['p50']:.2f}",
        f"{1e3 * cell['p99']:.2f}",
        f"{cell['p50'] / ours[0]:.2f}" if ours else "-",
        f"{cell['images_per_second']:.1f}",
        str(cell["requests"]),
        f"{cell['difference']:.0e}",
    ]


def _file_table(row):
    table = Table(
        title=f"{row['model']}: files, and the first answer of a fresh process "
        f"({row['cold_threads']} threads)"
    )
    for heading in ("format", "MB", "export and check, s", "run by", "first answer, s"):
        table.add_column(heading, justify="right" if heading.endswith(("MB", "s")) else "left")
    engines = {kind: engine for engine, (_, kind) in ENGINES.items()}
    for kind, size in row["bytes"].items():
        engine = engines.get(kind)
        cold = row["cold_seconds"].get(engine)
        table.add_row(
            kind,
            f"{size / 1e6:.2f}",
            f"{row['export_seconds'][kind]:.1f}",
            NAMES.get(engine, "-"),
            f"{cold:.2f}" if cold else "-",
        )
    return table
