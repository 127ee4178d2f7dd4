"""A number of steps for every example, as an input of the graph."""

import keras
import numpy as np
import pytest

from keras_recres.layers import RecurrentResidual, TransformerBlock

if keras.backend.backend() != "tensorflow":
    pytest.skip("the graph of a SavedModel is TensorFlow's", allow_module_level=True)

import tensorflow as tf

from keras_recres.serve import steps
from keras_recres.serve.network import Network
from keras_recres.serve.reference import random_inputs

WANTED = (3, 1, 7, 2, 5)


def branch(width=4):
    layers = [keras.layers.Dense(width, activation="tanh"), keras.layers.BatchNormalization()]
    return keras.Sequential([*layers, keras.layers.Dropout(0.5), keras.layers.Dense(4)])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shortcut": "none", "residual_scale": 0.5},
        {"residual_scale": "learned", "step_embedding": True},
        {"unshare": ("norm",)},
        {"inject_input": "add", "remat": True},
        {"inject_input": "concat"},
        {"exit_threshold": 0.7},
        {"loop": "scan", "backprop_steps": 1},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_every_example_has_its_own_number(options):
    layer = RecurrentResidual(branch(), steps=3, **options)
    x = keras.random.normal((len(WANTED), 4))
    layer(x)
    for weight in layer.weights:
        # Per-step values that differ, and statistics that are not the identity.
        shift = keras.random.uniform(weight.shape, 0.1, 0.5)
        weight.assign(weight + keras.ops.cast(shift, weight.dtype))
    exact = "dtype" not in options
    run = tf.function(lambda x, wanted: steps.run(layer, x, wanted, 8))
    found = run(x, tf.constant(WANTED)).numpy().astype("float32")
    for i, number in enumerate(WANTED):
        expected = keras.ops.convert_to_numpy(layer(x[i : i + 1], steps=number)).astype("float32")
        tolerance = 1e-5 if exact else 0.05
        np.testing.assert_allclose(found[i : i + 1], expected, rtol=tolerance, atol=tolerance)
    with_others = run(x[:1], tf.constant(WANTED[:1])).numpy().astype("float32")
    tolerance = 1e-6 if exact else 0.05
    np.testing.assert_allclose(found[:1], with_others, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("nested", [False, True])
def test_masks_reach_the_steps_and_what_follows_them(nested):
    inputs = keras.Input((4, 6))
    block = TransformerBlock(num_heads=2)
    x = RecurrentResidual(block, 2, shortcut="none")(keras.layers.Masking(-1.0)(inputs), steps=3)
    logits = keras.layers.Dense(3)(keras.layers.LSTM(5)(x))
    model = keras.Model(inputs, logits)
    if nested:
        model = keras.Sequential([inputs, model])
    network = Network(model)
    # As the call says.
    assert network.steps == (3,)
    x = random_inputs(network, 3)
    assert (x[::2, 2:] == -1).all()
    assert (x[1] != -1).all()
    wanted = tf.constant([[3], [3], [3]])
    run = tf.function(
        lambda x: network.with_steps(x, lambda i, layer, x: steps.run(layer, x, wanted[:, i], 8))
    )
    want = model(x).numpy()
    np.testing.assert_allclose(run(x)[1].numpy(), want, atol=1e-5)
    np.testing.assert_allclose(network.with_static_steps(x, (3,))[1].numpy(), want, atol=1e-5)


def test_an_empty_batch():
    layer = RecurrentResidual(branch(), steps=3)
    layer(np.zeros((1, 4), "float32"))
    run = tf.function(lambda x, wanted: steps.run(layer, x, wanted, 8))
    assert run(tf.zeros((0, 4)), tf.zeros((0,), tf.int32)).shape == (0, 4)
