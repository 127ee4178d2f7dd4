"""models.untie: the same function, without sharing."""

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.layers import RecurrentResidual


def test_a_vit_with_norms_of_its_own_per_step():
    model = models.t2t_vit(
        depth=2, steps=[2, 3], input_shape=(32, 32, 3), num_classes=5, embed_dim=32, num_heads=2,
        token_dim=16, first_kernel_size=3, first_strides=2, unshare=("norm",), step_embedding=True,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * 0.2)
    plain = models.untie(model)
    # Of its own for each model, as the weights are.
    flat = models.t2t_vit(
        depth=5, input_shape=(32, 32, 3), num_classes=5, embed_dim=32, num_heads=2, token_dim=16,
        first_kernel_size=3, first_strides=2, step_embedding=True,
    )  # fmt: skip
    assert plain.count_params() == flat.count_params() > model.count_params()
    x = rng.normal(size=(3, 32, 32, 3)).astype("float32")
    expected = model.predict_on_batch(x)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(plain.predict_on_batch(x), expected, atol=1e-5)
    for weight in plain.weights:
        weight.assign(np.zeros(weight.shape))
    np.testing.assert_array_equal(model.predict_on_batch(x), expected)


def test_a_layer_that_is_called_twice_remains_one():
    inputs = keras.Input((3,))
    shared = RecurrentResidual(keras.layers.Dense(3, "tanh"), steps=2, name="shared")
    model = keras.Model(inputs, shared(keras.ops.sin(shared(inputs))))
    plain = models.untie(model)
    assert plain.count_params() == 2 * 12
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(plain.predict_on_batch(x), model.predict_on_batch(x), atol=1e-6)


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
