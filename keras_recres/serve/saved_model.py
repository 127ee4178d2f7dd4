"""Writes and verifies a SavedModel, in other processes where this one does not run TensorFlow."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np

from keras_recres.backend.keras_private import sublayers
from keras_recres.serve import verify, warmup

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write(model, folder, preprocessing, reference, scratch, **options):
    """Writes a SavedModel; under JAX and PyTorch in a process with TensorFlow.

    Args:
        model: The model.
        folder: The SavedModel's folder, which must not exist.
        preprocessing: What encoded images go through, or None.
        reference: Of `reference.make`.
        scratch: A folder for temporary files.
        **options: `name`, `labels`, `max_pixels`, `max_steps` and `warmup`.
    """
    if keras.backend.backend() == "tensorflow":
        write_here(model, folder, preprocessing, reference, **options)
        return
    job = {
        "modules": modules_of(model),
        "model": str(scratch / "model.keras"),
        "folder": str(folder),
        "reference": str(scratch / "reference.npz"),
        "preprocessing": preprocessing and dataclasses.asdict(preprocessing),
        **options,
    }
    model.save(job["model"], include_optimizer=False)
    np.savez(job["reference"], **reference)
    (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
    arguments = ["-m", "keras_recres.serve.worker", str(scratch / "job.json")]
    run(arguments, "writing the SavedModel under TensorFlow")


def modules_of(model):
    """Where the classes of a model's layers are defined, which registers them with Keras."""
    found = {type(layer).__module__ for layer in sublayers(model)}
    return sorted(name for name in found if name.split(".")[0] not in ("keras", "__main__"))


def write_here(
    model, folder, preprocessing, reference, *, name, labels, max_pixels, max_steps, warmup
):
    """As `write`, in this process, whose backend must be TensorFlow."""
    from keras_recres.serve import reference as references
    from keras_recres.serve import signatures
    from keras_recres.serve import warmup as warmups

    signatures.write(model, folder, preprocessing, labels, max_pixels, max_steps)
    if warmup:
        warmups.write(folder, name, references.inputs_of(reference))


def check(folder, reference, tolerance, scratch):
    """Compares a SavedModel with the reference in a fresh process; a ValueError if they differ."""
    np.savez(scratch / "reference.npz", **reference)
    # As a file, not a module: see there.
    arguments = [verify.__file__, str(folder), str(scratch / "reference.npz"), str(tolerance)]
    run(arguments, "loading the exported model in a fresh process")


def check_packages(with_warmup):
    """Raises an ImportError with the command that installs what is missing."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            "A SavedModel is written by TensorFlow, which is not installed: "
            "pip install 'keras-recres[tensorflow]'."
        )
    if with_warmup and not warmup.available():
        raise ImportError(warmup.MISSING)


def run(arguments, doing):
    """Runs Python with TensorFlow as Keras' backend; the last line that it says is the error."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        # -P: the folder of a file that is run must not come before the installed packages.
        [sys.executable, "-P", *arguments],
        env={**env, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ValueError(f"The export failed {doing}: {lines[-1]}")
