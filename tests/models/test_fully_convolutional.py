"""fully_convolutional: the same answer at the trained size, and windows of larger images."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_recres import models
from keras_recres.layers import RBFOutput

computed = keras.ops.convert_to_numpy


def vgg_like():
    x = inputs = keras.Input((12, 8, 3))
    for i in (1, 2):
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"conv{i}")(x)
        x = layers.BatchNormalization(name=f"norm{i}")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.ReLU()(layers.Dense(7)(x))
    x = layers.Dense(5, activation="softmax", name="classes")(layers.Dropout(0.5)(x))
    return keras.Model(inputs, x)


def lenet_like():
    """Without padding, its head a model of its own."""
    x = inputs = keras.Input((12, 12, 1))
    x = layers.AveragePooling2D(2)(layers.Conv2D(3, 5, activation="tanh")(x))
    x = layers.Dense(6, activation="tanh")(layers.Flatten()(layers.Conv2D(4, 3)(x)))
    codes = np.sign(np.random.default_rng(0).normal(size=(5, 6)))
    head = keras.Sequential([keras.Input((6,)), RBFOutput(codes), layers.Rescaling(-1.0)])
    return keras.Model(inputs, head(x))


def filled(model):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(np.abs(rng.normal(size=weight.shape)) * 0.3)
    return model


@pytest.mark.parametrize("build", [vgg_like, lenet_like])
def test_the_answer_at_the_trained_size_is_the_same(build):
    model = filled(build())
    x = np.random.default_rng(2).normal(size=(2, *model.input_shape[1:])).astype("float32")
    wanted = computed(model(x))
    opened = models.fully_convolutional(model)
    got = computed(opened(x))
    assert got.shape == (2, 1, 1, 5)
    np.testing.assert_allclose(got[:, 0, 0], wanted, rtol=1e-4, atol=1e-5)
    assert opened.count_params() == model.count_params()
    assert not any(isinstance(layer, layers.Dense) for layer in opened.layers)
    # Its weights are its own.
    opened.layers[1].kernel.assign(np.zeros(opened.layers[1].kernel.shape))
    np.testing.assert_allclose(computed(model(x)), wanted, rtol=1e-5)


def test_every_answer_is_that_of_a_window():
    model = filled(lenet_like())
    opened = models.fully_convolutional(model)
    x = np.random.default_rng(2).normal(size=(1, 16, 18, 1)).astype("float32")
    got = computed(opened(x))
    assert got.shape == (1, 3, 4, 5)
    windows = [x[0, 2 * i : 2 * i + 12, 2 * j : 2 * j + 12] for i in range(3) for j in range(4)]
    np.testing.assert_allclose(
        got.reshape(12, 5), computed(model(np.stack(windows))), rtol=1e-4, atol=1e-4
    )


@pytest.mark.neutral
def test_what_cannot_be_opened_is_one_sentence():
    inputs = keras.Input((8, 8, 3))
    flat = layers.Flatten()(inputs)
    for model, words in (
        (keras.Sequential([layers.Dense(3)]), "`model` must be a built functional or Sequential"),
        (keras.Sequential([keras.Input((4,)), layers.Dense(3)]), r"one input, \(height, width, "),
        (
            keras.Model(inputs, layers.Dense(2)(layers.BatchNormalization(name="late")(flat))),
            "Between a Flatten and a dense layer .* there is 'late', a BatchNormalization",
        ),
        (
            keras.Model(inputs, layers.PReLU(name="slopes")(inputs)),
            "'slopes', a PReLU, does not take maps of any size",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            models.fully_convolutional(model)
