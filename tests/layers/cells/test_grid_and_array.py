"""GridLSTMCell and ArrayLSTMCell against NumPy, and what they become in special cases."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from tests.gradients import computed

M, N, STEPS = 3, 4, 5


def weights_of(cell):
    return {w.name: ops.convert_to_numpy(w).astype("float64") for w in cell.weights}


@pytest.mark.neutral
def test_counts_without_biases():
    cell = layers.GridLSTMCell(N, 2, use_bias=False)
    cell.build((None, M))
    assert cell.count_params() == 2 * 16 * N * N + 2 * M * N


@pytest.mark.neutral
def test_forget_gates_begin_open():
    cell = layers.ArrayLSTMCell(N, 2, "attention")
    cell.build((None, M))
    want = np.zeros((4, 2 * N))
    want[1] = 1
    np.testing.assert_array_equal(ops.convert_to_numpy(cell.bias).reshape(4, -1), want)
    grid = layers.GridLSTMCell(N, unit_forget_bias=False, bias_initializer="ones")
    grid.build((None, M))
    assert all((value == 1).all() for name, value in weights_of(grid).items() if "bias" in name)


def test_one_lane_is_an_lstm():
    lstm = keras.layers.LSTMCell(N)
    x = np.random.default_rng(0).normal(size=(2, STEPS, M)).astype("float32")
    want = computed(keras.layers.RNN(lstm, return_sequences=True), x)
    for select in ("sum", "pool", "stochastic"):
        cell = layers.ArrayLSTMCell(N, 1, select)
        cell.build((None, M))
        cell.set_weights(lstm.get_weights()[:3])
        got = computed(layers.Recurrent(cell, return_sequences=True), x, training=True)
        np.testing.assert_allclose(got, want, atol=1e-6)


def test_in_one_dimension_a_grid_is_a_highway_network():
    """With coupled gates, f = 1 − i, an open output gate, and h = m, as of values of at least 0."""
    depth, rng = 3, np.random.default_rng(0)
    cell = layers.GridLSTMCell(N, depth, activation="relu")
    cell.build((None, N))
    x = np.abs(rng.normal(size=(2, 1, N))).astype("float32")
    cell.kernel.assign(np.hstack([np.eye(N), np.eye(N)]))
    cell.bias.assign(np.zeros(2 * N))
    want = ops.convert_to_tensor(x[:, 0])
    for i in range(depth):
        highway = layers.Highway(keras.layers.Dense(N, "relu"))
        highway.build((None, N))
        transform, b, gate, b_gate = (0.5 * rng.normal(size=w.shape) for w in highway.weights)
        highway.set_weights([transform, b, gate, b_gate])
        want = highway(want)
        gates = np.hstack([gate, -gate, transform, 0 * gate])
        kernel, bias = cell.grid[i]["depth"]
        kernel.assign(np.vstack([0 * gates, gates]))  # Nothing of time's h.
        bias.assign(np.hstack([b_gate, -b_gate, b, 0 * b + 50]))
    np.testing.assert_allclose(
        computed(layers.Recurrent(cell), x), ops.convert_to_numpy(want), atol=1e-6
    )


@pytest.mark.parametrize("select", ["pool", "stochastic"])
def test_drawn_lanes_have_the_expectation_of_inference_and_differ_from_step_to_step(select):
    keras.utils.set_random_seed(0)
    rng, rows = np.random.default_rng(0), 4000
    layer = layers.Recurrent(
        layers.ArrayLSTMCell(N, 3, select), return_sequences=True, return_state=True
    )
    layer.build((None, STEPS, M))
    for weight in layer.weights:
        weight.assign(0.7 * rng.normal(size=weight.shape))
    # What a unit does depends on no other one, and all rows are of one and the same example.
    layer.cell.recurrent_kernel.assign(np.zeros((N, 12 * N)))
    x, *states = (
        np.repeat(rng.normal(size=(1, *shape)), rows, 0).astype("float32")
        for shape in ((STEPS, M), (N,), (3 * N,))
    )
    states.append(np.zeros((rows, N), "float32"))
    drawn = computed(layer, x, initial_state=states, training=True)[0]
    calm = computed(layer, x[:1], initial_state=[s[:1] for s in states])[0]
    # Of the first step the mean is that of inference, within four standard errors.
    error = drawn[:, 0].std(0) / rows**0.5
    assert (error > 1e-4).all()
    assert (np.abs(drawn[:, 0].mean(0) - calm[0, 0]) < 4 * error).all()
    # Draws of two steps are independent, as is what one unit draws of what another does.
    one = computed(layer, x[:, :1], initial_state=states, training=True)[0][:, 0]
    assert len(np.unique(one[:, 0].round(4))) == 3, "one of three lanes"
    pairs = np.unique(drawn[:, :2, 0].round(4), axis=0)
    assert len(pairs) == 9, "of one of three lanes, then of one of three"
    assert abs(np.corrcoef(one[:, 0], one[:, 1])[0, 1]) < 0.06
