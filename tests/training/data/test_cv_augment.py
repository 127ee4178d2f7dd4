"""What keras-cv adds to `--augment`; and a sentence where it cannot be."""

import importlib.util

import keras
import numpy as np
import pytest

from training.data import cv_augment
from training.data.layer_augment import LayerAugment
from training.errors import UserError

pytestmark = pytest.mark.neutral


@pytest.fixture(scope="module")
def batch():
    """Images whose three channels differ everywhere, and no pixel is 0; labels."""
    images = np.random.default_rng(1).integers(1, 80, (6, 24, 24, 3)).astype("float32")
    return images + np.array([0, 80, 160], "float32"), np.eye(6, dtype="float32")


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="computes with TensorFlow")
def test_images_are_what_their_names_say_and_a_seed_repeats_them(batch):
    pytest.importorskip("keras_cv", exc_type=ImportError)
    images, labels = batch

    def made(name, seed=0):
        layers, rng = LayerAugment(more=[name]), np.random.default_rng(seed)
        return layers.mix(rng, layers.images(rng, images), labels)

    for name in cv_augment.LAYERS:
        for again, other in zip(made(name), made(name), strict=True):
            np.testing.assert_array_equal(again, other)
        assert np.any(made(name)[0] != made(name, seed=1)[0])
    found, _ = made("grid_mask")
    masked = found == 0
    assert 0.01 < masked.mean() < 0.6
    np.testing.assert_array_equal(found[~masked], images[~masked])
    found, _ = made("channel_shuffle")
    np.testing.assert_array_equal(np.sort(found, -1), images)
    assert np.any(found != images)
    found, mixed = made("fourier_mix")
    for image, label in zip(found, mixed, strict=True):
        # Each pixel is that of one of two images, which the label names.
        parts = np.flatnonzero(label)
        assert label.sum() == pytest.approx(1)
        assert len(parts) <= 2
        assert np.all(np.any([np.all(image == images[part], -1) for part in parts], axis=0))


def test_what_cannot_be_is_a_sentence(monkeypatch):
    cv_augment.check(["flip"])
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "keras_cv" else find(n))
    backend = keras.backend.backend()
    sentence = "pip install 'keras-recres" if backend == "tensorflow" else "KERAS_BACKEND=tensorfl"
    with pytest.raises(UserError, match=sentence):
        cv_augment.check(["flip", "grid_mask"])
