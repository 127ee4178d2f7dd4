"""The command line of data sets: list, download, pack and re-encode them, see `training.data`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from keras_recres.zoo import text
from training import errors
from training.data import (
    DATA_SETS,
    absent,
    default_data_dir,
    packed,
    parents,
    read_encoded,
    reencode,
    tfds_folder,
    tfds_version,
)
from training.errors import UserError
from training.files import write_aside


def _list(arguments):
    folder = Path(arguments.data_dir).expanduser() if arguments.data_dir else default_data_dir()
    there = tfds_folder.prepared(folder)
    print(f"in {folder}:")
    for name in sorted({*DATA_SETS, *there}):
        known = DATA_SETS.get(name)
        facts = f"{known.shape}, {known.classes} classes" if known else ""
        print(f"  {name:24} {'prepared' if name in there else 'absent  '}  {facts}")


def _download(arguments):
    name, known = arguments.name, DATA_SETS.get(arguments.name)
    if known and known.source != "tfds":
        raise UserError(f"{name!r} cannot be fetched: {known.source}.")
    folder = Path(arguments.data_dir).expanduser() if arguments.data_dir else default_data_dir()
    tfds_folder.download(name, folder, arguments.array_record)
    print(f"{name} is in {folder}")


def _pack(arguments):
    splits = arguments.split
    if not splits:
        known = DATA_SETS.get(arguments.name)
        splits = ["train", known.evaluation if known else "test"]
    parts = [
        read_encoded(arguments.name, split, arguments.data_dir, arguments.limit) for split in splits
    ]
    size = packed.write(arguments.out, parts)
    counts = ", ".join(f"{len(part.data):,} {part.split}" for part in parts)
    print(f"{arguments.out}: {parts[0].tag}, {counts} images, {size / 1e6:.1f} MB")


def _vocabulary(arguments):
    part = read_encoded(arguments.name, "train", arguments.data_dir)
    if part.holds != "texts":
        raise UserError(f"{arguments.name} has {part.holds}, and no words.")
    texts, _ = part.read(np.arange(len(part.data)))
    words = text.vocabulary_of(texts, arguments.count)
    write_aside(arguments.out, "".join(f"{word}\n" for word in words))
    print(f"{arguments.out}: {len(words):,} words of {len(texts):,} texts")


def _reencode(arguments):
    folder = Path(arguments.data_dir).expanduser() if arguments.data_dir else default_data_dir()
    version = tfds_version(arguments.name, folder)
    if version is None:
        raise UserError(absent(arguments.name, folder))
    for line in reencode.run(arguments.name, version, arguments.out, parents(folder)):
        print(line)


def main(argv=None):
    """The command line: list, download, pack and re-encode data sets."""
    parser = argparse.ArgumentParser(
        prog="python -m training.data",
        description="List, download, pack and re-encode data sets of images and texts.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.data list --data-dir ~/tensorflow_datasets\n"
        "  python -m training.data download mnist --data-dir ~/tensorflow_datasets\n"
        "  python -m training.data pack mnist --data-dir ~/tensorflow_datasets --out mnist.npz\n"
        "  python -m training.data reencode cifar10 --data-dir ~/tensorflow_datasets --out jpeg\n"
        "  python -m training.data vocabulary imdb_reviews --data-dir ~/tensorflow_datasets "
        "--out zoo/vocabularies/imdb_reviews.txt\n"
        "\nA packed file takes the folder's place anywhere, and needs no TensorFlow:\n"
        "  python -m training.fit vit3 --dataset mnist --data-dir mnist.npz",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    where = "folder that holds NAME/VERSION; default TFDS_DATA_DIR or ~/tensorflow_datasets"
    command = commands.add_parser("list", help="what is known, and what is prepared on this disk")
    command.set_defaults(run=_list)
    command.add_argument("--data-dir", help=where)
    command = commands.add_parser("download", help="fetch and prepare a data set with TFDS")
    command.set_defaults(run=_download)
    command.add_argument("name", help=f"{', '.join(DATA_SETS)}, or another of TFDS")
    command.add_argument("--data-dir", help=where)
    command.add_argument(
        "--array-record",
        action="store_true",
        help="in the format from which `training.fit --stream` reads images as it needs them",
    )
    command = commands.add_parser("pack", help="write a data set into one .npz file")
    command.set_defaults(run=_pack)
    command.add_argument("name", help="a prepared data set")
    command.add_argument("--data-dir", help=where)
    command.add_argument("--out", required=True, type=Path, help="the file to write, FILE.npz")
    command.add_argument(
        "--split",
        action="append",
        help="split to pack, may be repeated; default train and the one to measure on",
    )
    command.add_argument("--limit", type=int, help="only the first so many images of each split")
    command = commands.add_parser("vocabulary", help="write the words of a data set of texts")
    command.set_defaults(run=_vocabulary)
    command.add_argument("name", help="a prepared data set, imdb_reviews")
    command.add_argument("--data-dir", help=where)
    command.add_argument("--out", required=True, type=Path, help="the file to write, a word a line")
    command.add_argument("--count", type=int, default=19_998, help="how many, default 19998")
    command = commands.add_parser(
        "reencode", help="make cifar10_jpeg, which the zoo's networks were trained on, of cifar10"
    )
    command.set_defaults(run=_reencode)
    command.add_argument("name", help="cifar10")
    command.add_argument("--data-dir", help=where)
    command.add_argument("--out", required=True, type=Path, help="folder to put NAME/VERSION into")
    arguments = parser.parse_args(argv)
    arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(errors.run(main))
