"""RandAugment, erasing, mixup and CutMix, by Keras' layers where they are fast, and keras-cv's.

`augment.py` does the cheap part in NumPy; this is what the official recipe of T2T-ViT asks
for. What moves pixels is in `geometry.py`. The layers run eagerly on the backend in use.
Before every batch their random states are set from that batch's own generator: a training that
goes on sees the same pictures. Each thread has layers of its own, and so random states.
"""

import contextlib
import functools
import threading

import keras
import numpy as np
from keras import layers, ops

from training.data import cv_augment, geometry


class LayerAugment:
    """Augments batches of pixels in [0, 255], and mixes normalised ones.

    Args:
        magnitude: of RandAugment (arXiv 1909.13719), 0 to 10; 0 for none.
        erasing: share of the images that lose a rectangle to noise (arXiv 1708.04896).
        mixup: α of mixup (arXiv 1710.09412), 0 to 1; 0 for none.
        cutmix: α of CutMix (arXiv 1905.04899), 0 to 1; 0 for none. With mixup, too, each batch has
            one of the two, drawn evenly.
        more: names out of `training.data.cv_augment.LAYERS`; "fourier_mix" is one more that mixes.
    """

    def __init__(self, magnitude=0.0, erasing=0.0, mixup=0.0, cutmix=0.0, more=()):
        self._how = magnitude, erasing, mixup, cutmix
        self._more, self._mixers = cv_augment.make(more) if more else ([], [])
        self._threads = threading.local()

    @property
    def _layers(self):
        """RandAugment's operations, erasing or None, and the layers that mix: this thread's."""
        found = getattr(self._threads, "layers", None)
        if found is None:
            magnitude, erasing, mixup, cutmix = self._how
            with _on_this_process():
                self._threads.layers = found = _make(magnitude, erasing, mixup, cutmix)
        return found

    def images(self, rng, batch):
        """RandAugment, and what keras-cv does to images.

        Args:
            rng: the batch's `numpy.random.Generator`.
            batch: array (B, H, W, C), pixels in [0, 255].

        Returns:
            A float32 array of that shape and range.
        """
        batch = np.asarray(batch, dtype=np.float32)
        choice, _, _ = self._layers
        for _ in range(2 if choice else 0):
            batch = _one_of(choice, rng, batch)
        for run in self._more:
            batch = run(rng, batch)
        return batch

    def erase(self, rng, batch):
        """Random erasing.

        Args:
            rng: the batch's generator.
            batch: float32 array (B, H, W, C), normalised.

        Returns:
            An array of that shape.
        """
        _, erasing, _ = self._layers
        return _run(rng, erasing, batch) if erasing else batch

    def mix(self, rng, batch, labels):
        """Mixup or CutMix; on PyTorch only for the thread that trains.

        There Keras draws their weights from the global generators, and then sets the processor's
        back to where it was: dropout draws from them, too.

        Args:
            rng: the batch's generator.
            batch: float32 array (B, H, W, C), normalised.
            labels: float32 array (B, classes), one-hot.

        Returns:
            Both, mixed.
        """
        _, _, layers = self._layers
        mixers = [*(functools.partial(_run, layer=layer) for layer in layers), *self._mixers]
        if mixers:
            mixer = mixers[rng.integers(len(mixers))]
            mixed = mixer(rng, inputs={"images": batch, "labels": labels})
            batch, labels = mixed["images"], mixed["labels"]
        return batch, labels


def _make(magnitude, erasing, mixup, cutmix):
    """RandAugment's operations, erasing or None, and the layers that mix."""
    mixers = [layers.MixUp(alpha=mixup)] if mixup else []
    mixers += [layers.CutMix(factor=(cutmix, cutmix))] if cutmix else []
    # (p, p): a single number would be the end of a range of probabilities. The noise is normal
    # with the end of the value range as its deviation, and clipped to that range.
    erase = layers.RandomErasing((erasing, erasing), value_range=(-1, 1)) if erasing else None
    return operations(magnitude) if magnitude else [], erase, mixers


@contextlib.contextmanager
def _on_this_process():
    """Where what is augmented is not a part of the training's computation.

    On JAX a distribution would make the layers' random states those of all processes, of which
    each augments other images. PyTorch's current device is the training thread's alone: others
    would all take the first one.
    """
    if keras.backend.backend() == "torch":
        with keras.device("cpu"):
            yield
        return
    distribution = keras.distribution.distribution()
    if distribution is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _one_of(choice, rng, batch):
    """Half of the images go through one operation each, drawn for each image."""
    chosen = rng.integers(0, 2 * len(choice), size=len(batch))
    batch = batch.copy()
    for number, operation in enumerate(choice):
        where = np.flatnonzero(chosen == number)
        if len(where):
            batch[where] = operation(rng, batch[where])
    return batch


def operations(magnitude):
    """The operations of RandAugment, functions of (rng, batch), with the reference's ranges.

    `keras.layers.RandAugment` draws one pair of operations for a whole batch and gives one factor
    to all of them, of which a rotation makes turns and a posterisation bits: 0.9 is 324 degrees.
    So here are its parts, each with the range that it has in the recipe's RandAugment at
    `magnitude`, 0 to 10.
    """
    m = magnitude / 10
    coloured = [
        layers.RandomBrightness(0.45 * m),
        layers.RandomColorDegeneration(0.9 * m),
        layers.RandomContrast(0.9 * m),
        layers.RandomSharpness((0.5 - 0.45 * m, 0.5 + 0.45 * m)),
        layers.RandomPosterization(max(1, 4 - int(4 * m))),
        layers.Solarization(threshold_factor=1.0),
        layers.AutoContrast(),
        layers.Equalization(),
        layers.RandomInvert(factor=(1.0, 1.0)),
    ]
    return [
        *geometry.operations(magnitude),
        *(functools.partial(_coloured, layer) for layer in coloured),
    ]


def _coloured(layer, rng, batch):
    # Padded to a power of two: JAX compiles every size of a batch anew.
    padded = np.resize(np.arange(len(batch)), 1 << (len(batch) - 1).bit_length())
    return np.clip(_run(rng, layer, batch[padded])[: len(batch)], 0, 255)


def _run(rng, layer, inputs):
    generator = getattr(layer, "generator", None)
    key = int(rng.integers(2**31))  # Drawn also for layers that draw nothing.
    with _on_this_process():
        if generator is not None:
            generator.state.assign([key, 0])
        outputs = layer(inputs, training=True)
        return keras.tree.map_structure(
            lambda x: np.asarray(ops.convert_to_numpy(x), np.float32), outputs
        )
