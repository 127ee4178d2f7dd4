"""Data sets that TensorFlow Datasets prepared on this disk: DIR/NAME/VERSION.

The folder is looked for here, not by ``tfds.load``: that would ask the network about a data set
that it does not find.
"""

import os
from pathlib import Path

import numpy as np

from training.errors import UserError
from training.packed import Encoded

INFO = "dataset_info.json"


def find(dataset, folder):
    """The folder of a data set's newest version, or None.

    Args:
        dataset: "mnist", or "NAME/CONFIG" for a data set with several configurations.
        folder: the folder that holds NAME/VERSION.
    """
    versions = [path.parent for path in Path(folder, dataset).glob(f"*/{INFO}")]
    return max(versions, key=_version, default=None)


def prepared(folder):
    """Names of all data sets with at least one version in a folder, sorted."""
    return sorted({path.parents[1].name for path in Path(folder).glob(f"*/*/{INFO}")})


def _version(path):
    return [int(part) if part.isdigit() else -1 for part in path.name.split(".")]


def _tfds():
    # TensorFlow is only a reader here: its start-up lines are no news to the user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow  # noqa: F401
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"a TFDS folder needs TensorFlow and tensorflow-datasets ({error}): "
            'install them with `pip install -e ".[tensorflow,train]"`, or give a packed .npz file '
            "that `python -m training.data pack` wrote on a machine that has them."
        ) from None
    return tfds


def read(dataset, split, version, limit=None):
    """Reads one split, images still encoded.

    Args:
        dataset: its name.
        split: "train", "test", ..., or "evaluation" for "test", else "validation".
        version: the folder that `find` gave.
        limit: only the first so many images.

    Returns:
        A `training.packed.Encoded` record.
    """
    tfds = _tfds()
    try:
        builder = tfds.builder_from_directory(str(version))
    except Exception as error:  # Whatever a broken folder makes TFDS raise, it is the folder.
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{version} is no data set that TFDS can read ({reason[0] if reason else error!r})."
        ) from None
    image, label = _image_and_label(tfds, dataset, builder.info)
    splits = [name for name in builder.info.splits if _present(builder.info.splits[name])]
    if split == "evaluation":
        split = next((s for s in ("test", "validation") if s in splits), split)
    if split not in splits:
        raise UserError(
            f"{dataset} in {version} has no split {split!r}, only {', '.join(splits) or 'none'}."
        )
    features = builder.info.features
    if limit is not None:
        limit = min(limit, builder.info.splits[split].num_examples)
    records = builder.as_dataset(
        split=split if limit is None else f"{split}[:{limit}]",
        decoders={image: tfds.decode.SkipDecoding()},
        shuffle_files=False,
    )
    data, labels = [], []
    try:
        for record in tfds.as_numpy(records):
            data.append(record[image])
            labels.append(record[label])
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{dataset} in {version} cannot be read: {reason[:200]}.") from None
    return Encoded(
        data,
        np.asarray(labels, dtype=np.int64),
        tuple(features[label].names),
        dataset,
        split,
        features[image].shape[-1] or 3,
    )


def _present(split):
    # A folder may hold a part of the splits that its metadata names.
    return bool(split.filepaths) and all(os.path.exists(path) for path in split.filepaths)


def _image_and_label(tfds, dataset, info):
    kinds = {
        tfds.features.Image: [k for k, f in info.features.items() if _is(f, tfds.features.Image)],
        tfds.features.ClassLabel: [
            k for k, f in info.features.items() if _is(f, tfds.features.ClassLabel)
        ],
    }
    images, labels = kinds.values()
    preferred = info.supervised_keys or (None, None)
    if not images or not labels:
        raise UserError(
            f"{dataset} is no image classification data set: it has {', '.join(info.features)}."
        )
    image = preferred[0] if preferred[0] in images else images[0]
    label = preferred[1] if preferred[1] in labels else labels[0]
    if info.features[image].np_dtype != np.uint8:
        raise UserError(f"{dataset} has {info.features[image].np_dtype} images, not uint8.")
    return image, label


def _is(feature, kind):
    return type(feature) is kind


def download(dataset, folder):
    """Fetches and prepares a data set with TFDS, from the network.

    Args:
        dataset: a name that TFDS knows.
        folder: the folder to put NAME/VERSION into.
    """
    tfds = _tfds()
    try:
        tfds.builder(dataset, data_dir=str(folder)).download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"TFDS has no data set {dataset!r}.") from None
    except Exception as error:  # No network, no space, a moved address: TFDS raises all sorts.
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{dataset!r} could not be fetched into {folder} "
            f"({type(error).__name__}: {reason[0][:200] if reason else ''})."
        ) from None
