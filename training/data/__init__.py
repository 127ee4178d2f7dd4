"""Data sets of images and texts: found on disk, decoded in one place, batched, augmented.

    python -m training.data list     --data-dir DIR
    python -m training.data download cifar10 --data-dir DIR
    python -m training.data pack     tiny_imagenet80 --data-dir DIR --out tiny_imagenet80.npz
    python -m training.data reencode cifar10 --data-dir DIR --out FOLDER

    data = load("cifar10", "train", data_dir=DIR)
    batches = Batches(data, batch_size=128, training=True, augment=("flip", "crop"))
    model.fit(batches, shuffle=False)

A data set is either a folder that TensorFlow Datasets prepared, DIR/NAME/VERSION, or one packed
file (`training/data/packed.py`), which needs no TensorFlow, or a folder of one's own images
(`keras_recres/zoo/image_folder.py`). Images stay encoded until Pillow decodes them
(`training/data/decoding.py`), so that both give the same pixels: TensorFlow's default JPEG decoding
differs by a grey level or more.
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_recres.zoo import image_folder, problems
from training import errors
from training.console import progress_bar
from training.data import augment as augmentation
from training.data import moving_mnist, packed, tfds_folder
from training.data.batches import Batches
from training.data.decoding import AS_STORED, Decoded, Resizing
from training.errors import UserError

__all__ = ["AS_STORED", "DATA_SETS", "Batches", "DataSet", "Images", "Resizing", "decode", "load"]
__all__ += ["parse_augment"]


@dataclass(frozen=True)
class DataSet:
    """What is known about a data set before it is read.

    Attributes:
        shape: (height, width, channels) of an image, () of a text.
        classes: number of classes.
        evaluation: name of the split that accuracy is measured on.
        flip: whether a mirrored image is still an image of its class.
        source: where `download` gets it: "tfds", or a sentence when it cannot.
    """

    shape: tuple
    classes: int
    evaluation: str
    flip: bool = True
    source: str = "tfds"


TINY_IMAGENET = (
    "classes are the first 80 of wnids.txt in "
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip, prepared in TFDS' format"
)
DATA_SETS = {
    "imdb_reviews": DataSet((), 2, "test"),
    "mnist": DataSet((28, 28, 1), 10, "test", flip=False),
    "moving_mnist": DataSet(
        (10, 64, 64, 1), 1, "test", flip=False, source="it is drawn from mnist: download that"
    ),
    "cifar10": DataSet((32, 32, 3), 10, "test"),
    "tiny_imagenet80": DataSet((64, 64, 3), 80, "validation", source=f"its {TINY_IMAGENET}"),
    # Every second class of it, from the first or the second on.
    **{
        half: DataSet(
            (64, 64, 3),
            40,
            "validation",
            source=f"it is half of tiny_imagenet80, whose {TINY_IMAGENET}",
        )
        for half in tfds_folder.HALVES
    },
    # TFDS says which archives it wants, and where they must lie.
    "imagenet2012": DataSet(("any", "any", 3), 1000, "validation"),
    "cifar10_lossless_part": DataSet(
        (32, 32, 3),
        10,
        "test",
        source="it is the first 1,017 images of CIFAR-10's test split: measure on cifar10 instead",
    ),
}


@dataclass(frozen=True)
class Images:
    """One split of a data set, in memory or to be read piece by piece.

    Attributes:
        images: uint8 array (N, H, W, C), or a `decoding.Decoded`, to be read in pieces; or an
            array (N, …) of other examples, such as points; or a list of texts.
        labels: int64 array (N,), None if only `images` can read them.
        class_names: one str a class.
        dataset: its name.
        split: "train", "test", ...
        tag: what results are filed under: the data set's name, but "cifar10_jpeg" for a CIFAR-10
            whose images are stored as JPEG, which are not CIFAR-10's pixels.
    """

    images: np.ndarray | Decoded | list
    labels: np.ndarray | None
    class_names: tuple
    dataset: str
    split: str
    tag: str

    def __len__(self):
        return len(self.images)

    @property
    def are_pictures(self):
        """Whether the examples are pictures: pixels, which can be resized and augmented."""
        return self.holds == "images"

    @property
    def holds(self):
        """What the examples are: "images", "texts" or "arrays"."""
        if isinstance(self.images, list):
            return "texts"
        pixels = isinstance(self.images, Decoded) or (
            self.images.ndim == 4 and self.images.dtype == np.uint8
        )
        return "images" if pixels else "arrays"


def load(
    dataset,
    split,
    data_dir=None,
    limit=None,
    resizing=AS_STORED,
    progress=False,
    stream=False,
):
    """Reads one split of a data set; never from the network.

    Args:
        dataset: "mnist", "cifar10", "tiny_imagenet80", or any image classification data set that
            TFDS prepared in `data_dir`; or, without `data_dir`, the path of a folder with a
            subfolder for each class, or of a CSV, see `keras_recres.zoo.image_folder`.
        split: "train", "test", ..., or "evaluation" for the split that accuracy is measured on.
        data_dir: the folder that holds NAME/VERSION, or a packed .npz file; None for TFDS' own
            default, TFDS_DATA_DIR or ~/tensorflow_datasets.
        limit: only the first so many images (TFDS shuffled them when it prepared them).
        resizing: the `Resizing` of images.
        progress: show a progress bar when the terminal can.
        stream: decode images only when they are asked for. Their files are kept in memory, or stay
            on the disk if TFDS prepared the data set with ``file_format="array_record"``.

    Returns:
        An `Images` record.

    Raises:
        UserError: the data is absent, corrupt, or not images with one label each; the sentence
            says where it was looked for and the command that fetches it.

    Example:
        >>> data = load("mnist", "train", data_dir="~/tensorflow_datasets", limit=512)
        >>> data.images.shape
        (512, 28, 28, 1)
    """
    encoded = read_encoded(dataset, split, data_dir, limit)
    return decode(encoded, resizing, progress, stream)


def read_encoded(dataset, split, data_dir=None, limit=None):
    """Reads one split as it is stored, see `load`.

    Returns:
        A `packed.Encoded` record: the files' bytes, labels, names.
    """
    if limit is not None and limit < 1:
        raise UserError(f"the limit on the number of images must be at least 1, found {limit}.")
    try:
        if problems.parse(dataset):
            return packed.Encoded(**vars(problems.read(dataset, split, limit)))
        if is_folder(dataset, data_dir):
            listing = _checked(dataset)
            chosen = listing.split() if split == "evaluation" else ~listing.split()
            return packed.Encoded(**vars(listing.part(chosen, split, limit=limit)))
    except ValueError as error:
        raise UserError(str(error)) from None
    known = DATA_SETS.get(dataset)
    if dataset == "moving_mnist":
        split = known.evaluation if split == "evaluation" else split
        return packed.Encoded(**vars(moving_mnist.read(_digits(split, data_dir), split, limit)))
    folder = default_data_dir() if data_dir is None else Path(data_dir).expanduser()
    if folder.suffix == ".npz":
        if split == "evaluation":
            split = packed.evaluation_split(folder, known)
        return packed.read(folder, dataset, split, limit)
    version = tfds_version(dataset, folder)
    if version is None:
        raise UserError(absent(dataset, folder))
    if split == "evaluation" and known:
        split = known.evaluation
    return tfds_folder.read(dataset, split, version, limit)


@functools.cache  # As often, and a film may have any of them.
def _digits(split, data_dir):
    return load("mnist", split, data_dir).images


def tfds_version(dataset, folder):
    """Where TFDS prepared the data set, in a folder or the folders in it; None if it did not."""
    return next(filter(None, (tfds_folder.find(dataset, path) for path in parents(folder))), None)


def averaged(dataset, input_shape):
    """The side of the squares of pixels over which images are averaged to make them smaller.

    Args:
        dataset: the data set's name.
        input_shape: (height, width, channels) that a network is asked for with, or None.

    Returns:
        k where the images of the data set are k times as high and as wide; else 1, for none.
    """
    stored = getattr(DATA_SETS.get(dataset), "shape", ())
    asked = input_shape if isinstance(input_shape, list | tuple) else ()
    sides = (*stored[:2], *asked[:2])
    if not len(stored) == len(asked) == 3 or not all(type(x) is int and x > 0 for x in sides):
        return 1
    factor = max(1, stored[0] // asked[0])
    return factor if stored[:2] == tuple(factor * side for side in asked[:2]) else 1


def is_folder(dataset, data_dir):
    """Whether a data set is the path of a folder of images, or of a CSV."""
    return data_dir is None and image_folder.is_one(dataset)


@functools.cache  # Three times a training asks, and every file is opened.
def _checked(folder):
    listing, _ = image_folder.decoded(image_folder.find(folder), 3)
    return listing


def parents(folder):
    """Where a folder of data sets may have them: itself, and the folders in it."""
    return folder, *sorted(path for path in folder.glob("*") if path.is_dir())


def default_data_dir():
    """TFDS' own default folder."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def absent(dataset, folder):
    """A sentence on where a data set was looked for, and how to get it."""
    looked = f"{dataset!r} is not in {folder}: there is no {folder / dataset}/VERSION"
    prepared = sorted({name for p in parents(folder) for name in tfds_folder.prepared(p)})
    if dataset not in DATA_SETS:
        return (
            f"{looked}.{errors.nearest(dataset, [*DATA_SETS, *prepared])} Data sets there: "
            f"{', '.join(prepared) or 'none'}."
        )
    source = DATA_SETS[dataset].source
    if source != "tfds":
        return f"{looked}, and it cannot be fetched ({source}); give its folder with --data-dir."
    return (
        f"{looked}; fetch it with `python -m training.data download {dataset} --data-dir {folder}`"
        ", or give the folder that has it with --data-dir."
    )


def decode(encoded, resizing=AS_STORED, progress=False, stream=False):
    """Decodes the images of a `packed.Encoded` record with Pillow, see `load`.

    Returns:
        An `Images` record.
    """
    if encoded.holds == "arrays":
        images, labels = encoded.data, encoded.labels
    elif encoded.holds == "texts":
        images, labels = encoded.read(np.arange(len(encoded.data)))
    else:
        images, labels = Decoded(encoded, resizing), encoded.labels
    if isinstance(images, Decoded) and not stream:
        decoded, count = images, len(images)
        images, labels = np.empty(decoded.shape, np.uint8), np.empty(count, np.int64)
        told = f"decoding {encoded.dataset} ({encoded.split})"
        with progress_bar(told, count, enabled=progress) as advance:
            for numbers in np.split(np.arange(count), range(1024, count, 1024)):
                images[numbers], labels[numbers] = decoded.read(numbers)
                advance(len(numbers))
    return Images(images, labels, encoded.class_names, encoded.dataset, encoded.split, encoded.tag)


def parse_augment(text, dataset):
    """Splits "flip,crop" into names and checks them against the data set.

    Raises:
        UserError: a name is unknown, or "flip" is asked for images that must not be mirrored.
    """
    names = tuple(name.strip() for name in (text or "").split(",") if name.strip() not in ("", "-"))
    names = () if names == ("none",) else names
    for name in names:
        if name not in augmentation.NAMES:
            raise UserError(
                f"there is no augmentation {name!r}.{errors.nearest(name, augmentation.NAMES)} "
                f"Choose from {', '.join(augmentation.NAMES)}."
            )
    if "flip" in names and not getattr(DATA_SETS.get(dataset), "flip", True):
        raise UserError(f"{dataset} must not be mirrored, its classes have a left and a right.")
    return names
