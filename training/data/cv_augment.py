"""GridMask, ChannelShuffle and FourierMix, which Keras lacks, by keras-cv's layers.

They draw from TensorFlow's global seed and from generators of their own, eagerly: both begin anew
from the batch's own generator in every call, under a lock, so that a training that goes on sees the
same pictures.
"""

import importlib.util
import threading

import keras
import numpy as np

from training.errors import UserError

LAYERS = {"grid_mask": "GridMask", "channel_shuffle": "ChannelShuffle", "fourier_mix": "FourierMix"}
# What mixes images and labels, not images alone.
MIXERS = ("fourier_mix",)
LOCK = threading.Lock()


def check(names):
    """Raises a UserError where keras-cv's layers are asked for and cannot be."""
    asked = [name for name in names if name in LAYERS]
    if not asked:
        return
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"--augment {asked[0]} is keras-cv's, which computes with TensorFlow: set "
            "KERAS_BACKEND=tensorflow."
        )
    if importlib.util.find_spec("keras_cv") is None:
        raise UserError(
            f"--augment {asked[0]} is keras-cv's, which is not installed: pip install "
            "'keras-recres[cv]'."
        )


def make(names):
    """Functions (rng, batch) of those names that are images', and (rng, inputs) of the mixers."""
    check(names)
    import keras_cv

    made = {name: _run(getattr(keras_cv.layers, LAYERS[name])) for name in names}
    images = [run for name, run in made.items() if name not in MIXERS]
    return images, [run for name, run in made.items() if name in MIXERS]


def _run(make_layer):
    import tensorflow as tf

    def run(rng, inputs):
        key = int(rng.integers(2**31))
        with LOCK:
            tf.random.set_seed(key)
            layer = make_layer(seed=key)
            outputs = layer(keras.tree.map_structure(tf.constant, inputs), training=True)
        return keras.tree.map_structure(lambda x: np.asarray(x, np.float32), outputs)

    return run
