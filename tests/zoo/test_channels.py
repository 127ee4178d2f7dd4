"""Weights for other channels than those of the training: a grey image stays what it was."""

import numpy as np
import pytest

from keras_recres import zoo
from tests.marks import slow_on_tensorflow


@pytest.mark.parametrize(
    "name",
    [
        "vit3_rec",
        *(pytest.param(n, marks=slow_on_tensorflow) for n in ("cifar_small_meta", "rrn_tanh")),
    ],
)
def test_equal_channels_give_the_same_logits(name, caplog):
    whole = zoo.load(name)
    *sides, channels = whole.input_shape[1:]
    x = np.random.default_rng(0).standard_normal((2, *sides, 1)).astype("float32")
    wanted = whole.predict_on_batch(np.repeat(x, channels, -1))
    # Two whole turns: each kernel as often.
    for more in {1, 2 * channels}:
        caplog.clear()
        model = zoo.load(name, in_channels=more)
        assert model.input_shape[1:] == (*sides, more)
        found = model.predict_on_batch(np.repeat(x, more, -1))
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
        how = "summed" if more == 1 else "repeated and scaled"
        if more != channels:
            assert f"weights of {channels} channels, {how} for in_channels={more}." in caplog.text
        assert model.preprocess(np.zeros((1, *sides, more))).shape == (1, *sides, more)


def test_channels_that_cannot_be_are_a_sentence():
    with pytest.raises(ValueError, match=r"in_channels=1 does not suit .* \(32, 32, 3\)"):
        zoo.load("cifar_small", in_channels=1, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="for a network of images"):
        zoo.load("planar_rec", in_channels=1)
    assert zoo.load("vit3", weights=None, in_channels=2).input_shape == (None, 224, 224, 2)
