"""CIFAR-10 re-encoded as JPEG: the images that the zoo's `cifar10_jpeg` networks were trained on.

    python -m training.data reencode cifar10 --data-dir DIR --out FOLDER

Their encoder was IJG's libjpeg 7 to 9d with its defaults: quality 75, halved colour resolution,
standard Huffman tables. Pillow's libjpeg-turbo halves the colours otherwise, and gives other ones
for five images in six; jpeglib has IJG's. Order, ids and labels stay those of the source.
"""

import hashlib
import importlib.util
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from training.console import progress_bar
from training.data import tfds_folder
from training.errors import UserError, output_folder
from training.files import replacing, write_aside

QUALITY, VERSION = 75, "8d"
# sha256 of all files of a split in the order of their ids, by the number of images.
COPY = {
    50000: "dded48954ba117b69295fb311fee3890c6814612e16fc43d8152ce8daa89bd91",
    10000: "fe67ed4242ac58ea0271e7183f3420239c53ea2318b449b430d4090c9cac446b",
    1017: "ba62b3d6f8028628fbf5c9c2a398b84a27ae51c4abc0825a28fbf886f23f76bb",
}
DATA_SETS = ("cifar10", "cifar10_lossless_part")
PIECE = 2500


def run(dataset, version, out, folders):
    """Writes OUT/DATASET/VERSION, and tells how far it is the copy that the zoo's networks saw.

    What an interrupted command had written is kept, in pieces beside, and the next one goes on.

    Args:
        dataset: a name of `DATA_SETS`.
        version: the folder of the source, see `tfds_folder.find`.
        out: where to put it.
        folders: where to look for a cifar10 of JPEG images to compare the pixels with.

    Returns:
        Sentences, a list of str.

    Raises:
        UserError: the data set is not in `DATA_SETS`, or JPEG itself; the encoder is missing.
    """
    if dataset not in DATA_SETS:
        raise UserError(f"{dataset!r} cannot be re-encoded, only {' and '.join(DATA_SETS)} can.")
    if importlib.util.find_spec("jpeglib") is None:
        raise UserError("re-encoding needs IJG's encoder: install it with `pip install jpeglib`.")
    if tfds_folder.read(dataset, "evaluation", version, 1).data[0][:2] == tfds_folder.JPEG:
        raise UserError(f"the images in {version} are JPEG already.")
    target = Path(out, dataset, version.name)
    if target.exists():
        raise UserError(f"{target} is there already: give another --out.")
    aside = target.with_name(f".part.{version.name}")
    output_folder(aside)
    builder = tfds_folder.tfds().builder_from_directory(str(version))
    info = json.loads((version / tfds_folder.INFO).read_text(encoding="utf-8"))
    info["description"] = f"Re-encoded as JPEG, these are not the original pixels. {__doc__}"
    info["fileFormat"] = "tfrecord"
    there = [s for s in info["splits"] if tfds_folder.present(builder.info.splits[s["name"]])]
    import jpeglib

    with jpeglib.version(VERSION):
        for split in there:
            size = _write(builder, split["name"], aside)
            count = builder.info.splits[split["name"]].num_examples
            split |= {"shardLengths": [str(count)], "numBytes": str(size)}
            split.pop("filepathTemplate", None)
    for file in version.glob("*.*"):
        if file.name == "features.json" or file.suffix == ".txt":
            shutil.copyfile(file, aside / file.name)
    write_aside(aside / tfds_folder.INFO, json.dumps(info, indent=2))
    os.replace(aside, target)
    reference = _reference(folders)
    return [_compared(_files(target, split["name"]), reference, split["name"]) for split in there]


def _write(builder, split, folder):
    """Writes a split's one file, piece by piece; returns its examples' bytes, as TFDS counts."""
    import tensorflow as tf

    count = builder.info.splits[split].num_examples
    file = folder / f"{builder.name}-{split}.tfrecord-00000-of-00001"
    starts = range(0, count, PIECE)
    pieces = [folder / f"{split}.{start}" for start in starts]
    told = f"re-encoding {builder.name} ({split})"
    with progress_bar(told, count) as advance, tempfile.TemporaryDirectory() as scratch:
        for start, piece in zip(starts, pieces, strict=True):
            stop = min(start + PIECE, count)
            if not (piece.exists() or file.exists()):
                with (
                    replacing(piece) as aside,
                    tf.io.TFRecordWriter(str(aside)) as records,
                ):
                    for example in _examples(builder, f"{split}[{start}:{stop}]"):
                        (image,) = example.features.feature["image"].bytes_list.value
                        jpeg = encode(np.asarray(Image.open(io.BytesIO(image))), scratch)
                        example.features.feature["image"].bytes_list.value[:] = [jpeg]
                        records.write(example.SerializeToString())
            advance(stop - start)
    if not file.exists():
        # Files of records may be joined: one file, since TFDS would mix the records of several.
        with replacing(file) as aside, open(aside, "wb") as whole:
            for piece in pieces:
                whole.write(piece.read_bytes())
    for piece in pieces:
        piece.unlink(missing_ok=True)
    return file.stat().st_size - 16 * count


def _examples(builder, split):
    import tensorflow as tf

    tfds = tfds_folder.tfds()
    decoders = {"image": tfds.decode.SkipDecoding()}
    records = builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)
    for record in tfds.as_numpy(records):
        example = tf.train.Example()
        example.features.feature["id"].bytes_list.value.append(record["id"])
        example.features.feature["image"].bytes_list.value.append(record["image"])
        example.features.feature["label"].int64_list.value.append(int(record["label"]))
        yield example


def encode(pixels, folder):
    """A JPEG file's bytes, by the version of libjpeg in use.

    Args:
        pixels: uint8 array (H, W, 3).
        folder: where jpeglib, which knows files only, may write one.
    """
    import jpeglib

    image = jpeglib.from_spatial(pixels)
    image.samp_factor = "4:2:0"
    file = Path(folder, "image.jpeg")
    image.write_spatial(str(file), qt=QUALITY)
    return file.read_bytes()


def _files(version, split):
    """The image files of a split: {id: bytes}."""
    builder = tfds_folder.tfds().builder_from_directory(str(version))
    examples = (example.features.feature for example in _examples(builder, split))
    return {f["id"].bytes_list.value[0]: f["image"].bytes_list.value[0] for f in examples}


def _reference(folders):
    """The folder of the first cifar10 whose images are JPEG, None where there is none."""
    found = filter(None, (tfds_folder.find("cifar10", folder) for folder in folders))
    jpeg = (v for v in found if tfds_folder.read("cifar10", "evaluation", v, 1).tag != "cifar10")
    return next(jpeg, None)


def _compared(files, reference, split):
    """What is to be said of a split's new files."""
    said = f"{split}: {len(files):,} images"
    if reference is not None:
        others = _files(reference, split)
        different = pixels = 0
        for key in files.keys() & others.keys():
            one, other = (np.asarray(Image.open(io.BytesIO(f[key]))) for f in (files, others))
            wrong = int((one != other).any(axis=-1).sum())
            different, pixels = different + bool(wrong), pixels + wrong
        return f"{said}, {pixels:,} pixels in {different:,} of them differ from {reference}"
    digest = hashlib.sha256(b"".join(files[key] for key in sorted(files))).hexdigest()
    same = digest == COPY.get(len(files))
    return f"{said}, {'byte for byte' if same else 'not'} those of the zoo's cifar10_jpeg"
