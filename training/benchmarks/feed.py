"""Images a second that the batches of the ImageNet recipe come with, of one thread and of many.

A stream of 500 x 375 JPEGs, 224 x 224 wanted: decoded, cut out, RandAugment, erasing, mixup or
CutMix, all that `imagenet_t2t_vit` asks for; and decoded, cut out and mirrored alone.
Nothing is trained beside it. PyTorch and TensorFlow have one thread for each operation here, so
that what is compared are the threads that make batches.
"""

import io
import time

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from keras_recres.zoo import Preprocessing
from training import recipes
from training.benchmarks.timing import one_thread_an_operation
from training.data import Images, batches, decoding, layer_augment, packed

BATCH, SIZE, STORED = 64, (224, 224), (375, 500)
RECIPE = "imagenet_t2t_vit"


def cases(backend, quick):
    """The cases of one backend."""
    del backend
    many = batches.THREADS
    return [
        {"augmented": augmented, "threads": threads, "number": (2 if quick else 10) * threads}
        for augmented in (True, False)
        for threads in sorted({1, many})
    ]


def measure(augmented, threads, number):
    """Images a second of so many batches, with others under way before and after them."""
    batches.THREADS = decoding.THREADS = threads
    first = 2 * max(batches.AHEAD, threads)
    one_thread_an_operation()
    s = recipes.load(RECIPE).settings
    how = (s["randaugment"], s["erasing"], s["mixup"], s["cutmix"])
    layers = layer_augment.LayerAugment(*how) if augmented else None
    images = photographs((2 * first + number) * BATCH)
    mean = (0.485, 0.456, 0.406)
    made = batches.Batches(
        images,
        BATCH,
        Preprocessing(size=SIZE, scale=1 / 255, mean=mean, std=(0.229, 0.224, 0.225)),
        training=True,
        augment=s["augment"].split(","),
        one_hot=True,
        layers=layers,
    )
    for i in range(first):
        _ = made[i]
    begin = time.perf_counter()
    for i in range(first, first + number):
        _ = made[i]
    found = number * BATCH / (time.perf_counter() - begin)
    made.close()
    return {"images_per_second": found}


def photographs(count):
    """A stream of so many JPEGs, an `Images` record: noise of all sizes, as photographs have it."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(8):
        picture = np.zeros((*STORED, 3))
        for fine in (4, 16, 64, 375):
            noise = rng.normal(128, 60, (fine, fine * 4 // 3, 3)).clip(0, 255).astype(np.uint8)
            picture += np.asarray(Image.fromarray(noise).resize(STORED[::-1], 3), float)
        file = io.BytesIO()
        Image.fromarray((picture / 4).astype(np.uint8)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    labels = np.arange(count) % 1000
    names = tuple(map(str, range(1000)))
    encoded = packed.Encoded([files[i % 8] for i in range(count)], labels, names, "noise", "all", 3)
    images = decoding.Decoded(encoded, decoding.Resizing(SIZE))
    return Images(images, None, names, "noise", "all", "noise")


def report(rows):
    """Prints images a second and how many times those of one thread they are."""
    table = Table(title=f"Batches of {BATCH} of the recipe {RECIPE}, images a second")
    for heading in ("backend", "augmented", "threads", "images/s", "of one thread's"):
        table.add_column(heading, justify="right")
    one = {}
    for row in rows:
        key, rate = (row["backend"], row["augmented"]), row["images_per_second"]
        one.setdefault(key, rate)
        what = "all of it" if row["augmented"] else "crop and flip"
        cells = row["backend"], what, str(row["threads"]), f"{rate:,.0f}", f"{rate / one[key]:.2f}"
        table.add_row(*cells)
    Console(width=120).print(table)
