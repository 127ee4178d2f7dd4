"""probes.gates, and gradients through an LSTM, against numbers that were computed elsewhere."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres.probes import gates, gradient_flow

# A. Gomez, "Backpropagating an LSTM: a numerical example" (2016): two inputs, one unit, two steps.
KERNEL = np.array([[0.95, 0.7, 0.45, 0.6], [0.8, 0.45, 0.25, 0.4]])  # i, f, a, o
RECURRENT = np.array([[0.8, 0.1, 0.15, 0.25]])
BIAS = np.array([0.65, 0.15, 0.2, 0.1])
X = np.array([[[1.0, 2.0], [0.5, 3.0]]])
Y = np.array([[[0.5], [1.25]]])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference():
    """Backpropagation through time by hand: gates, (h, c), gradients by them, and by weights."""
    h = c = np.zeros(1)
    seen, states = [], [(h, c)]
    for x in X[0]:
        i, f, a, o = np.split(x @ KERNEL + h @ RECURRENT + BIAS, 4)
        i, f, o, a = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(a)
        seen.append((i, f, a, o))
        c = a * i + f * c
        h = o * np.tanh(c)
        states.append((h, c))
    d_h = d_c = np.zeros(1)
    d_kernel, d_recurrent, d_bias, by_state = 0, 0, 0, []
    for t in (1, 0):
        (i, f, a, o), (before, old), (h, c) = seen[t], states[t], states[t + 1]
        d_h = d_h + h - Y[0, t]
        # ∂L/∂c_t with h_t apart, as the two are parts of one state.
        by_state.append((d_h, d_c))
        d_c = d_c + d_h * o * (1 - np.tanh(c) ** 2)
        d_i, d_f = d_c * a * i * (1 - i), d_c * old * f * (1 - f)
        d_a, d_o = d_c * i * (1 - a**2), d_h * np.tanh(c) * o * (1 - o)
        deltas = np.concatenate([d_i, d_f, d_a, d_o])
        d_kernel = d_kernel + np.outer(X[0, t], deltas)
        d_recurrent, d_bias = d_recurrent + np.outer(before, deltas), d_bias + deltas
        d_h, d_c = RECURRENT @ deltas, d_c * f
    by_state.append((d_h, d_c))
    return seen, states, np.array(by_state[::-1])[..., 0], (d_kernel, d_recurrent, d_bias)


@pytest.fixture(scope="module")
def lstm():
    inputs = keras.Input((2, 2))
    layer = layers.LSTM(1, return_sequences=True, return_state=True, name="lstm")
    outputs, *_ = layer(inputs)
    model = keras.Model(inputs, outputs)
    layer.set_weights([KERNEL, RECURRENT, BIAS])
    return model


def half_square(y, outputs):
    return ops.sum(ops.square(outputs - y), axis=(1, 2)) / 2


def test_the_numerical_example(lstm):
    seen, states, by_state, gradients = reference()
    # What the example prints, cut off after five digits.
    printed = {"h": (0.53631, 0.77198), "c": (0.78572, 1.51763)}
    np.testing.assert_allclose([h[0] for h, _ in states[1:]], printed["h"], atol=1e-5)
    np.testing.assert_allclose([c[0] for _, c in states[1:]], printed["c"], atol=1e-5)
    np.testing.assert_allclose(lstm.predict(X, verbose=0)[0, :, 0], printed["h"], atol=1e-5)
    record = gates(lstm, X)
    for name, which in (("input", 0), ("forget", 1), ("output", 3)):
        np.testing.assert_allclose(
            record.values[name][0, :, 0], [step[which][0] for step in seen], rtol=1e-5
        )
    forget = [step[1][0] for step in seen]
    np.testing.assert_allclose(record.product[0, :, 0], [forget[0] * forget[1], forget[1], 1], 1e-5)
    flow = gradient_flow(lstm, X, Y, loss=half_square)
    np.testing.assert_allclose(flow.by_part[0].T, abs(by_state), rtol=1e-4)
    np.testing.assert_allclose(flow.gradient[0], np.linalg.norm(by_state, axis=1), rtol=1e-4)
    assert flow.factor is None
    # New weights by a step of 0.1 are those that Keras' own training makes.
    lstm.compile(keras.optimizers.SGD(0.1), loss=half_square, run_eagerly=True)
    before = lstm.get_weights()
    lstm.train_on_batch(X, Y)
    for old, new, gradient in zip(before, lstm.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(new, old - 0.1 * gradient, rtol=1e-5)
    lstm.set_weights(before)


def test_all_paths_against_the_memory_alone(lstm):
    """∂c_T/∂c_t by differences of the reference, and ∏ f."""
    record = gates(lstm, X, layer="lstm")

    def last(h, c, begin):
        for x in X[0, begin:]:
            i, f, a, o = np.split(x @ KERNEL + h @ RECURRENT + BIAS, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(a)
            h = sigmoid(o) * np.tanh(c)
        return c[0]

    _, states, *_ = reference()
    for t, (h, c) in enumerate(states):
        slope = (last(h, c + 1e-5, t) - last(h, c - 1e-5, t)) / 2e-5
        assert record.all_paths[0, t] == pytest.approx(slope, rel=1e-4)
    np.testing.assert_allclose(record.carousel, record.product[..., 0])
    # h_0 does not depend on c_0, and c_1 sees h_0 alone.
    assert record.all_paths[0, 1] == pytest.approx(record.carousel[0, 1], rel=1e-5)


def test_a_gru_and_a_mask(tmp_path):
    inputs = keras.Input((4, 2))
    layer = layers.GRU(3, reset_after=False)
    model = keras.Model(inputs, layer(layers.Masking()(inputs)))
    x = np.random.default_rng(0).normal(size=(2, 4, 2)).astype("float32")
    x[1, 2:] = 0
    record = gates(model, x)
    kernel, recurrent, bias = layer.get_weights()
    h, product = np.zeros(3), np.ones(3)
    for t in range(2):
        z, r, g = np.split(x[1, t] @ kernel + bias, 3)
        z = sigmoid(z + h @ recurrent[:, :3])
        r = sigmoid(r + h @ recurrent[:, 3:6])
        np.testing.assert_allclose(record.values["update"][1, t], z, rtol=1e-5)
        np.testing.assert_allclose(record.values["reset"][1, t], r, rtol=1e-5)
        h = z * h + (1 - z) * np.tanh(g + (r * h) @ recurrent[:, 6:])
        product = product * z
    np.testing.assert_allclose(record.product[1, 0], product, rtol=1e-5)
    assert np.isnan(record.values["update"][1, 2:]).all()
    assert (record.product[1, 2:] == 1).all()
    assert record.carousel[1, 0] == pytest.approx(product.max(), rel=1e-5)
    assert [row["step"] for row in record.table()] == [0, 1, 2, 3, 4]
    assert record.table()[1]["update"] == pytest.approx(record.values["update"][:, 0].mean())
    record.to_csv(tmp_path / "gates.csv")
    assert (tmp_path / "gates.csv").read_text().startswith("step,update,reset,product,carousel")
    pytest.importorskip("matplotlib")
    axes = record.plot(tmp_path / "gates.png")
    assert [len(axis.lines) for axis in axes] == [2, 2]
    simple = keras.Sequential([keras.Input((4, 2)), layers.SimpleRNN(3)])
    with pytest.raises(ValueError, match=r"but that of 'simple_rnn.*' is a SimpleRNNCell with 0"):
        gates(simple, x)
