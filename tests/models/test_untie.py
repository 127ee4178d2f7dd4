"""models.untie: the same function, without sharing."""

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.layers import RecurrentResidual
from tests.gradients import computed


def test_steps_with_norms_and_scales_of_their_own():
    inputs = keras.Input((4,))
    branch = keras.Sequential(
        [keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(4, "tanh")], name="branch"
    )
    x = RecurrentResidual(
        branch, steps=3, unshare=("norm",), residual_scale="learned", step_embedding=True, name="r"
    )(inputs)
    # An operation is no layer, and has no weights to copy.
    x = keras.layers.Dense(2, name="head")(x[:, :3])
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    plain = models.untie(model)
    assert [layer.name for layer in plain.layers if layer.name[0] == "r"] == [
        "r_step0",
        "r_step1",
        "r_step2",
    ]
    # The dense layer's 20 numbers come to stand there two more times.
    assert plain.count_params() == model.count_params() + 40
    x = rng.normal(size=(5, 4)).astype("float32")
    expected = computed(model, x)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(computed(plain, x), expected, atol=1e-5)
    plain.set_weights([np.zeros(weight.shape) for weight in plain.weights])
    np.testing.assert_array_equal(computed(model, x), expected)


def test_statistics_are_copied_as_weights_are():
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(name="outside")(inputs)
    branch = keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dense(4, "tanh")])
    model = keras.Model(inputs, RecurrentResidual(branch, steps=2)(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in model.weights])
    plain = models.untie(model)
    x = rng.normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(computed(plain, x), computed(model, x), atol=1e-5)


def test_a_layer_that_is_called_twice_remains_one():
    inputs = keras.Input((3,))
    shared = RecurrentResidual(keras.layers.Dense(3, "tanh"), steps=2, name="shared")
    model = keras.Model(inputs, shared(keras.ops.sin(shared(inputs))))
    plain = models.untie(model)
    assert plain.count_params() == 2 * 12
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(computed(plain, x), computed(model, x), atol=1e-6)


@pytest.mark.neutral
def test_what_cannot_be_untied_is_named():
    with pytest.raises(ValueError, match="has nothing to untie"):
        models.untie(models.planar(depth=2))
    with pytest.raises(ValueError, match="must be a built functional or Sequential model"):
        models.untie(keras.Sequential([keras.layers.Dense(2)]))
    branch = keras.layers.Dense(2)
    states = keras.Sequential(
        [keras.Input((2,)), RecurrentResidual(branch, 2, return_states=True, name="states")]
    )
    with pytest.raises(ValueError, match="'states' cannot be untied"):
        models.untie(states)
