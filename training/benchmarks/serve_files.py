"""The files that are compared: a model exported once in every format that its machine can write."""

import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time

import keras

from keras_recres import serve, zoo
from keras_recres.serve import formats

# What `serve.export` holds its files to, too.
TOLERANCE = 1e-5


def write(name, folder, batches):
    """Exports a model of the zoo, untrained where it has no weights.

    ONNX is exported by TensorFlow and, where that cannot be, by PyTorch if it is installed.

    Args:
        name: Name of the zoo.
        folder: Where the files go.
        batches: Batch sizes that will be asked for.

    Returns:
        The model, and a dict with `files`: {format: {"": path} for any batch size, or {"1": path}};
        `bytes` of each format; `notes`, a sentence on each format that is not as one would expect;
        `export_seconds` of each, its check after it was loaded again included.
    """
    folder = pathlib.Path(folder)
    keras.utils.set_random_seed(0)
    record = zoo.info(name)
    # T2T-ViTs as the paper has them, for 224 x 224: the zoo's weights are of small images.
    trained = record.default_tag in record.trained_tags and record.family != "t2t_vit"
    model = zoo.load(name) if trained else zoo.load(name, weights=None)
    files, notes, seconds = {"keras": {"": str(folder / "model.keras")}}, {}, {}
    with _timed("keras", seconds):
        model.save(files["keras"][""])
    with _timed("saved_model", seconds):
        files["saved_model"] = {"": str(serve.export(model, folder / "exported", warmup=False))}
    for kind, suffix in formats.SUFFIXES.items():
        path = folder / kind / f"model{suffix}"
        with _timed(kind, seconds):
            try:
                formats.check(kind)
                formats.write(model, path, kind, None, TOLERANCE)
                files[kind] = {"": str(path)}
            except (ImportError, ValueError) as reason:
                notes[kind] = str(reason)
                if kind == "onnx" and importlib.util.find_spec("torch"):
                    files[kind], notes[kind] = _onnx_by_torch(files["keras"][""], folder, batches)
                    if not files[kind]:
                        notes[kind] = f"{reason} On PyTorch: {notes[kind]}"
                        del files[kind]
    sizes = {kind: _bytes(next(iter(paths.values()))) for kind, paths in files.items()}
    return model, {"files": files, "bytes": sizes, "notes": notes, "export_seconds": seconds}


@contextlib.contextmanager
def _timed(kind, seconds):
    begin = time.perf_counter()
    yield
    seconds[kind] = time.perf_counter() - begin


def _onnx_by_torch(model, folder, batches):
    """A file for each batch size, which PyTorch's exporter needs to know; and a sentence."""
    code = (
        "import sys; from training.benchmarks import serve_files as m; "
        "m.write_onnx(sys.argv[1], sys.argv[2], sys.argv[3:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, model, str(folder), *map(str, batches)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        cwd=pathlib.Path(__file__).resolve().parents[2],
        check=False,
    )
    if done.returncode:
        return {}, (done.stderr.strip().splitlines() or ["no message"])[-1]
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return answer, "exported by PyTorch, one file for each batch size"


def write_onnx(file, folder, batches):
    """Exports a `.keras` file from the backend in use; prints {batch: path}."""
    try:
        formats.check("onnx")
        model = keras.models.load_model(file, compile=False)
        paths = {b: str(pathlib.Path(folder) / "onnx" / f"batch{b}" / "m.onnx") for b in batches}
        for batch, path in paths.items():
            pathlib.Path(path).parent.mkdir(parents=True)
            formats.write(model, path, "onnx", int(batch), TOLERANCE)
    except (ImportError, ValueError) as reason:
        sys.exit(str(reason))
    print("\n" + json.dumps(paths))


def _bytes(path):
    """What has to be copied: a folder with all in it, a file with the weights beside it."""
    path = pathlib.Path(path)
    if path.suffix in (".keras", ".tflite"):
        return path.stat().st_size
    folder = path if path.is_dir() else path.parent
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
