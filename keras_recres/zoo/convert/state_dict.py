"""Reads PyTorch checkpoints into plain NumPy arrays."""

import os
import pickle
import re

import numpy as np

from keras_recres.layers.checks import a_kind

# Where training scripts keep the weights, the averaged ones first.
ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model", "net")
# What DataParallel and torch.compile put in front of every name.
PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")


def read_state_dict(source):
    """The weights of a checkpoint as NumPy arrays by name.

    Args:
        source: Path of a `.pth`, `.pth.tar` or `.safetensors` file, or a dict: of arrays or tensors
            by name, or a checkpoint that has such a dict under one of `ENTRIES`, the first of which
            counts.

    Returns:
        The pair (state, origin): a dict of NumPy arrays whose names have lost the prefixes
        `module.` and `_orig_mod.`, and words that say where they were.

    Raises:
        ValueError: If the file is missing or is not a checkpoint, or an entry is not an array.
        ImportError: If a file is to be read and torch, or safetensors, is not installed.
    """
    origin = "a dict"
    if isinstance(source, str | os.PathLike):
        origin = os.path.basename(os.fspath(source))
        source = _load(os.path.expanduser(source))
    if not isinstance(source, dict):
        raise ValueError(
            f"A checkpoint must be a path or a dict of arrays by name, but {origin} holds "
            f"{a_kind(source)}."
        )
    for entry in ENTRIES:
        if isinstance(source.get(entry), dict):
            source, origin = source[entry], f"{origin}, {entry!r}"
            break
    state = {}
    for key, value in source.items():
        name = PREFIXES.sub("", str(key))
        if name in state:
            raise ValueError(
                f"{origin} has the weight {name!r} with and without the prefix 'module.' or "
                f"'_orig_mod.': remove one of them."
            )
        state[name] = _to_numpy(name, value, origin)
    return state, origin


def check(state, shapes, origin, advice):
    """Raises one ValueError that names what does not fit, before anything is set.

    Args:
        state: Arrays by name.
        shapes: {name: the shapes that its array may have}.
        origin: What to call the checkpoint.
        advice: What to do, the end of the sentence.
    """
    missing = [key for key in shapes if key not in state]
    unexpected = [key for key in state if key not in shapes]
    wrong = [
        f"{key} is {state[key].shape} and must be {' or '.join(map(str, allowed))}"
        for key, allowed in shapes.items()
        if key in state and state[key].shape not in allowed
    ]
    faults = [
        f"{len(found)} {words} ({a_few(found)})"
        for found, words in (
            (missing, "weights are missing"),
            (unexpected, "are unexpected"),
            (wrong, "have the wrong shape"),
        )
        if found
    ]
    if faults:
        raise ValueError(f"{origin} does not fit the model: {', '.join(faults)}; {advice}")


def a_few(items, count=3):
    """The first of some words, for a sentence."""
    return "; ".join(items[:count]) + ("; …" if len(items) > count else "")


def to_tensors(state):
    """Arrays by name as tensors by name."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "A state_dict needs PyTorch, which is not installed: run `pip install torch`."
        ) from error
    # A copy: a tensor of an array of another's memory would change with it.
    return {key: torch.tensor(value) for key, value in state.items()}


def _load(path):
    if not os.path.isfile(path):
        raise ValueError(
            f"There is no checkpoint file {path!r}: give the path of a .pth, .pth.tar or "
            ".safetensors file."
        )
    if os.fspath(path).endswith(".safetensors"):
        return _load_safetensors(path)
    try:
        # torch is the reader of the file format here, whatever the Keras backend is, so it is
        # imported only once there is a file to read.
        import torch
    except ImportError as error:
        raise ImportError(
            f"Reading {path!r} needs PyTorch, which is not installed: run `pip install torch`, or "
            f"pass the weights as a dict of NumPy arrays."
        ) from error
    import argparse

    try:
        # weights_only refuses every class but tensors and plain containers, so nothing in the
        # file is executed. Training scripts store their options beside the weights as a
        # Namespace, which is a mere holder of attributes, and the best accuracy as a NumPy number.
        with torch.serialization.safe_globals([argparse.Namespace, *_numpy_numbers()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises anything from KeyError to UnpicklingError.
        # PyTorch's own words advise to load what it refuses, which could run code of the file.
        refused = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
        if refused:
            reason = f"beside tensors it holds {refused[1]}, which could run code"
        elif isinstance(error, pickle.UnpicklingError):
            reason = "it is damaged, or holds more than tensors"
        else:
            reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise ValueError(
            f"{path!r} is not a PyTorch checkpoint of plain weights ({reason}): download it again, "
            f"or save its state_dict alone."
        ) from None


def _load_safetensors(path):
    try:
        from safetensors import SafetensorError, numpy
    except ImportError as error:
        raise ImportError(
            f"Reading {path!r} needs safetensors, which is not installed: run "
            "`pip install safetensors`."
        ) from error
    try:
        return numpy.load_file(path)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path!r} is not a safetensors file that NumPy can hold ({error}): download it again."
        ) from None


def _numpy_numbers():
    """What the pickles of NumPy's real numbers are made of."""
    make = np.float64(0).__reduce__()[0]
    kinds = "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]
    return [
        np.dtype,
        *{type(np.dtype(kind)) for kind in kinds},
        # By its name in NumPy 1 and 2.
        *((make, f"numpy.{package}.multiarray.scalar") for package in ("core", "_core")),
    ]


def _to_numpy(name, value, origin):
    if hasattr(value, "detach"):  # A torch tensor; NumPy does not know bfloat16.
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    if not isinstance(value, np.ndarray | np.generic):
        raise ValueError(
            f"{origin} must hold arrays by name, but {name!r} is {a_kind(value)}: pass "
            f"the dict of weights itself."
        )
    return np.asarray(value)
