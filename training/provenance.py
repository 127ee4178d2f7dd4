"""Where a number comes from: backend, hardware, commit."""

import os
import platform
import subprocess
from pathlib import Path

import keras

ROOT = Path(__file__).resolve().parents[1]


def provenance():
    """Returns {"backend", "hardware", "commit", "keras"}, all str.

    The commit is "" outside a git checkout, and ends in "-dirty" when the code differs from it.
    """
    return {
        "backend": keras.backend.backend(),
        "hardware": hardware(),
        "commit": commit(),
        "keras": keras.__version__,
    }


def hardware():
    """The accelerator if the backend has one, else the processor and its number of cores."""
    accelerators = _accelerators()
    if accelerators and accelerators[0].lower().startswith("tpu"):
        return f"{len(accelerators)} x {_tpu()}"
    if accelerators or _on_cuda():
        name = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
        name = name.splitlines()[0].strip() if name else "GPU"
        return name if len(accelerators) < 2 else f"{len(accelerators)} x {name}"
    count = cores()
    return f"{_processor()}, {count} core{'s' if count > 1 else ''}"


def cores():
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_accelerator():
    """Whether the backend computes on a GPU or a TPU."""
    return bool(_accelerators()) or _on_cuda()


def _accelerators():
    try:
        devices = keras.distribution.list_devices()
    except (ValueError, RuntimeError, AttributeError, NotImplementedError):
        devices = []
    return [device for device in devices if not device.lower().startswith("cpu")]


def _tpu():
    """What kind of TPU it is, as far as the backend knows."""
    if keras.backend.backend() != "jax":
        return "TPU"
    import jax

    return jax.devices()[0].device_kind


def _on_cuda():
    """Whether PyTorch, whose devices Keras does not list, puts tensors on a GPU."""
    if keras.backend.backend() != "torch":
        return False
    return keras.ops.zeros(()).device.type == "cuda"


def _processor():
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "CPU"


def commit():
    """The checkout's commit, abbreviated.

    A copy of the code without its history is of the commit that KERAS_RECRES_COMMIT names (see
    `training.travel.device`), or "" where that is unset.
    """
    found = _output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD").strip()
    if not found:
        return os.environ.get("KERAS_RECRES_COMMIT", "")
    code = ("keras_recres", "training", "zoo/configs")
    changed = _output("git", "-C", str(ROOT), "status", "--porcelain", "--", *code)
    return f"{found}-dirty" if changed.strip() else found


def _output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
