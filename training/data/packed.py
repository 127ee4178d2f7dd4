"""A packed data set: one .npz file of encoded images, read with NumPy alone.

For each split the file holds ``SPLIT/bytes`` (uint8, the image files one after the other),
``SPLIT/offsets`` (int64, N + 1: file i is bytes[offsets[i]:offsets[i + 1]]) and ``SPLIT/labels``
(int64), and for all of them ``format``, ``dataset``, ``tag``, ``channels`` and ``class_names``.
Other examples, such as points or tokens, stand in ``SPLIT/arrays`` (N, …) in place of bytes and
offsets. Nothing in it is pickled.
"""

import zipfile
from pathlib import Path

import numpy as np

from keras_recres.zoo.tfds_folder import Split
from training.errors import UserError
from training.files import replacing

FORMAT = "keras_recres.packed.1"


class Encoded(Split):
    """One split as it is stored, see `keras_recres.zoo.tfds_folder.Split`."""

    def read(self, numbers):
        """As `Split` does it.

        Raises:
            UserError: One of them is damaged.
        """
        try:
            return super().read(numbers)
        except ValueError as error:
            raise UserError(str(error)) from None


def write(path, parts, compress=False):
    """Writes splits of one data set into a packed file, whole or not at all.

    Args:
        path: the file, NAME.npz.
        parts: `Encoded` records of one data set.
        compress: whether to compress it. Small JPEG files are mostly headers, which are all the
            same: a packed CIFAR-10 becomes a third of its size.

    Returns:
        The file's size in bytes.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise UserError(f"a packed file's name must end in .npz, found {path.name!r}.")
    first = parts[0]
    arrays = {
        "format": np.array(FORMAT),
        "dataset": np.array(first.dataset),
        "tag": np.array(first.tag),
        "channels": np.array(first.channels, dtype=np.int64),
        "class_names": np.array(first.class_names, dtype=np.str_),
    }
    for part in parts:
        files, labels = part.read(np.arange(len(part.data)))
        arrays[f"{part.split}/labels"] = labels
        if isinstance(files, np.ndarray):
            arrays[f"{part.split}/arrays"] = files
            continue
        lengths = [len(file) for file in files]
        arrays[f"{part.split}/bytes"] = np.frombuffer(b"".join(files), dtype=np.uint8)
        arrays[f"{part.split}/offsets"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    try:
        with replacing(path) as aside, open(aside, "wb") as file:
            (np.savez_compressed if compress else np.savez)(file, **arrays)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from None
    return path.stat().st_size


def read(path, dataset, split, limit=None):
    """Reads one split of a packed file.

    Args:
        path: the file.
        dataset: the data set it must hold.
        split: the split.
        limit: only the first so many images.

    Returns:
        An `Encoded` record.

    Raises:
        UserError: the file is missing, corrupt or of another format, or it holds another data
            set or lacks that split.
    """
    with _open(path) as file:
        found = str(_get(file, path, "dataset"))
        if found != dataset:
            raise UserError(f"{path} holds the data set {found!r}, not {dataset!r}.")
        if split not in _splits(file):
            raise UserError(
                f"{path} has no split {split!r}, only {', '.join(_splits(file)) or 'none'}."
            )
        labels = _get(file, path, f"{split}/labels", np.int64, 1)
        names = tuple(str(name) for name in _get(file, path, "class_names"))
        channels = int(_get(file, path, "channels"))
        if f"{split}/arrays" in file.files:
            data = _get(file, path, f"{split}/arrays")
            consistent = len(data) == len(labels)
        else:
            joined = _get(file, path, f"{split}/bytes", np.uint8, 1)
            offsets = _get(file, path, f"{split}/offsets", np.int64, 1)
            data = None
            consistent = (
                len(offsets) == len(labels) + 1
                and offsets[0] == 0
                and offsets[-1] == len(joined)
                and (np.diff(offsets) > 0).all()
            )
    if not consistent or (len(labels) and not 0 <= labels.min() <= labels.max() < len(names)):
        raise UserError(f"{path} is corrupt: offsets, labels and bytes of {split!r} do not agree.")
    count = len(labels) if limit is None else min(limit, len(labels))
    if data is None:
        data = [joined[offsets[i] : offsets[i + 1]].tobytes() for i in range(count)]
    return Encoded(data[:count], labels[:count], names, dataset, split, channels)


def evaluation_split(path, known=None):
    """The split of a packed file to measure on: the data set's own, else the first but train."""
    with _open(path) as file:
        splits = _splits(file)
    if known is not None and known.evaluation in splits:
        return known.evaluation
    others = [split for split in splits if split != "train"]
    if not others:
        raise UserError(f"{path} has no split to measure on, only {', '.join(splits) or 'none'}.")
    return others[0]


def _open(path):
    try:
        file = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UserError(f"there is no packed file {path}.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} is not a packed file of `training.data pack` ({error}): pack it again."
        ) from None
    if not hasattr(file, "files") or "format" not in file.files:
        raise UserError(
            f"{path} is not a packed file: `python -m training.data pack` did not make it."
        )
    if str(_get(file, path, "format")) != FORMAT:
        raise UserError(f"{path} has the format {file['format']}, not {FORMAT}; pack it again.")
    return file


def _splits(file):
    return [name.removesuffix("/labels") for name in file.files if name.endswith("/labels")]


def _get(file, path, key, dtype=None, dimensions=None):
    try:
        array = file[key]
    except (KeyError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is corrupt at {key!r} ({error}); pack it again.") from None
    if (dtype and array.dtype != dtype) or (dimensions and array.ndim != dimensions):
        raise UserError(f"{path} is corrupt: {key!r} is {array.dtype} of shape {array.shape}.")
    return array
