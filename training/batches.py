"""Normalised, shuffled, augmented batches of images for Keras."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from training import augment as augmentation
from training import geometry
from training.decoding import Decoded
from training.errors import UserError

AHEAD = 2  # Batches of a stream that are decoded before they are asked for.


class Batches(keras.utils.PyDataset):
    """Normalised batches of a `training.data.Images` record, for `fit`, `evaluate` and `predict`.

    In training the order is drawn anew for every epoch and, unless `keep_last` is set, the last,
    smaller batch is dropped: a second batch size would be compiled a second time. Which images it
    holds changes with the epoch. Otherwise nothing is shuffled and all images are kept.

    A batch depends on (seed, epoch, its number) and on nothing else, so that an interrupted
    training sees the same batches when it goes on: set `epoch` before each epoch (the callback
    `training.callbacks.Epochs` does; left alone, the batches count the epochs themselves), and
    give `fit` shuffle=False, or Keras shuffles the shuffled batches from a global state.

    Args:
        data: a `training.data.Images` record.
        batch_size: images a batch.
        preprocessing: an object with `normalize`, such as `model.preprocess`; None leaves pixels
            in [0, 255].
        training: whether to shuffle, drop the last batch and augment.
        augment: names out of `training.augment.NAMES`.
        mixup: parameter of mixup's beta distribution, 0 for none; needs `one_hot`.
        seed: int of at least 0.
        one_hot: give labels as (B, classes) float32 instead of (B,) int64.
        keep_last: keep the last, smaller batch in training, too.
        layers: a `training.layer_augment.LayerAugment`, which also does the mixup; needs `one_hot`.
        **kwargs: those of `keras.utils.PyDataset`; a stream has its own thread, so one worker.

    Attributes:
        epoch: int, which epoch's batches it gives.
        failed: the `UserError` that a batch met, or None: TensorFlow wraps what it catches.

    Example:
        >>> batches = Batches(load("mnist", "train"), 128, training=True, augment=("crop",))
        >>> images, labels = batches[0]
    """

    def __init__(
        self,
        data,
        batch_size,
        preprocessing=None,
        training=False,
        augment=(),
        mixup=0.0,
        seed=0,
        one_hot=False,
        keep_last=False,
        layers=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if batch_size < 1 or (training and batch_size > len(data)):
            raise UserError(
                f"the batch size must be from 1 to the number of images, {len(data):,}, "
                f"found {batch_size:,}."
            )
        if not 0 <= mixup < float("inf") or (mixup and not one_hot):
            raise UserError(f"mixup must be at least 0, and needs one-hot labels, found {mixup}.")
        self.data, self.batch_size, self.preprocessing = data, batch_size, preprocessing
        self.training, self.augment, self.mixup = training, tuple(augment), mixup
        if layers is not None and (mixup or not one_hot):
            raise UserError("layers that augment mix themselves, and need one-hot labels.")
        self.seed, self.one_hot, self.layers = seed, one_hot, layers
        self.keep_last = keep_last or not training
        self.epoch, self.failed = 0, None
        self._order = (None, None)
        # Only reading goes ahead: what augments may draw from a state that all threads share.
        self._reader = ThreadPoolExecutor(1) if isinstance(data.images, Decoded) else None
        self._coming = {}

    def __len__(self):
        if self.keep_last:
            return -(-len(self.data) // self.batch_size)
        return len(self.data) // self.batch_size

    @property
    def num_images(self):
        """Images an epoch."""
        return len(self.data) if self.keep_last else len(self) * self.batch_size

    def on_epoch_end(self):
        self.epoch += 1

    def __getitem__(self, number):
        try:
            return self._batch(self.epoch, number)
        except UserError as error:
            self.failed = error
            raise

    def _batch(self, epoch, number):
        if self._reader is not None:
            images, labels = self._read_ahead(epoch, number)
            index = np.arange(len(labels))
        else:
            index = self._indices(number, epoch)
            images, labels = self.data.images, self.data.labels[index]
            if (crops := self._crops(number, epoch)) is not None:
                images, index = geometry.crops(images[index], crops), np.arange(len(labels))
        if self.one_hot:
            labels = np.eye(len(self.data.class_names), dtype=np.float32)[labels]
        if not self.training:
            return self._normalize(images[index]), labels
        rng = np.random.default_rng((self.seed, epoch, number))
        shift, flip = augmentation.draw(rng, len(index), *images.shape[1:3], self.augment)
        batch = augmentation.gather(images, index, shift, flip)
        if self.layers is not None:
            batch = self.layers.images(rng, batch)
        batch = self._normalize(batch)
        if "erase" in self.augment:
            batch = augmentation.erase(rng, batch)
        if self.layers is not None:
            batch, labels = self.layers.mix(rng, batch, labels)
        if self.mixup:
            batch, labels = augmentation.mixup(rng, batch, labels, self.mixup)
        return batch, labels

    def _read_ahead(self, epoch, number):
        """What the stream has for a batch; the next ones are read meanwhile."""
        last = min(number + AHEAD, len(self) - 1)
        wanted = [(epoch, n) for n in range(number, last + 1)]
        coming, self._coming = self._coming, {}
        for key in wanted:
            read = coming.pop(key, None) or self._reader.submit(self._read, *key)
            self._coming[key] = read
        for read in coming.values():
            read.cancel()
        return self._coming.pop(wanted[0]).result()

    def _read(self, epoch, number):
        return self.data.images.read(self._indices(number, epoch), self._crops(number, epoch))

    def _crops(self, number, epoch):
        """The rectangles that are cut out of a batch's images, or None."""
        if not self.training or "resized_crop" not in self.augment:
            return None
        # Of their own generator: a stream needs them before the batch is made.
        rng = np.random.default_rng((self.seed, epoch, number, 1))
        return geometry.draw_crops(rng, len(self._indices(number, epoch)))

    def _indices(self, number, epoch):
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        if not self.training:
            return np.arange(len(self.data))[part]
        drawn_for, order = self._order
        if drawn_for != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.data))
            self._order = (epoch, order)
        return order[part]

    def _normalize(self, batch):
        batch = batch.astype(np.float32)
        if self.preprocessing is not None:
            batch = np.asarray(self.preprocessing.normalize(batch), dtype=np.float32)
        return batch
