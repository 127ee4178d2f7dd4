"""Statistics of batch normalization that fit the weights."""

import keras
import numpy as np

from keras_recres.models.norms import fit_norms


def statistics_of(norm):
    return [keras.ops.convert_to_numpy(w) for w in (norm.moving_mean, norm.moving_variance)]


def test_statistics_are_the_means_over_batches():
    x = np.random.default_rng(0).normal(3, 2, size=(96, 4)).astype("float32")
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((4,)), keras.Sequential([norm])])
    batches = x.reshape(3, 32, 4)
    fit_norms(model, iter(batches))
    mean, variance = statistics_of(norm)
    np.testing.assert_allclose(mean, batches.mean(1).mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, batches.var(1).mean(0), rtol=1e-4)
    assert norm.momentum == 0.99
