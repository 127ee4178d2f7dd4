"""Normalised, shuffled, augmented batches of images, or of texts, for Keras."""

import dataclasses
import itertools
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from training.data import augment as augmentation
from training.data import geometry
from training.data.decoding import Decoded
from training.errors import UserError
from training.provenance import cores

# What decodes or augments by layers works on so many groups of images side by side, and at least so
# many batches before they are asked for. One of 512 images of 224 x 224 takes 300 MB.
CORES = cores()
THREADS = min(16, CORES)
AHEAD = 2


class Batches(keras.utils.PyDataset):
    """Normalised batches of a `training.data.Images` record, for `fit`, `evaluate` and `predict`.

    In training the order is drawn anew for every epoch and, unless `keep_last` is set, the last,
    smaller batch is dropped: a second batch size would be compiled a second time. Which images it
    holds changes with the epoch. Otherwise nothing is shuffled and all images are kept.

    A batch depends on (seed, epoch, its number, groups) and on nothing else, so that an interrupted
    training sees the same batches when it goes on: set `epoch` before each epoch (the callback
    `training.fit.callbacks.Epochs` does; left alone, the batches count the epochs themselves), and
    give `fit` shuffle=False, or Keras shuffles the shuffled batches from a global state.

    Args:
        data: a `training.data.Images` record.
        batch_size: images a batch.
        preprocessing: an object with `normalize`, such as `model.preprocess`; None leaves pixels
            in [0, 255].
        training: whether to shuffle, drop the last batch and augment.
        augment: names out of `training.data.augment.NAMES`.
        mixup: parameter of mixup's beta distribution, 0 for none; needs `one_hot`.
        seed: int of at least 0.
        one_hot: give labels as (B, classes) float32 instead of (B,) int64.
        keep_last: keep the last, smaller batch in training, too.
        layers: a `layer_augment.LayerAugment`, which also does the mixup; needs `one_hot`.
        groups: in how many parts, one after the other, a batch is augmented: each draws for
            itself and mixes within itself, as on so many devices of their own, so that a process
            that takes some of them (`part`) needs no others.
        **kwargs: those of `keras.utils.PyDataset`; what works ahead has its own threads, so one
            worker.

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
        *,
        training=False,
        augment=(),
        mixup=0.0,
        seed=0,
        one_hot=False,
        keep_last=False,
        layers=None,
        groups=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if batch_size < 1 or (training and batch_size > len(data)):
            raise UserError(
                f"the batch size must be from 1 to the number of images, {len(data):,}, "
                f"found {batch_size:,}."
            )
        if not 1 <= groups <= batch_size:
            raise UserError(f"groups must be from 1 to the batch size, found {groups}.")
        self.texts = data.holds == "texts"
        if self.texts:
            try:
                data = dataclasses.replace(data, images=preprocessing.numbers(data.images))
            except ValueError as error:
                raise UserError(f"{data.dataset} ({data.split}): {error}") from None
        if not 0 <= mixup < float("inf") or (mixup and not one_hot):
            raise UserError(f"mixup must be at least 0, and needs one-hot labels, found {mixup}.")
        if (augment or layers is not None) and not data.are_pictures:
            raise UserError(f"{data.dataset} has no pictures that could be augmented.")
        self.data, self.batch_size, self.preprocessing = data, batch_size, preprocessing
        self.training, self.augment, self.mixup = training, tuple(augment), mixup
        if layers is not None and (mixup or not one_hot):
            raise UserError("layers that augment mix themselves, and need one-hot labels.")
        self.seed, self.one_hot, self.layers = seed, one_hot, layers
        self.keep_last = keep_last or not training
        self.epoch, self.groups, self.failed = 0, groups, None
        self._order = (None, None)
        ahead = layers is not None or isinstance(data.images, Decoded)
        self._pool = ThreadPoolExecutor(THREADS) if ahead else None
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
        return self.part(number)

    def part(self, number, process=0, processes=1):
        """What one of several processes takes of a batch: rows from size · process/processes on.

        Only these are read and augmented if the processes share out the groups evenly, or in
        evaluation; else the whole batch is made and cut.

        Args:
            number: the batch, from 0.
            process: this process, from 0.
            processes: how many there are.

        Returns:
            Images, float32 (rows, H, W, C), and labels.

        Raises:
            IndexError: there is no such batch.
            ValueError: the processes cannot share out the batch equally.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"batches are numbered from 0 to {len(self) - 1}, found {number}.")
        indices = self._indices(number, self.epoch)
        share, left = divmod(len(indices), processes)
        if left:
            raise ValueError(f"a batch of {len(indices):,} cannot be shared out to {processes}.")
        groups = self.groups if self.training else processes
        whole, own = slice(None), range(groups)
        if groups % processes == 0:
            own = range(groups * process // processes, groups * (process + 1) // processes)
        else:
            whole = slice(process * share, (process + 1) * share)
        try:
            made = [self._mixed(*group) for group in self._made(number, groups, own)]
        except UserError as error:
            self.failed = error
            raise
        if len(made) == 1:
            return tuple(x[whole] for x in made[0])
        return tuple(np.concatenate(x)[whole] for x in zip(*made, strict=True))

    def close(self):
        """Gives up what is made ahead, and gives no batch after it."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._coming = {}

    def _indices(self, number, epoch):
        part = slice(number * self.batch_size, (number + 1) * self.batch_size)
        if not self.training:
            return np.arange(len(self.data))[part]
        drawn_for, order = self._order
        if drawn_for != epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(len(self.data))
            self._order = (epoch, order)
        return order[part]

    def _made(self, number, groups, own):
        """The groups of a batch; those of the next batches are made meanwhile."""
        epoch, ahead = self.epoch, max(AHEAD, -(-THREADS // len(own))) if self._pool else 0
        last = min(number + ahead, len(self) - 1)
        asked = {
            (epoch, n, group, groups): indices
            for n in range(number, last + 1)
            for group, indices in enumerate(cut(self._indices(n, epoch), groups))
            if group in own and len(indices)
        }
        if self._pool is None:
            return [self._group(indices, *key) for key, indices in asked.items()]
        coming, self._coming = self._coming, {}
        for key, indices in asked.items():
            found = coming.pop(key, None) or self._pool.submit(self._group, indices, *key)
            self._coming[key] = found
        for given_up in coming.values():
            given_up.cancel()
        return [self._coming.pop(key).result() for key in asked if key[1] == number]

    def _group(self, indices, epoch, number, group, _):
        """Reads and augments what has these numbers; its generator, for the mixing, and both."""
        draws = (self.seed, epoch, number, *((2, group) if self.groups > 1 else ()))
        rng = np.random.default_rng(draws)
        images, labels, index = self._stored(indices, draws)
        if self.training and self.data.are_pictures:
            return rng, self._augmented(rng, images, index), labels
        return rng, self._normalize(images[index]), labels

    def _stored(self, indices, draws):
        """Images, the labels of these, and the index of what is left to gather of the images."""
        crops = None
        if self.training and "resized_crop" in self.augment:
            # Of their own generator, since a stream needs them first.
            crops = geometry.draw_crops(np.random.default_rng((*draws, 3)), len(indices))
        if isinstance(self.data.images, Decoded):
            images, labels = self.data.images.read(indices, crops)
            index = np.arange(len(indices))
        else:
            images, labels, index = self.data.images, self.data.labels[indices], indices
            if crops is not None:
                images, index = geometry.crops(images[indices], crops), np.arange(len(indices))
        if self.one_hot and labels.dtype.kind != "f":
            labels = np.eye(len(self.data.class_names), dtype=np.float32)[labels]
        return images, labels, index

    def _augmented(self, rng, images, index):
        """Gathers, augments and normalises images."""
        shift, flip = augmentation.draw(rng, len(index), *images.shape[1:3], self.augment)
        batch = augmentation.gather(images, index, shift, flip)
        if self.layers is not None:
            batch = self.layers.images(rng, batch)
        batch = self._normalize(batch)
        if "erase" in self.augment:
            batch = augmentation.erase(rng, batch)
        if self.layers is not None:
            batch = self.layers.erase(rng, batch)
        return batch

    def _normalize(self, batch):
        if self.texts:
            return batch  # Numbers of words since the beginning.
        batch = batch.astype(np.float32)
        if self.preprocessing is not None:
            batch = np.asarray(self.preprocessing.normalize(batch), dtype=np.float32)
        return batch

    def _mixed(self, rng, batch, labels):
        """The last of what a group draws, in the thread that asks for it: see `LayerAugment`."""
        if self.training and self.layers is not None:
            return self.layers.mix(rng, batch, labels)
        if self.mixup and self.training:
            return augmentation.mixup(rng, batch, labels, self.mixup)
        return batch, labels


def cut(indices, groups):
    """An array in so many parts, one after the other: the g-th begins at size · g/groups."""
    edges = [len(indices) * group // groups for group in range(groups + 1)]
    return [indices[begin:end] for begin, end in itertools.pairwise(edges)]
