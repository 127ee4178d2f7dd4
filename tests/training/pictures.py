"""A small data set of our own: a bright spot in one of four corners, no download."""

import io
import json
import shutil

import numpy as np

from training.data import packed


def png(array):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


# A T2T-ViT that learns them in a few epochs.
VIT = ["depth=1", "embed_dim=64", "token_dim=32", "num_heads=2", "first_strides=4"]
CLASSES = ("top left", "top right", "bottom left", "bottom right")


def corners(count, seed, split):
    """Noisy grey 32 x 32 images with a bright spot in one quarter, which is the class."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    labels = np.arange(count) % 4
    data = []
    for label in labels:
        top = 8 + 16 * (label // 2) + rng.normal(0, 1.5)
        left = 8 + 16 * (label % 2) + rng.normal(0, 1.5)
        spot = np.exp(-((y - top) ** 2 + (x - left) ** 2) / 40)
        image = 60 + 150 * spot + rng.normal(0, 15, spot.shape)
        data.append(png(np.clip(image, 0, 255).astype(np.uint8)))
    return packed.Encoded(data, labels, CLASSES, "corners", split, 1)


def plain_cifar10(data_dir, folder):
    """A CIFAR-10 as TFDS prepares it: 1,017 images of known pixels, once as train, once as test."""
    source = data_dir / "tfds" / "cifar10_lossless_part" / "1.0.0"
    target = folder / "cifar10" / "3.0.2"
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for file in target.glob("*.tfrecord-*"):
        for split in ("train", "test"):
            shutil.copyfile(file, target / f"cifar10-{split}.tfrecord-00000-of-00001")
        file.unlink()
    info = json.loads((target / "dataset_info.json").read_text(encoding="utf-8"))
    info |= {"name": "cifar10", "version": "3.0.2"}
    for split in info["splits"]:
        split |= {"shardLengths": ["1017"], "numBytes": "2355093"}
    (target / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder
