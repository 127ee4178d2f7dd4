"""ensemble: the mean of several models' answers."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_recres import models


def member(seed, activation=None, side=4, classes=3):
    inputs = keras.Input((side,))
    init = keras.initializers.RandomNormal(seed=seed)
    x = layers.Dense(classes, activation=activation, kernel_initializer=init, name="logits")(inputs)
    return keras.Model(inputs, x, name="same")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def test_answers_are_averaged():
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32") * 20
    logits = [member(seed) for seed in (1, 2)]
    members = [*logits, member(3, "softmax")]
    first, second, third = (keras.ops.convert_to_numpy(m(x)) for m in members)
    got = keras.ops.convert_to_numpy(models.ensemble(members)(x))
    np.testing.assert_allclose(got, (softmax(first) + softmax(second) + third) / 3, rtol=1e-5)
    got = keras.ops.convert_to_numpy(models.ensemble(logits, "logits")(x))
    np.testing.assert_allclose(got, (first + second) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.neutral
def test_what_does_not_belong_together_is_one_sentence():
    one, other = member(1), member(2)
    other.class_names, one.class_names = ("a", "b", "c"), ("a", "b", "d")
    for members, options, words in (
        ([one], {}, "two models or more, but there are 1"),
        ([one, member(2, side=5)], {}, r"equal inputs, but 'same' has \(4,\) and 'same' \(5,\)"),
        ([one, member(2, classes=4)], {}, "equal classes"),
        ([one, other], {}, "equal `class_names`"),
        ([one, layers.Dense(3, name="layer")], {}, "one input each, but 'layer' is not"),
        ([one, member(2, "softmax")], {"average": "logits"}, "gives probabilities"),
        ([one, member(2)], {"average": "votes"}, "`average` must be"),
    ):
        with pytest.raises(ValueError, match=words):
            models.ensemble(members, **options)
