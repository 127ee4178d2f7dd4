"""probes.gradient_flow against gradients of networks that are written out in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres.layers import JordanCell, Recurrent, RecurrentResidual
from keras_recres.probes import gradient_flow, gradient_product
from tests.marks import slow_on

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 2)).astype("float32")
X[0, 4:] = X[1, 2] = 0  # Masked.


def elman(**options):
    model = keras.Sequential(
        [
            keras.Input((6, 2)),
            layers.Masking(),
            layers.SimpleRNN(4, name="rnn", **options),
            layers.Dense(2, use_bias=False),
        ]
    )
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def measured():
    model = elman(return_sequences=True)
    return model, gradient_flow(model, X)


def test_backpropagation_through_time_with_masks(measured):
    model, record = measured
    kernel, recurrent, bias, head = model.get_weights()
    live = (X != 0).any(-1)
    assert record.gradient.shape == record.jacobian.shape == (3, 7)
    np.testing.assert_array_equal(record.live, live)
    for n, x in enumerate(X.astype("float64")):
        h, slopes = [np.zeros(4)], []
        for t in range(6):
            new = np.tanh(x[t] @ kernel + h[-1] @ recurrent + bias)
            h.append(new if live[n, t] else h[-1])
            # ∂h_t/∂h_{t−1}, rows for the new state.
            step = (recurrent * (1 - new**2)).T
            slopes.append(step if live[n, t] else np.eye(4))
        # A masked step repeats the output before it, which the loss counts again: that is h_t.
        gradient, jacobian = np.zeros(4), np.eye(4)
        for t in range(6, -1, -1):
            gradient = gradient + (2 / 12 * h[t] @ head @ head.T if t else 0)
            assert record.gradient[n, t] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
            assert record.jacobian[n, t] == pytest.approx(np.linalg.norm(jacobian, 2), rel=1e-4)
            if t:
                gradient, jacobian = gradient @ slopes[t - 1], jacobian @ slopes[t - 1]


def test_the_bound(measured):
    model, record = measured
    norm = np.linalg.norm(model.get_weights()[1], 2)
    assert record.factor == pytest.approx(norm)
    assert (record.jacobian <= record.bound * (1 + 1e-6)).all()
    # Of four steps and of five, which masks leave.
    np.testing.assert_allclose(record.bound[:, 0], norm ** record.live.sum(1), rtol=1e-5)
    sigmoid = elman(activation="sigmoid")
    record = gradient_flow(sigmoid, X, along="time", layer="rnn")
    assert record.factor == pytest.approx(np.linalg.norm(sigmoid.get_weights()[1], 2) / 4)
    assert (record.jacobian <= record.bound * (1 + 1e-6)).all()


def test_a_compiled_loss_and_one_that_is_given(measured):
    model, _ = measured
    y = RNG.normal(size=(3, 6, 2)).astype("float32")
    head = model.get_weights()[-1]
    outputs = ops.convert_to_numpy(model(X))
    # At the last step the gradient of the loss is that of one output. A mean over 15 steps counts
    # without those that are masked, and three times, for three examples.
    rows = [3 / 15 * (o - t) @ head.T for o, t in zip(outputs[1:, -1], y[1:, -1], strict=True)]
    with pytest.raises(ValueError, match="`loss` must be given"):
        gradient_flow(model, X, y)
    given = gradient_flow(model, X, y, loss="mse")
    np.testing.assert_allclose(given.gradient[1:, -1], np.linalg.norm(rows, axis=1), rtol=1e-4)
    model.compile(loss="mse")
    compiled = gradient_flow(model, X, y)
    np.testing.assert_allclose(compiled.gradient, given.gradient, rtol=1e-4)


@slow_on("jax", "tensorflow")
def test_the_product_of_the_lecture_neither_underflows_nor_overflows():
    """Its slide has 3.47e22 for 1.5, which is rounded wrongly."""
    exact = {0.5: 2.938736e-39, 0.9: 1.390085e-06, 1.1: 1.987301e05, 1.5: 3.464824e22}
    np.testing.assert_allclose(gradient_product([*exact], 128), [*exact.values()], rtol=1e-6)
    rnn = layers.SimpleRNN(1, activation="linear", return_state=True)
    inputs = keras.Input((128, 1))
    model = keras.Model(inputs, rnn(inputs))
    for w in (0.5, 1.5) if keras.backend.backend() == "torch" else [0.5]:
        rnn.cell.recurrent_kernel.assign([[w]])
        record = gradient_flow(model, np.zeros((1, 128, 1), "float32"))
        products = gradient_product(w, 128) ** (np.arange(128, -1, -1) / 128)
        np.testing.assert_allclose(record.jacobian[0], products, rtol=1e-4)
        np.testing.assert_allclose(record.bound[0], products, rtol=1e-5)
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 1"):
        gradient_product(0.5, 0)


@pytest.mark.parametrize("shortcut", ["add", "none"])
def test_the_same_in_depth(shortcut):
    branch = layers.Dense(4, activation="tanh", name="branch")
    block = RecurrentResidual(
        branch, steps=5, shortcut=shortcut, residual_scale=0.5, backprop_steps=3, name="block"
    )
    model = keras.Sequential([keras.Input((4,)), block])
    for weight in model.weights:
        weight.assign(np.random.default_rng(2).normal(size=weight.shape))
    x = RNG.normal(size=(2, 4)).astype("float32")
    record = gradient_flow(model, x, along="depth")
    kernel, bias = map(np.array, model.get_weights())
    kept = 1.0 if shortcut == "add" else 0.5
    assert (record.layer, record.along) == ("block", "depth")
    assert record.factor == pytest.approx(kept + 0.5 * np.linalg.norm(kernel, 2))
    assert (record.jacobian <= record.bound * (1 + 1e-6)).all()
    for n, h in enumerate(x.astype("float64")):
        slopes = []
        for _ in range(5):
            y = np.tanh(h @ kernel + bias)
            slopes.append(kept * np.eye(4) + 0.5 * (kernel * (1 - y**2)).T)
            h = kept * h + 0.5 * y
        gradient, jacobian = 2 / 4 * h, np.eye(4)
        for t in range(5, -1, -1):
            # The gradient of the loss arrives at the third state from the end, and ends there.
            expected = np.linalg.norm(gradient) if t >= 2 else 0
            assert record.gradient[n, t] == pytest.approx(expected, rel=1e-4)
            assert record.jacobian[n, t] == pytest.approx(np.linalg.norm(jacobian, 2), rel=1e-4)
            if t:
                gradient, jacobian = gradient @ slopes[t - 1], jacobian @ slopes[t - 1]


def test_a_jordan_network_and_truncation():
    """y_t = σ(V φ(U x_t + W y_{t−1})), by the layer of this library."""
    cell = JordanCell(3, 2, use_bias=False)
    inputs = keras.Input((6, 2))
    masked = layers.Masking()(inputs)
    rnn = Recurrent(cell, truncate=2, name="jordan")
    model = keras.Model(inputs, rnn(masked, initial_state=ops.zeros_like(masked)[:, 0]))
    rng = np.random.default_rng(4)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    record = gradient_flow(model, X)
    _, recurrent, output = (np.array(w) for w in model.get_weights())
    norm = np.linalg.norm(recurrent, 2) * np.linalg.norm(output, 2) / 4
    assert record.factor == pytest.approx(norm)
    assert (record.jacobian <= record.bound * (1 + 1e-6)).all()
    np.testing.assert_array_equal(record.live, (X != 0).any(-1))
    # Of six steps the gradient of the last output arrives at the fourth, which a masked step among
    # them moves by one; the padding after the last step hands it on.
    zero = record.gradient == 0
    np.testing.assert_array_equal(zero[2], [True] * 4 + [False] * 3)
    np.testing.assert_array_equal(zero[0], [True] * 2 + [False] * 5)
    np.testing.assert_array_equal(zero[1], [True] * 5 + [False] * 2)


@slow_on("jax", "tensorflow")
def test_large_states_and_steps_of_their_own():
    """Power iterations agree with the whole matrix, on weights that differ from step to step."""
    block = RecurrentResidual(
        layers.Dense(4, activation="tanh"), steps=3, unshare=("dense",), residual_scale="learned"
    )
    block.branch.name = "dense"
    model = keras.Sequential([keras.Input((130, 4)), block])
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    x = rng.normal(size=(2, 130, 4)).astype("float32")
    large = gradient_flow(model, x, along="depth")
    assert large.factor is None
    assert large.bound is None
    # Each place is by itself: the norm of the whole is the largest of theirs.
    for n in range(2):
        small = keras.Sequential([keras.Input((1, 4)), block])
        each = gradient_flow(small, x[n][:, None], along="depth").jacobian
        np.testing.assert_allclose(large.jacobian[n], each.max(0), rtol=0.03)


def test_what_it_refuses(measured):
    model, _ = measured
    with pytest.raises(ValueError, match=r"recurs in depth, a RecurrentResidual, .* are: none"):
        gradient_flow(model, X, along="depth")
    with pytest.raises(
        ValueError, match=r"a layer 'lstm' that recurs in time, an RNN.* are: 'rnn'"
    ):
        gradient_flow(model, X, layer="lstm")
    with pytest.raises(ValueError, match="`along` must be one of 'time', 'depth'"):
        gradient_flow(model, X, along="width")


class Shifted(layers.SimpleRNNCell):
    """What a step does depends on more than one input and the state."""

    def call(self, inputs, states, training=False, constants=None):
        inputs = sum(keras.tree.flatten([inputs, constants or []]))
        return super().call(inputs, states, training=training)


@pytest.mark.parametrize("given", ["constants", "several"])
def test_a_step_of_more_than_one_input_is_refused(given):
    inputs = keras.Input((6, 2))
    rnn = Recurrent(Shifted(2), name="rnn")
    if given == "constants":
        outputs = rnn(inputs, constants=[inputs[:, 0]])
    else:
        rnn.cell.build((None, 2))
        outputs = rnn([inputs, inputs])
    with pytest.raises(ValueError, match=f"'rnn' is given .*{given}"):
        gradient_flow(keras.Model(inputs, outputs), X)


def test_tables_and_the_picture(measured, tmp_path):
    pytest.importorskip("matplotlib")
    _, record = measured
    rows = record.table()
    assert [row["step"] for row in rows] == list(range(7))
    assert rows[-1]["jacobian"] == rows[-1]["bound"] == 1
    record.to_csv(tmp_path / "flow.csv")
    assert len((tmp_path / "flow.csv").read_text().splitlines()) == 8
    axes = record.plot(label="tanh")
    record.plot(tmp_path / "flow.png", axes, label="again")
    assert [len(axis.lines) for axis in axes] == [2, 4]
    assert (tmp_path / "flow.png").stat().st_size > 10_000
    assert "rnn, 6 steps in time" in repr(record)
