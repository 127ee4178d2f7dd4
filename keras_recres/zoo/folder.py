"""A model as a folder of plain files: written whole, checked before it is used, no code in it."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops, tree

from keras_recres import __version__
from keras_recres.backend import keras_private
from keras_recres.models.random_inputs import random_inputs
from keras_recres.zoo import card, keras_file, manifest, safe_config, text, transfer
from keras_recres.zoo.preprocessing import Preprocessing
from keras_recres.zoo.zoo_model import ZooModel

if TYPE_CHECKING:
    from keras_recres.backend.types import Path as PathLike

CHECKED = (keras_file.CONFIG, "model.weights.h5", "golden.npz")
# The card is for people, who may change it.
FILES = (*CHECKED, "manifest.json", "README.md")
# What another backend or device may differ by, of the largest logit; TF32 of GPUs is the coarsest.
TOLERANCE, TOLERANCE_16_BITS = 0.01, 0.1


def save(model: keras.Model, folder: PathLike) -> Path:
    """Writes a model as a folder that `zoo.load(Path(folder))` reads on any backend.

    It has `config.json`, Keras' config of the network with its record, tag, preprocessing and names
    of classes; `model.weights.h5`; `golden.npz`, two inputs and the outputs that they must give;
    `manifest.json`, sha256 of these; and a model card, `README.md`, with the row of results and the
    licence where the weights are the zoo's. What the model was compiled with is not kept.

    Example:
    >>> model = zoo.load("planar_rec", classes=["inside", "outside"])  # doctest: +SKIP
    >>> folder = zoo.save(model, "spirals")  # doctest: +SKIP
    >>> zoo.load(folder).class_names  # doctest: +SKIP
    ('inside', 'outside')

    Args:
        model: What `zoo.load` gave, fine-tuned or not; or a functional or Sequential model of
            layers of Keras and of keras_recres, such as `models.substitute` gives.
        folder: Path of the folder, which appears whole or not at all. One that was written so
            before is replaced.

    Returns:
        The path.

    Raises:
        ValueError: The model is subclassed or not built, or has code of its own, a layer of yours
            or a Lambda, or outputs that are not finite; or the folder has other files.
    """
    folder = Path(folder).expanduser()
    _check_target(folder)
    model = _whole(model)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    before = aside.with_suffix(".before")
    try:
        aside.mkdir(parents=True)
        _write(model, aside)
        load(aside)
        if folder.is_dir():
            os.replace(folder, before)
        os.replace(aside, folder)
    finally:
        if before.is_dir() and not folder.is_dir():
            os.replace(before, folder)
        for path in (aside, before):
            shutil.rmtree(path, ignore_errors=True)
    return folder


def load(folder):
    """The model of a folder that `save` wrote, checked.

    Raises:
        FileNotFoundError: The folder is missing, or lacks a file.
        ValueError: A file is corrupt or asks for code, or the outputs are not those of the model.
    """
    folder = Path(folder).expanduser()
    check(folder)
    config, where = keras_file.config_of(folder), folder / keras_file.CONFIG
    with keras_private.values_given_later():
        model = safe_config.built(config, where)
        if not isinstance(model, ZooModel):
            raise ValueError(f"{where} is not the config of a model that zoo.save wrote.")
        transfer.read(model, folder / "model.weights.h5")
    _check_golden(model, folder / "golden.npz")
    return model


def check(folder):
    """Checks that a folder has all files, as their sha256 say."""
    if folder.is_file():
        raise ValueError(f"{folder} is not a folder; keras.saving.load_model reads a .keras file.")
    for name in (*CHECKED, "manifest.json"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} has no {name}: give a folder that zoo.save wrote, or a name of the zoo, "
                "without a slash."
            )
    listed = manifest.read(folder)
    if {*listed} != {*CHECKED}:
        raise ValueError(
            f"{folder / 'manifest.json'} must list {', '.join(CHECKED)}, found "
            f"{', '.join(listed) or 'nothing'}: get the folder again."
        )
    for name, entry in listed.items():
        manifest.check(folder / name, entry, "get the folder again")


def _check_target(folder):
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give the path of a folder.")
    others = [p.name for p in folder.glob("*") if p.name not in FILES] if folder.is_dir() else []
    if others:
        raise ValueError(
            f"{folder} has other files ({others[0]!r}), which would be lost: give a new folder, or "
            "one that zoo.save wrote."
        )


def _whole(model):
    """The model, or one of its graph, of the class that saves what the zoo knows of it."""
    kinds = (ZooModel, keras_private.functional_class(), keras.Sequential)
    function = keras_private.function_of(model) if type(model) in kinds else None
    if function is None:
        raise ValueError(
            "zoo.save takes a functional model or a Sequential one that is built, since others "
            f"have code of their own, found {type(model).__name__}: {model!r}."
        )
    whole = model
    if type(model) is not ZooModel:
        whole = ZooModel(function.inputs, function.outputs, name=model.name)
        for key in ("preprocess", "zoo_record", "zoo_tag", "class_names"):
            if hasattr(model, key):
                setattr(whole, key, getattr(model, key))
    preprocess = getattr(whole, "preprocess", None)
    if not isinstance(preprocess, Preprocessing | text.TextPreprocessing | None):
        raise ValueError(
            f"{model.name!r} has a `preprocess` that is not a zoo.Preprocessing, found "
            f"{preprocess!r}: code cannot be saved."
        )
    return whole


def _write(model, folder):
    config = {"keras_recres": __version__, "keras": keras.__version__}
    config["model"] = safe_config.serialized(model)
    # Beside the network, where a reader finds it.
    config["zoo"] = config["model"]["config"].pop("zoo")
    inputs = random_inputs(model)
    golden = {f"input_{i}": ops.convert_to_numpy(x) for i, x in enumerate(inputs)}
    outputs = _outputs(model, [*golden.values()])
    if not all(np.isfinite(x).all() for x in outputs):
        raise ValueError(f"{model.name!r} gives outputs that are not finite: it was not saved.")
    golden |= {f"logits_{i}": x for i, x in enumerate(outputs)}
    _write_json(config, folder / keras_file.CONFIG)
    model.save_weights(folder / "model.weights.h5")
    np.savez(folder / "golden.npz", **golden)
    listed = {name: manifest.entry_of(folder / name) for name in CHECKED}
    _write_json({"files": listed}, folder / "manifest.json")
    (folder / "README.md").write_text(card.text_of(model), encoding="utf-8")


def _write_json(content, path):
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _outputs(model, inputs):
    inputs = [ops.convert_to_tensor(x, x.dtype.name) for x in inputs]
    with warnings.catch_warnings():
        # Keras' about the structure of inputs that are a list.
        warnings.simplefilter("ignore")
        found = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    return [ops.convert_to_numpy(ops.cast(x, "float32")) for x in tree.flatten(found)]


def _check_golden(model, path):
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = dict(file)
        inputs = [golden[f"input_{i}"] for i in range(len(model.inputs))]
        outputs = _outputs(model, inputs)
        wanted = [golden[f"logits_{i}"] for i in range(len(outputs))]
    except Exception as error:  # NumPy and Keras raise all sorts for a damaged file.
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} has no inputs and logits of {model.name!r} ({reason}).") from None
    few_bits = any("16" in layer.compute_dtype for layer in model.layers)
    tolerance = TOLERANCE_16_BITS if few_bits else TOLERANCE
    for found, logits in zip(outputs, wanted, strict=True):
        fits = found.shape == logits.shape
        error = np.abs(found - logits).max() / max(1.0, np.abs(logits).max()) if fits else np.inf
        if not error <= tolerance:
            raise ValueError(
                f"{model.name!r} gives other outputs than {path} says, by {error:.2g} of the "
                "largest: the weights are not those that were saved; get the folder again."
            )
