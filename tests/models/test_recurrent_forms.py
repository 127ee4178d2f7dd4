"""A residual network in depth and a recurrent one in time are one function."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import models
from keras_recres.layers import Highway, RecurrentResidual

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 4)).astype("float32")
T = 5


def filled(layer, shape, scale=1.0):
    layer.build(shape)
    for weight in layer.weights:
        weight.assign(scale * RNG.normal(size=weight.shape))
    return layer


def repeated(x, steps=T):
    return np.repeat(x[:, None], steps, axis=1)


def states_of(lstm, c):
    """c_T of an LSTM whose gates read h = tanh c, from c_0 and inputs of zero."""
    _, _, last = lstm(np.zeros((2, T, 1), "float32"), initial_state=[np.tanh(c), c])
    return ops.convert_to_numpy(last)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shortcut": "none", "residual_scale": 0.5, "inject_input": "add"},
        {"inject_input": "concat"},
    ],
    ids=["plain", "none-add", "concat"],
)
def test_a_block_in_time_is_the_block_in_depth(options):
    block = RecurrentResidual(layers.Dense(4, activation="tanh"), steps=T, **options)
    filled(block, (None, 4))
    states = ops.convert_to_numpy(block(X, return_states=True))
    rnn = models.residual_to_rnn(block, return_sequences=True)
    outputs = ops.convert_to_numpy(rnn(repeated(X), initial_state=ops.convert_to_tensor(X)))
    np.testing.assert_allclose(outputs, states.swapaxes(0, 1), rtol=1e-5, atol=1e-6)
    # Copies: training one leaves the other.
    block.branch.kernel.assign(ops.zeros(block.branch.kernel.shape))
    assert np.abs(ops.convert_to_numpy(rnn.weights[0])).max() > 0.1
    if not options:
        back = models.rnn_to_residual(rnn, T)
        assert isinstance(back.branch, layers.Dense)
        last = ops.convert_to_numpy(back(X))
        np.testing.assert_allclose(last, states[-1], rtol=1e-5, atol=1e-6)


def test_a_recurrent_network_is_a_block_in_depth_of_its_states_and_input():
    rnn = filled(layers.LSTM(3, return_state=True), (None, T, 4))
    _, h, c = map(ops.convert_to_numpy, rnn(repeated(X)))
    block = models.rnn_to_residual(rnn, T)
    start = np.concatenate([np.zeros((2, 6), "float32"), X], axis=1)
    wanted = np.concatenate([h, c, X], axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(block(start)), wanted, rtol=1e-5, atol=1e-6)
    again = RecurrentResidual.from_config(block.get_config())
    again.build((None, 10))
    again.set_weights(block.get_weights())
    np.testing.assert_allclose(ops.convert_to_numpy(again(start)), wanted, rtol=1e-5, atol=1e-6)
    # And a block in time again, which is the network.
    twice = models.residual_to_rnn(block)
    last = twice(repeated(start), initial_state=ops.convert_to_tensor(start))
    np.testing.assert_allclose(ops.convert_to_numpy(last), wanted, rtol=1e-5, atol=1e-6)


def test_a_residual_network_is_an_lstm_whose_gates_are_1():
    lstm = filled(layers.LSTM(4, return_state=True), (None, T, 1))
    kernel, recurrent, bias = lstm.get_weights()
    # Order i, f, c, o: a sigmoid of 40 is 1 in float32.
    recurrent[:, :8] = recurrent[:, 12:] = 0
    bias[:8] = bias[12:] = 40
    lstm.set_weights([kernel, recurrent, bias])
    branch = keras.Sequential([layers.Activation("tanh"), layers.Dense(4, activation="tanh")])
    block = RecurrentResidual(branch, steps=T)
    block.build((None, 4))
    block.set_weights([recurrent[:, 8:12], bias[8:12]])
    np.testing.assert_allclose(
        states_of(lstm, X), ops.convert_to_numpy(block(X)), rtol=1e-5, atol=1e-6
    )


def test_a_highway_network_is_an_lstm_whose_gates_are_coupled():
    lstm = filled(layers.LSTM(4, return_state=True), (None, T, 1))
    kernel, recurrent, bias = lstm.get_weights()
    # f = 1 − i, since σ(−z) = 1 − σ(z), and o = 1.
    recurrent[:, 4:8], bias[4:8] = -recurrent[:, :4], -bias[:4]
    recurrent[:, 12:], bias[12:] = 0, 40
    lstm.set_weights([kernel, recurrent, bias])

    def reads_tanh(activation):
        return keras.Sequential([layers.Activation("tanh"), layers.Dense(4, activation=activation)])

    highway = Highway(reads_tanh("tanh"), gate=reads_tanh("sigmoid"))
    block = RecurrentResidual(highway, steps=T, shortcut="none")
    block.build((None, 4))
    highway.transform.set_weights([recurrent[:, 8:12], bias[8:12]])
    highway.gate.set_weights([recurrent[:, :4], bias[:4]])
    np.testing.assert_allclose(
        states_of(lstm, X), ops.convert_to_numpy(block(X)), rtol=1e-5, atol=1e-6
    )


def test_what_is_not_a_recurrent_network_is_refused():
    def block(**options):
        layer = RecurrentResidual(layers.Dense(4, name="dense"), steps=2, **options)
        layer.build((None, 4))
        return layer

    for options, said in (
        ({"unshare": "dense"}, "has unshare="),
        ({"residual_scale": "learned"}, "has a learned scale"),
        ({"backprop_steps": 1}, "has backprop_steps=1"),
        ({"exit_threshold": 0.1}, "has exit_threshold=0.1"),
    ):
        with pytest.raises(ValueError, match=said):
            models.residual_to_rnn(block(**options))
    with pytest.raises(ValueError, match="`layer` must be a built RecurrentResidual"):
        models.residual_to_rnn(layers.Dense(4))
    with pytest.raises(ValueError, match="`layer` must be a built RNN"):
        models.rnn_to_residual(layers.LSTM(4), 2)
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 1"):
        models.rnn_to_residual(layers.LSTM(4), 0)
