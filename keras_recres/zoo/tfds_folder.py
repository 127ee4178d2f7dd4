"""Data sets that TensorFlow Datasets prepared on this disk: DIR/NAME/VERSION.

The folder is looked for here, not by ``tfds.load``: that would ask the network about a data set
that it does not find.
"""

import collections.abc
import dataclasses
import importlib.util
import os
from pathlib import Path

import numpy as np

INFO = "dataset_info.json"


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of an image data set, as it is stored.

    Attributes:
        data: Sequence of bytes, one image file each.
        labels: int64 array (N,), or a `Column` of them.
        class_names: One string a class.
        split: The split's name.
        channels: Channels of an image.
    """

    data: collections.abc.Sequence
    labels: collections.abc.Sequence
    class_names: tuple
    split: str
    channels: int


class Column(collections.abc.Sequence):
    """One feature of records that stay on the disk until they are asked for.

    Args:
        source: Records, each a dict, by their number.
        key: The feature.
    """

    def __init__(self, source, key):
        self._source, self._key = source, key

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        """The feature of one record, or a list of it for those that an array or a slice names."""
        if isinstance(index, int | np.integer):
            return self._source[range(len(self))[index]][self._key]
        # At once: one by one takes four times as long and more.
        numbers = np.arange(len(self))[index].tolist()
        return [record[self._key] for record in self._source.__getitems__(numbers)]


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


def tfds():
    """The module tensorflow_datasets; says what to install where it cannot be had."""
    # TensorFlow is only a reader here: its start-up lines are no news to the user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        if importlib.util.find_spec("tensorflow") is None:
            raise ImportError("No module named 'tensorflow'")
        import tensorflow_datasets
    except (ImportError, ValueError) as error:
        raise ImportError(
            f"a TFDS folder needs TensorFlow and tensorflow-datasets ({error}): install them with "
            f"`pip install 'keras-recres[tensorflow,train]'`."
        ) from None
    return tensorflow_datasets


def read(dataset, split, version, limit=None):
    """Reads one split, images still encoded; what is stored as ArrayRecord stays on the disk.

    Args:
        dataset: its name.
        split: "train", "test", ..., or "evaluation" for "test", else "validation".
        version: the folder that `find` gave.
        limit: only the first so many images.

    Returns:
        A `Split`.

    Raises:
        ValueError: The folder, the split or the images are not what they must be.
        ImportError: TFDS or TensorFlow is missing.
    """
    module = tfds()
    try:
        builder = module.builder_from_directory(str(version))
    except Exception as error:  # Whatever a broken folder makes TFDS raise, it is the folder.
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{version} is no data set that TFDS can read ({reason[0] if reason else error!r})."
        ) from None
    image, label = _image_and_label(module, dataset, builder.info)
    splits = [name for name in builder.info.splits if _present(builder.info.splits[name])]
    if split == "evaluation":
        split = next((s for s in ("test", "validation") if s in splits), split)
    if split not in splits:
        raise ValueError(
            f"{dataset} in {version} has no split {split!r}, only {', '.join(splits) or 'none'}."
        )
    features = builder.info.features
    if limit is not None:
        limit = min(limit, builder.info.splits[split].num_examples)
    options = {
        "split": split if limit is None else f"{split}[:{limit}]",
        "decoders": {image: module.decode.SkipDecoding()},
    }
    try:
        if builder.info.file_format is module.core.FileFormat.ARRAY_RECORD:
            source = builder.as_data_source(**options)
            data, labels = Column(source, image), Column(source, label)
        else:
            records = list(module.as_numpy(builder.as_dataset(**options, shuffle_files=False)))
            data = [record[image] for record in records]
            labels = np.asarray([record[label] for record in records], dtype=np.int64)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{dataset} in {version} cannot be read: {reason[:200]}.") from None
    return Split(
        data,
        labels,
        tuple(features[label].names),
        split,
        features[image].shape[-1] or 3,
    )


def _present(split):
    # A folder may hold a part of the splits that its metadata names.
    return bool(split.filepaths) and all(os.path.exists(path) for path in split.filepaths)


def _image_and_label(module, dataset, info):
    images, labels = (
        [key for key, feature in info.features.items() if type(feature) is kind]
        for kind in (module.features.Image, module.features.ClassLabel)
    )
    preferred = info.supervised_keys or (None, None)
    if not images or not labels:
        raise ValueError(
            f"{dataset} is no image classification data set: it has {', '.join(info.features)}."
        )
    image = preferred[0] if preferred[0] in images else images[0]
    label = preferred[1] if preferred[1] in labels else labels[0]
    if info.features[image].np_dtype != np.uint8:
        raise ValueError(f"{dataset} has {info.features[image].np_dtype} images, not uint8.")
    return image, label
