"""Highway networks: the authors' Caffe file in plain PyTorch, and one gate run many times."""

import keras
import numpy as np
import pytest

from keras_recres import layers, models

BACKEND = keras.backend.backend()


@pytest.mark.skipif(BACKEND != "torch", reason="compares with plain PyTorch")
def test_the_convolutional_network_is_that_of_plain_pytorch():
    import torch
    from torch.nn import functional

    # Odd sizes, where pooling that rounds up differs from the other: 17 → 13 → 6 → 3 → 2.
    model = models.highway(7, 4, input_shape=(17, 17, 2), num_classes=3)
    rng = np.random.default_rng(0)
    for w in model.weights:
        w.assign(rng.normal(size=w.shape) / max(1, np.prod(w.shape[:-1])) ** 0.5)
    x = rng.normal(size=(2, 17, 17, 2)).astype("float32")
    values = iter([torch.tensor(w) for w in model.get_weights()])

    def conv(x, padding):
        kernel, bias = next(values).permute(3, 2, 0, 1), next(values)
        return functional.conv2d(x, kernel, bias, padding=padding)

    y = conv(torch.tensor(x).permute(0, 3, 1, 2), 0).relu()
    for number, pool in ((1, 3), (2, 3), (2, 2)):
        for _ in range(number):
            transform = conv(y, 1).relu()
            gate = conv(y, 1).sigmoid()
            y = transform * gate + y * (1 - gate)
        y = functional.max_pool2d(y, pool, 2, ceil_mode=True)
    wanted = (y.permute(0, 2, 3, 1).flatten(1) @ next(values) + next(values)).numpy()
    assert next(values, None) is None
    got = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(got, wanted, atol=1e-4 * wanted.std())


@pytest.mark.neutral
def test_gates_begin_nearly_shut_and_dropout_grows_with_depth():
    model = models.highway()
    gated = [layer for layer in model.layers if isinstance(layer, layers.Highway)]
    assert len(gated) == 8
    assert {float(layer.gate.bias[0]) for layer in gated} == {-1.0}
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.2, 0.3, 0.4, 0.5]


def test_a_recurrent_highway_network_is_one_gate_run_many_times():
    gate = layers.Highway(keras.layers.Dense(5, activation="tanh"))
    layer = layers.RecurrentResidual(gate, shortcut="none", steps=4)
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    got = keras.ops.convert_to_numpy(layer(x))
    (kernel, bias), (gate_kernel, gate_bias) = gate.transform.get_weights(), gate.gate.get_weights()
    want = x.astype("float64")
    for _ in range(4):
        t = 1 / (1 + np.exp(-(want @ gate_kernel + gate_bias)))
        want = np.tanh(want @ kernel + bias) * t + want * (1 - t)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert layer.count_params() == 2 * (5 * 5 + 5)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"depth": 11}, "`depth` must be 3 n .* it is 11"),
        ({"depth": 1, "dense": True}, "`depth` must be .* at least 2, but it is 1"),
        ({"width": 0}, "`width` must be"),
        ({"input_shape": (11, 28, 1)}, r"`input_shape` must have sides .* it is \(11, 28, 1\)"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.highway(**arguments)
