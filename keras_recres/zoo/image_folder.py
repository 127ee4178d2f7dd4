"""Images of one's own: a folder with a subfolder for each class, or a CSV of path and label."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import csv
import dataclasses
import logging
from pathlib import Path

import numpy as np

from keras_recres.zoo import pictures
from keras_recres.zoo.tfds_folder import INFO, Split

logger = logging.getLogger("keras_recres")

# So many files that are not images are named, one by one.
TOLD = 10
HEAD = ["path", "label"]
# Names of the subfolder with what is held out, beside train/.
HELD_OUT = ("val", "validation", "test")
# The share of each class that is held out where the folder does not say which.
SHARE = 0.2


@dataclasses.dataclass(frozen=True)
class Listing:
    """Labelled image files.

    Attributes:
        path: The folder or the CSV.
        files: Paths.
        labels: int64 array, the index of each file's class.
        class_names: One string a class.
        held_out: bool array, whether each file is held out; None where the folder does not say.
        skipped: (path, reason) of each file that is not an image, a string each.
    """

    path: Path
    files: tuple[Path, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    held_out: np.ndarray | None
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def name(self):
        """The folder's name, which stands for that of a data set."""
        path = self.path.resolve()
        return f"folder_{path.stem if path.suffix == '.csv' else path.name}"

    def split(self, seed=0):
        """Which files are held out.

        Args:
            seed: Integer of at least 0. A fifth of each class, one image at least, is drawn by it
                where the folder has no train/ beside a val/.

        Returns:
            A bool array.

        Raises:
            ValueError: There are fewer than two classes, or a class lacks images to learn from or
                to measure on.
        """
        if len(self.class_names) < 2:
            raise ValueError(
                f"{str(self.path)!r} must have two classes at least, found "
                f"{', '.join(self.class_names) or 'none'}: each is a subfolder with its images."
            )
        held_out = self.held_out
        if held_out is None:
            held_out = draw(self.labels, SHARE, seed, least=1)
        for label, name in enumerate(self.class_names):
            held = held_out[self.labels == label]
            if held.all():
                raise ValueError(
                    f"the class {name!r} of {str(self.path)!r} has too few images: of {len(held)} "
                    f"that can be read {held.sum()} must be held out to measure on, which leaves "
                    "none to learn from; add images, or remove the class."
                )
        if not held_out.any():
            raise ValueError(f"{str(self.path)!r} has no image to measure on that can be read.")
        return held_out

    def part(self, chosen, split, channels=3, limit=None):
        """Some of the files as a `Split`, shuffled; they stay on the disk.

        Args:
            chosen: bool array, which of them.
            split: What to call them.
            channels: 1 or 3, of each image.
            limit: Only the first so many, once they are shuffled.
        """
        numbers = np.random.default_rng(0).permutation(np.flatnonzero(chosen))[:limit]
        files = Files([self.files[i] for i in numbers])
        return Split(files, self.labels[numbers], self.class_names, self.name, split, channels)


class Files(collections.abc.Sequence):
    """The bytes of files, read when they are asked for."""

    def __init__(self, paths):
        self._paths = paths

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, part):
        if isinstance(part, slice):
            return Files(self._paths[part])
        return self._paths[part].read_bytes()


def is_one(path):
    """Whether a path is a folder of images or a CSV, and no folder that TFDS prepared."""
    path = Path(path).expanduser()
    return path.suffix == ".csv" or (path.is_dir() and not any(path.glob(f"*/{INFO}")))


def find(folder, class_names=None):
    """Lists the images of a folder, or of a CSV; none is opened.

    A folder has a subfolder for each class, called as the class, with its images at any depth; or
    train/ and val/ (or validation/, test/), with such subfolders each. A CSV has two columns,
    path and label, and may have a head that says so, and further columns; paths are relative to
    the CSV's folder. Names that begin with a dot are passed over.

    Args:
        folder: Path of the folder or of the CSV.
        class_names: Names of the classes in the order of the labels; None for all that are there,
            sorted.

    Returns:
        A `Listing`.

    Raises:
        ValueError: The folder is missing, has no image, or has a class that is not among
            `class_names`.
    """
    folder = Path(folder).expanduser()
    held_out = None
    if folder.suffix == ".csv":
        found = _rows(folder)
    elif not folder.is_dir():
        raise ValueError(f"there is no folder of images {str(folder)!r}.")
    elif (folder / "train").is_dir():
        other = next((name for name in HELD_OUT if (folder / name).is_dir()), None)
        if other is None:
            raise ValueError(
                f"{str(folder)!r} has train/, but no val/ with what is held out: add it, or give "
                f"{str(folder / 'train')!r} to have a part of it held out."
            )
        parts = [_classes(folder / name) for name in ("train", other)]
        found = [*parts[0], *parts[1]]
        held_out = np.repeat([False, True], [len(part) for part in parts])
        if class_names is None:
            class_names = sorted({label for _, label in parts[0]})
    else:
        found = _classes(folder)
    if not found:
        raise ValueError(
            f"{str(folder)!r} has no images in subfolders: it must have a subfolder for each "
            "class, called as the class, with its images in it."
        )
    names = tuple(class_names or sorted({label for _, label in found}))
    index = {name: i for i, name in enumerate(names)}
    for path, label in found:
        if label not in index:
            raise ValueError(
                f"{str(path)!r} is of the class {label!r}, which is not among "
                f"{', '.join(names[:20])}{', …' * (len(names) > 20)}."
            )
    labels = np.array([index[label] for _, label in found], np.int64)
    return Listing(folder, tuple(path for path, _ in found), labels, names, held_out)


def decoded(listing, channels, preprocess=None, advance=lambda count: None):
    """Decodes all files, and leaves out those that are not images, which the logger names.

    Args:
        listing: A `Listing`.
        channels: 1 or 3, of each image.
        preprocess: The `Preprocessing` whose size they are brought to; None to look only whether
            they can be read.
        advance: Function of the number of files just done, for a progress bar.

    Returns:
        A `Listing` without the files that cannot be read, which it has as `skipped`; and the
        pixels, a uint8 array (images, height, width, channels), or None.

    Raises:
        ValueError: No file can be read.
    """
    pictures.pillow()
    pixels, reasons = None, {}
    if preprocess is not None:
        pixels = np.empty((len(listing.files), *preprocess.size, channels), np.uint8)

    def read(number):
        try:
            image = pictures.decode(listing.files[number].read_bytes(), channels, preprocess)
            if pixels is not None:
                pixels[number] = image
        except (ValueError, OSError) as error:
            reasons[number] = str(error) if isinstance(error, ValueError) else error.strerror
        advance(1)

    # Pillow decodes outside Python's lock.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in pool.map(read, range(len(listing.files))):
            pass
    skipped = tuple((str(listing.files[n]), reasons[n]) for n in sorted(reasons))
    if len(skipped) == len(listing.files):
        raise ValueError(
            f"none of the {len(skipped):,} files of {str(listing.path)!r} is an image that can be "
            f"read: {skipped[0][0]!r} {skipped[0][1]}."
        )
    for file, reason in skipped[:TOLD]:
        logger.warning("skipped: %r %s.", file, reason)
    if len(skipped) > TOLD:
        logger.warning("skipped: %s more files.", f"{len(skipped) - TOLD:,}")
    good = np.array([n not in reasons for n in range(len(listing.files))])
    left = dataclasses.replace(
        listing,
        files=tuple(listing.files[n] for n in np.flatnonzero(good)),
        labels=listing.labels[good],
        held_out=None if listing.held_out is None else listing.held_out[good],
        skipped=skipped,
    )
    return left, None if pixels is None else pixels if good.all() else pixels[good]


def draw(labels, share, seed, least=0):
    """A bool array with a share of each class, drawn by a seed, `least` of each at least."""
    rng, drawn = np.random.default_rng(seed), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        drawn[own[: max(least, round(share * len(own)))]] = True
    return drawn


def _classes(folder):
    """(file, class) of all files in the subfolders of a folder."""
    found = []
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not sub.name.startswith("."):
            files = sorted(path for path in sub.rglob("*") if path.is_file())
            inner = [(path, path.relative_to(sub).parts) for path in files]
            found += [(p, sub.name) for p, parts in inner if not any(n[0] == "." for n in parts)]
    return found


def _rows(path):
    """(file, class) of all rows of a CSV."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{str(path)!r} cannot be read ({error}).") from None
    if rows and [cell.strip().lower() for cell in rows[0][:2]] == HEAD:
        del rows[0]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2 or not row[1].strip():
            raise ValueError(
                f"{str(path)!r} must have two columns, path and label, found {','.join(row)!r} in "
                f"row {number}."
            )
    return [(path.parent / row[0].strip(), row[1].strip()) for row in rows]
