"""Finds data sets on this disk without reading them, and without TensorFlow."""

import dataclasses
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from keras_recres.zoo.tfds_folder import JPEG, RE_ENCODED
from training.data import default_data_dir, parents, tfds_folder

PNG = b"\x89PNG"


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a data set is.

    Attributes:
        path: what `training.data.load` takes as `data_dir`.
        tag: what results on it are filed under, see `training.data.packed.Encoded.tag`.
        images: number of training images, None where that is not said.
    """

    path: Path
    tag: str
    images: int | None


def default():
    """The folder that KERAS_RECRES_DATA names, else TFDS' own default."""
    named = os.environ.get("KERAS_RECRES_DATA")
    return Path(named) if named else default_data_dir()


def find(dataset, folder=None):
    """Looks for a data set.

    Args:
        dataset: its name.
        folder: a packed file, or a folder that has DATASET/VERSION or DATASET.npz, itself or in
            one of the folders in it; None for `default()`.

    Returns:
        A `Place`, or None.
    """
    folder = default() if folder is None else Path(folder).expanduser()
    if folder.suffix == ".npz":
        return _packed(dataset, folder)
    for parent in parents(folder):
        if place := _packed(dataset, parent / f"{dataset}.npz"):
            return place
        if version := tfds_folder.find(dataset, parent):
            tag = RE_ENCODED[dataset] if dataset in RE_ENCODED and _is_jpeg(version) else dataset
            return Place(parent, tag, _count(version, dataset in tfds_folder.HALVES))
    return None


def _packed(dataset, path):
    try:
        with np.load(path, allow_pickle=False) as file:
            if not hasattr(file, "files") or str(file["dataset"]) != dataset:
                return None
            images = len(file["train/labels"]) if "train/labels" in file.files else None
            return Place(path, str(file["tag"]), images)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # What is wrong with it is told when it is read.


def _is_jpeg(version):
    """Whether the first image that is stored there is a JPEG file."""
    for path in sorted(version.glob("*-train.*")):
        with open(path, "rb") as file:
            head = file.read(1 << 16)
        jpeg, png = head.find(JPEG), head.find(PNG)
        return jpeg >= 0 and not 0 <= png < jpeg
    return False


def _count(version, half):
    try:
        info = json.loads((version / tfds_folder.INFO).read_text(encoding="utf-8"))
        shards = next(s["shardLengths"] for s in info["splits"] if s["name"] == "train")
        return sum(map(int, shards)) // (1 + half)
    except (OSError, ValueError, KeyError, StopIteration):
        return None
