"""Data sets that TensorFlow Datasets prepared on this disk: DIR/NAME/VERSION.

The folder is looked for here, not by ``tfds.load``: that would ask the network about a data set
that it does not find.
"""

import collections.abc
import contextlib
import dataclasses
import importlib.util
import json
import os
from pathlib import Path

import numpy as np

INFO = "dataset_info.json"
JPEG = b"\xff\xd8"
# What a copy is called that was encoded anew as JPEG, and so has other pixels: TFDS has no name for
# it, and it lies in a folder called as the original.
RE_ENCODED = {"cifar10": "cifar10_jpeg"}
# Data sets that are every second class of another, from the first or the second on: what is learnt
# on one half is transferred to the other.
HALVES = {
    "tiny_imagenet40": ("tiny_imagenet80", 0),
    "tiny_imagenet40_odd": ("tiny_imagenet80", 1),
}


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a data set of images or texts, as it is stored.

    Attributes:
        data: List of bytes, one image file or text in UTF-8 each, or a `Stored`; or an array (N, …)
            of examples that are neither.
        labels: int64 array (N,); None if the data are `Stored`, which has them.
        class_names: One string a class.
        dataset: The data set's name.
        split: The split's name.
        channels: Channels of an image, 1 or 3; 0 of texts and arrays.
    """

    data: collections.abc.Sequence
    labels: np.ndarray | None
    class_names: tuple
    dataset: str
    split: str
    channels: int

    @property
    def holds(self):
        """What the examples are: "images", "texts" or "arrays"."""
        if isinstance(self.data, np.ndarray):
            return "arrays"
        return "images" if self.channels else "texts"

    @property
    def tag(self):
        """The data set's name; "cifar10_jpeg" for a CIFAR-10 that was re-encoded as JPEG.

        The real CIFAR-10 is stored as PNG: a JPEG copy has other pixels, and a result on it must
        not pass for one on CIFAR-10. A config's name follows after "_": files are called after it.
        """
        if self.dataset in RE_ENCODED and len(self.data) and self.data[0][:2] == JPEG:
            return RE_ENCODED[self.dataset]
        return self.dataset.replace("/", "_")

    def read(self, numbers):
        """The examples and the labels of these numbers: a list of bytes or an array, and an array.

        Raises:
            ValueError: One of them is damaged.
        """
        if self.labels is None:
            return self.data.read(numbers)
        labels = np.asarray(self.labels, np.int64)[numbers]
        if isinstance(self.data, np.ndarray):
            return self.data[numbers], labels
        return [self.data[i] for i in numbers], labels


def original(tag):
    """The data set that a tag's images are read from: of "cifar10_jpeg" "cifar10"."""
    return next((name for name, copy in RE_ENCODED.items() if copy == tag), tag)


class Stored(collections.abc.Sequence):
    """Image files that stay on the disk until they are asked for.

    Args:
        source: What TFDS' `as_data_source` gave.
        image: The feature with the image.
        label: The feature with its class.
        where: What to say of a record that cannot be read.
    """

    def __init__(self, source, image, label, where):
        self._source, self._image, self._label, self._where = source, image, label, where

    def __len__(self):
        return len(self._source)

    def __getitem__(self, number):
        return self.read([range(len(self))[number]])[0][0]

    def read(self, numbers):
        """The files and the labels of some records, a list of bytes and an int64 array.

        Raises:
            ValueError: One of them is damaged.
        """
        try:
            # At once: one by one takes four times as long and more.
            records = self._source.__getitems__([int(number) for number in numbers])
        except Exception as error:  # Damaged files make it raise all sorts.
            raise _unreadable(self._where, error) from None
        labels = np.array([record[self._label] for record in records], dtype=np.int64)
        return [record[self._image] for record in records], labels


def _unreadable(where, error):
    reason = str(error).strip().splitlines()
    return ValueError(f"{where} cannot be read: {reason[0][:200] if reason else error!r}.")


def find(dataset, folder):
    """The folder of a data set's newest version, or None.

    Args:
        dataset: "mnist", or "NAME/CONFIG" for a data set with several configurations; of NAME
            alone the newest version of any.
        folder: the folder that holds NAME/VERSION.
    """
    whole, _ = HALVES.get(dataset, (dataset, None))
    found = [path.parent for path in Path(folder, whole).glob(f"*/{INFO}")]
    found = found or [path.parent for path in _configs(folder) if path.parents[2].name == whole]
    return max(found, key=_version, default=None)


def prepared(folder):
    """Names of all data sets with at least one version in a folder, sorted."""
    names = {path.parents[1].name for path in Path(folder).glob(f"*/*/{INFO}")}
    names |= {path.parents[2].name for path in _configs(folder)}
    return sorted(names | {half for half, (whole, _) in HALVES.items() if whole in names})


def _configs(folder):
    """Of NAME/CONFIG/VERSION the descriptions; not of FOLDER/NAME/VERSION."""
    for path in Path(folder).glob(f"*/*/*/{INFO}"):
        with contextlib.suppress(ValueError, OSError):
            if json.loads(path.read_text(encoding="utf-8")).get("name") == path.parents[2].name:
                yield path


def _version(path):
    return [int(part) if part.isdigit() else -1 for part in path.name.split(".")]


def tfds():
    """The module tensorflow_datasets; says what to install where it cannot be had."""
    # TensorFlow is only a reader here: the user need not see its start-up lines.
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


def read(dataset, split, version, limit=None, stored=False):
    """Reads one split, images still encoded, texts as UTF-8.

    Args:
        dataset: its name.
        split: "train", "test", ..., or "evaluation" for "test", else "validation".
        version: the folder that `find` gave.
        limit: only the first so many images.
        stored: leave the images on the disk if they are stored as array_record, the one format
            that is read in any order.

    Returns:
        A `Split`.

    Raises:
        ValueError: The folder, the split or the images are not what they must be.
        ImportError: TFDS or TensorFlow is missing.
    """
    if dataset in HALVES:
        name, odd = HALVES[dataset]
        whole = read(name, split, version)
        (chosen,) = np.nonzero(whole.labels % 2 == odd)
        return dataclasses.replace(
            whole,
            data=[whole.data[i] for i in chosen[:limit]],
            labels=whole.labels[chosen[:limit]] // 2,
            class_names=whole.class_names[odd::2],
            dataset=dataset,
        )
    module = tfds()
    try:
        builder = module.builder_from_directory(str(version))
    except Exception as error:  # Whatever a broken folder makes TFDS raise, it is the folder.
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{version} is not a data set that TFDS can read ({reason[0] if reason else error!r})."
        ) from None
    example, label = _example_and_label(module, dataset, builder.info)
    splits = [name for name in builder.info.splits if present(builder.info.splits[name])]
    if split == "evaluation":
        split = next((s for s in ("test", "validation") if s in splits), split)
    if split not in splits:
        raise ValueError(
            f"{dataset} in {version} has no split {split!r}, only {', '.join(splits) or 'none'}."
        )
    features = builder.info.features
    if limit is not None:
        limit = min(limit, builder.info.splits[split].num_examples)
    where = f"{dataset} in {version}"
    options = {
        "split": split if limit is None else f"{split}[:{limit}]",
        "decoders": {example: module.decode.SkipDecoding()},
    }
    try:
        if builder.info.file_format is module.core.FileFormat.ARRAY_RECORD:
            _allow_open_files(len(builder.info.splits[split].filepaths))
            data = Stored(builder.as_data_source(**options), example, label, where)
            labels = None
        else:
            data, labels = [], []
            for record in module.as_numpy(builder.as_dataset(**options, shuffle_files=False)):
                data.append(record[example])
                labels.append(record[label])
            labels = np.asarray(labels, dtype=np.int64)
    except Exception as error:
        raise _unreadable(where, error) from None
    if labels is None and not stored:
        data, labels = data.read(range(len(data)))
    return Split(
        data,
        labels,
        tuple(features[label].names),
        dataset,
        split,
        (features[example].shape[-1] or 3) if features[example].shape else 0,
    )


def _allow_open_files(more):
    """Lets this process open so many more files: TFDS keeps all files of a split open.

    ImageNet's 1,024 are as many as most systems allow a process that does not ask for more.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit.
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        wanted = max(soft, 1024 + 2 * more)
        within = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (within, hard))


def present(split):
    """Whether all files of a split of TFDS' are there."""
    # A folder may hold a part of the splits that its metadata names.
    return bool(split.filepaths) and all(os.path.exists(path) for path in split.filepaths)


def _example_and_label(module, dataset, info):
    images, texts, labels = (
        [key for key, feature in info.features.items() if type(feature) is kind]
        for kind in (module.features.Image, module.features.Text, module.features.ClassLabel)
    )
    # A picture may have a text beside it, and is the example then.
    examples, preferred = images or texts, info.supervised_keys or (None, None)
    if not examples or not labels:
        raise ValueError(
            f"{dataset} is not an image or text classification data set: it has "
            f"{', '.join(info.features)}."
        )
    example = preferred[0] if preferred[0] in examples else examples[0]
    label = preferred[1] if preferred[1] in labels else labels[0]
    if images and info.features[example].np_dtype != np.uint8:
        raise ValueError(f"{dataset} has {info.features[example].np_dtype} images, not uint8.")
    return example, label
