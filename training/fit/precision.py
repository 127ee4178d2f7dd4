"""Which numbers are the fast ones here."""

import contextlib
from pathlib import Path

import keras

from training.provenance import has_accelerator

# Instructions that multiply bfloat16: without them it takes nine times as long as float32.
FLAGS = {"amx_bf16", "avx512_bf16"}
CPUINFO = Path("/proc/cpuinfo")


def fastest():
    """A Keras dtype policy, and why it is the fast one.

    Returns:
        "mixed_bfloat16" where an accelerator or the processor multiplies it, else "float32"; and a
        clause that says so.
    """
    if has_accelerator():
        return "mixed_bfloat16", "there is an accelerator"
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    flags = next((line.split() for line in lines if line.startswith("flags")), ())
    if found := FLAGS.intersection(flags):
        return "mixed_bfloat16", f"the processor has {', '.join(sorted(found))}"
    return "float32", f"the processor has neither {' nor '.join(sorted(FLAGS))}"


@contextlib.contextmanager
def subnormals_are_zero():
    """While it lasts PyTorch takes numbers below 1.2e-38 for 0, as TensorFlow and XLA do.

    Gradients through hundreds of steps get so small, and Intel's processors compute with such
    numbers tens of times more slowly: an LSTM over 400 steps trains at a tenth of its speed. It
    holds for the whole thread, also for NumPy.
    """
    if keras.backend.backend() != "torch":
        yield
        return
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
