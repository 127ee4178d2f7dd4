"""What several commands have in common that read a data set of this disk."""

import os
import typing
from pathlib import Path

import numpy as np

from keras_recres.cli import images, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.terminal import quietly
from keras_recres.zoo import image_folder, pictures, problems, tfds_folder


class Dataset(typing.NamedTuple):
    """A data set that is there.

    Attributes:
        name: What it is called.
        made: What `problems.parse` says of one that is made, or None.
        version: Folder of one that TFDS prepared, or None.
        channels: Of its images; 0 of texts, None of one that is made.
    """

    name: str
    made: tuple | None
    version: Path | None
    channels: int | None


def add(p, limit=None):
    """The options that say which data, of which `limit` is how many are read by default."""
    p.add_argument(
        "--data-dir",
        type=Path,
        help="folder with NAME/VERSION, itself or one level down; default TFDS_DATA_DIR or "
        "~/tensorflow_datasets",
    )
    p.add_argument(
        "--dataset",
        help="another data set of the same classes: a folder with a subfolder for each (or "
        "train/ and val/ with these), a CSV of path and label, a name; prefix_sums/N and mazes/N, "
        "which are made, have N cells a side",
    )
    p.add_argument(
        "--split",
        default="evaluation",
        help="default test, or validation where there is none; of a folder that says so train or "
        "evaluation",
    )
    told = "only the first so many images" + (f"; default {limit}" if limit else "")
    p.add_argument("--limit", type=options.positive, default=limit, help=told)


def find(arguments, record):
    """The data set that is asked for; says without Keras what cannot be read."""
    tag = record.default_tag
    if not (arguments.dataset or tag):
        raise UserError(f"{arguments.name} has classes of its own: give their --dataset.")
    name = arguments.dataset or record.tags[tag].dataset
    made = problems.parse(name)
    if made:
        if not tag or made[0] != record.tags[tag].dataset.partition("/")[0]:
            raise UserError(f"{record.name} was not made for {made[0]}, found {name!r}.")
        return Dataset(name, made, None, None)
    texts = images.takes_texts(record)
    channels = 0 if texts else images.channels_of(record, tag)
    own = not texts and arguments.data_dir is None and image_folder.is_one(name)
    version = None if own else _version(tfds_folder.original(name), arguments.data_dir)
    if not texts:
        pictures.pillow()
    return Dataset(name, None, version, channels)


def read(dataset, arguments):
    """The split of a data set; images of one's own are in the order of the network's classes."""
    if not dataset.made and dataset.version is None:
        return _own(arguments, dataset.channels)
    with quietly(f"reading {dataset.name}"):
        if dataset.made:
            return problems.read(dataset.name, arguments.split, arguments.limit)
        name = tfds_folder.original(dataset.name)
        return tfds_folder.read(name, arguments.split, dataset.version, arguments.limit)


def changes(dataset, split):
    """Arguments of `zoo.load` that the network has to have for a data set."""
    return {"input_shape": split.data.shape[1:]} if dataset.made else {}


def _own(arguments, channels):
    """The images of a folder or a CSV, in the order of a network's classes."""
    from keras_recres.zoo import evaluation

    class_names = evaluation.class_names_of(options.load_network(arguments))
    listing = image_folder.find(arguments.dataset, class_names)
    listing, _ = image_folder.decoded(listing, channels)
    chosen = np.ones(len(listing.files), bool)
    if arguments.split != "evaluation" and listing.held_out is None:
        raise UserError(f"{arguments.dataset!r} has no split {arguments.split!r}, it is one.")
    if listing.held_out is not None:
        if arguments.split not in ("train", "evaluation"):
            raise UserError(
                f"--split of a folder must be train or evaluation, found {arguments.split!r}."
            )
        chosen = listing.held_out == (arguments.split == "evaluation")
    return listing.part(chosen, arguments.split, channels, arguments.limit)


def _version(dataset, folder):
    """The folder of the data set's newest version."""
    if folder is None:
        folder = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(
            f"{dataset!r} is not a folder of images, and there is no folder {str(folder)!r}: give "
            "the data sets' with --data-dir."
        )
    parents = (folder, *sorted(path for path in folder.glob("*") if path.is_dir()))
    for parent in parents:
        if version := tfds_folder.find(dataset, parent):
            return version
    prepared = sorted({name for parent in parents for name in tfds_folder.prepared(parent)})
    raise UserError(
        f"{dataset!r} is not in {folder}: there is no {dataset}/VERSION/{tfds_folder.INFO}; data "
        f"sets there: {', '.join(prepared) or 'none'}."
    )
