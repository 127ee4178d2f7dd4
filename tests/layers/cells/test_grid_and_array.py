"""GridLSTMCell and ArrayLSTMCell against NumPy, and what they become in special cases."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from tests.gradients import computed, gradients
from tests.layers.cells import grid_and_array as by_hand
from tests.marks import slow_on_tensorflow

M, N, STEPS = 3, 4, 5
CELLS = {
    "grid": (by_hand.Grid, lambda: layers.GridLSTMCell(N, depth=2)),
    "grid_tied_printed": (
        by_hand.Grid,
        lambda: layers.GridLSTMCell(N, depth=3, tied=True, priority=False, output="tanh_om"),
    ),
    **{
        select: (by_hand.Array, lambda select=select: layers.ArrayLSTMCell(N, 3, select))
        for select in ("sum", "attention", "max", "pool", "stochastic")
    },
}
MASKS = {
    "none": None,
    "right": [[1, 1, 1, 0, 0], [1] * 5],
    "left": [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]],
    "holes": [[0, 1, 0, 1, 0], [1, 0, 0, 1, 1]],
}


def weights_of(cell):
    return {w.name: ops.convert_to_numpy(w).astype("float64") for w in cell.weights}


class Case:
    def __init__(self, name):
        self.rng = np.random.default_rng(0)
        reference, make = CELLS[name]
        self.cell = make()
        self.cell.build((None, M))
        for weight in self.cell.weights:
            weight.assign(0.7 * self.rng.normal(size=weight.shape))
        self.reference = reference(self.cell, weights_of(self.cell))
        self.x = self.rng.normal(size=(2, STEPS, M)).astype("float32")
        self.states = [
            self.rng.normal(size=(2, size)).astype("float32") for size in self.cell.state_size
        ]


# On TensorFlow one of each way of selecting is enough at first.
LATER = ("sum", "max", "pool")
PARAMETERS = [pytest.param(name, marks=[slow_on_tensorflow] * (name in LATER)) for name in CELLS]


@pytest.fixture(scope="module", params=PARAMETERS)
def case(request):
    return Case(request.param)


@pytest.mark.parametrize("mask", MASKS)
def test_outputs_and_states_are_those_of_the_equations(case, mask):
    layer = layers.Recurrent(case.cell, return_sequences=True, return_state=True)
    mask = None if MASKS[mask] is None else np.array(MASKS[mask], bool)
    for states in (case.states, None):
        found = computed(layer, case.x, mask=mask, initial_state=states)
        zeros = [np.zeros_like(state, "float64") for state in case.states]
        outputs, last, _ = by_hand.run(case.reference, case.x, states or zeros, mask)
        for got, want in zip(found, [outputs, *last], strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("how", ["whole", "truncated", "masked"])
def test_gradients_are_those_of_backpropagation_through_time(case, how):
    truncate = {"truncate": 2} if how == "truncated" else {}
    mask = np.array(MASKS["holes"], bool) if how == "masked" else None
    layer = layers.Recurrent(case.cell, return_sequences=True, **truncate)
    layer.build(case.x.shape)
    variables = case.cell.trainable_variables
    found, grads = gradients(
        lambda x: layer(x, initial_state=case.states, mask=mask), variables, case.x
    )
    outputs, _, caches = by_hand.run(case.reference, case.x, case.states, mask)
    c = np.cos(np.arange(outputs.size)).reshape(outputs.shape)
    wanted, dx, _ = by_hand.backpropagate(
        case.reference, case.states, caches, c, truncate.get("truncate")
    )
    np.testing.assert_allclose(found, outputs, atol=1e-5)
    assert {v.name for v in variables} == {name for name, g in wanted.items() if g.size}
    for variable, grad in zip(variables, grads, strict=False):
        scale = np.abs(wanted[variable.name]).max()
        np.testing.assert_allclose(grad / scale, wanted[variable.name] / scale, atol=1e-5)
    np.testing.assert_allclose(grads[-1], dx, atol=1e-5 * np.abs(dx).max())


@pytest.mark.neutral
def test_counts():
    def count(cell):
        cell.build((None, M))
        return cell.count_params()

    layer = 2 * 4 * (2 * N * N + N)
    assert count(layers.GridLSTMCell(N, 5)) == 5 * layer + 2 * (M * N + N)
    assert count(layers.GridLSTMCell(N, 5, tied=True)) == layer + 2 * (M * N + N)
    bare = layers.GridLSTMCell(N, 2, use_bias=False)
    assert count(bare) == 2 * 16 * N * N + 2 * M * N
    own = N * N + M * N + N
    for select, each in (("sum", 4), ("pool", 4), ("stochastic", 4), ("attention", 5), ("max", 5)):
        assert count(layers.ArrayLSTMCell(N, 3, select)) == 3 * each * own


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
    case, rows = Case(select), 4000
    x = np.repeat(case.x[:1], rows, 0)
    states = [np.repeat(state[:1], rows, 0) for state in case.states[:2]]
    states.append(np.zeros((rows, N), "float32"))
    layer = layers.Recurrent(case.cell, return_sequences=True, return_state=True)
    drawn = computed(layer, x, initial_state=states, training=True)[0]
    calm = computed(layer, x[:1], initial_state=[s[:1] for s in states])[0]
    # Of the first step the mean is that of inference, within four standard errors.
    error = drawn[:, 0].std(0) / rows**0.5
    assert (error > 1e-4).all()
    assert (np.abs(drawn[:, 0].mean(0) - calm[0, 0]) < 4 * error).all()
    # Draws of two steps are independent, as is what one unit draws of what another does.
    one = computed(layer, x[:, :1], initial_state=states, training=True)[0][:, 0]
    assert len(np.unique(one[:, 0].round(4))) == 3, "one of three lanes"
    pairs = np.unique(np.round(drawn[:, :2, 0], 4), axis=0)
    assert len(pairs) >= 9
    assert abs(np.corrcoef(one[:, 0], one[:, 1])[0, 1]) < 0.06


@pytest.mark.parametrize("case", ["grid_tied_printed", "stochastic"], indirect=True)
def test_a_cell_serves_keras_own_layers_and_survives_a_file(case, tmp_path):
    x = case.x
    want = computed(layers.Recurrent(case.cell), x)
    np.testing.assert_allclose(computed(keras.layers.RNN(case.cell), x), want, atol=1e-6)
    inputs = keras.Input(x.shape[1:])
    both = keras.layers.Bidirectional(layers.Recurrent(case.cell), name="both")
    model = keras.Model(inputs, both(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.get_layer("both").forward_layer.cell.get_config() == case.cell.get_config()
    np.testing.assert_allclose(computed(again, x), computed(model, x), atol=1e-6)


def test_dropout_is_one_mask_for_all_steps_and_none_at_inference(case):
    cell = type(case.cell).from_config(
        {**case.cell.get_config(), "dropout": 0.5, "recurrent_dropout": 0.5, "seed": 1}
    )
    cell.build((None, M))
    cell.set_weights(case.cell.get_weights())
    layer = layers.Recurrent(cell)
    calm, wet = (computed(layer, case.x, training=training) for training in (False, True))
    np.testing.assert_allclose(calm, computed(layers.Recurrent(case.cell), case.x), atol=1e-6)
    assert np.abs(wet - calm).max() > 1e-3


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.GridLSTMCell(0), ["`units`", "0"]),
        (lambda: layers.GridLSTMCell(4, depth=1.5), ["`depth`", "1.5"]),
        (lambda: layers.GridLSTMCell(4, tied="yes"), ["`tied`", "'yes'"]),
        (lambda: layers.GridLSTMCell(4, priority=None), ["`priority`", "None"]),
        (lambda: layers.GridLSTMCell(4, output="tanh"), ["`output`", "'tanh'", "'o_tanh_m'"]),
        (lambda: layers.ArrayLSTMCell(4, lanes=0), ["`lanes`", "0"]),
        (lambda: layers.ArrayLSTMCell(4, 2, "pooled"), ["`select`", "'pooled'", "'pool'"]),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(make, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        make()
    assert all(word in str(refused.value) for word in words), refused.value
