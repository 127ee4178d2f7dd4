"""Every recurrent cell against NumPy: outputs, states, and gradients back through time by hand.

A new cell is an entry of `CASES`, with its pair of functions as `numpy_cells` describes them.
"""

import dataclasses
import types
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from keras_recres.layers import Recurrent
from tests.gradients import computed, gradients
from tests.layers.cells import numpy_cells
from tests.layers.cells.grid_and_array import Array, Grid, functions
from tests.marks import slow_on

BATCH, STEPS, FEATURES = 4, 6, 3
# One example without a mask, one with padding on the right, on the left, and one with holes.
MASK = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0]])
MASK = MASK.astype(bool)


@dataclasses.dataclass(frozen=True)
class Case:
    """A cell and what it is compared with.

    Attributes:
        make: Function that makes the cell.
        forward: A step in NumPy.
        backward: Its gradient in NumPy.
        count: The cell's parameters for 3 features, by hand.
    """

    make: Callable
    forward: Callable
    backward: Callable
    count: int


CASES = {
    "depth_gated": Case(
        lambda: layers.DepthGatedLSTMCell(2, depth=3),
        *numpy_cells.depth_gated(3),
        4 * (4 + 6 + 2) + 6 + 2 * (4 * (4 + 4 + 2) + 6 + 4 + 6),
    ),
    "depth_gated-input_memory": Case(
        lambda: layers.DepthGatedLSTMCell(2, depth=2, input_memory=True),
        *numpy_cells.depth_gated(2),
        4 * (4 + 6 + 2) + 6 + (6 + 2 + 2 + 6) + 4 * (4 + 4 + 2) + 6 + 4 + 6,
    ),
    "jordan": Case(lambda: layers.JordanCell(5, 2), *numpy_cells.jordan(0), 3 * 5 + 20 + 5 + 2),
    "jordan-decay": Case(
        lambda: layers.JordanCell(5, 2, decay=0.4), *numpy_cells.jordan(0.4), 3 * 5 + 20 + 5 + 2
    ),
    "peephole_lstm": Case(
        lambda: layers.PeepholeLSTMCell(5),
        numpy_cells.peephole_lstm,
        numpy_cells.peephole_lstm_back,
        4 * (25 + 15 + 5) + 15,
    ),
    "grid_lstm": Case(
        lambda: layers.GridLSTMCell(5, 2),
        *functions(Grid, depth=2),
        2 * 2 * 4 * (2 * 25 + 5) + 2 * (15 + 5),
    ),
    "grid_lstm-tied-printed": Case(
        lambda: layers.GridLSTMCell(5, 3, tied=True, priority=False, output="tanh_om"),
        *functions(Grid, depth=3, tied=True, priority=False, output="tanh_om"),
        2 * 4 * (2 * 25 + 5) + 2 * (15 + 5),
    ),
    **{
        f"array_lstm-{select}": Case(
            lambda select=select: layers.ArrayLSTMCell(5, 3, select),
            *functions(Array, lanes=3, select=select),
            3 * gates * (25 + 15 + 5),
        )
        for select, gates in (
            *(("sum", 4), ("attention", 5), ("max", 5)),
            *(("pool", 4), ("stochastic", 4)),
        )
    },
}
# Where each is compiled one of a kind is enough at first.
LATER = (
    "grid_lstm-tied-printed",
    *(f"array_lstm-{select}" for select in ("sum", "max", "pool", "stochastic")),
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[slow_on("tensorflow", "jax")] * (n in LATER)) for n in CASES],
)
def case(request):
    """A cell with weights of which none is 0, in a Recurrent, and values to run it on."""
    entry = CASES[request.param]
    rng = np.random.default_rng(0)
    layer = Recurrent(entry.make(), return_sequences=True, return_state=True)
    layer.build((None, STEPS, FEATURES))
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.6, weight.shape))
    sizes = [spec.shape[1:] for spec in layer.state_specs()]
    return types.SimpleNamespace(
        entry=entry,
        layer=layer,
        weights={name(w, layer): ops.convert_to_numpy(w).astype("float64") for w in layer.weights},
        # In training, too, but for cells that draw there.
        training=request.param not in ("array_lstm-pool", "array_lstm-stochastic"),
        x=rng.normal(size=(BATCH, STEPS, FEATURES)).astype("float32"),
        states=[rng.normal(0, 0.5, (BATCH, *size)).astype("float32") for size in sizes],
    )


def name(weight, layer):
    """A weight's name in the cell, with the name of the part of the cell that it belongs to."""
    return weight.path.rpartition(f"{layer.cell.name}/")[2]


def wide(condition, x):
    return condition.reshape((-1,) + (1,) * (x.ndim - 1))


def reference(case, mask, states, truncate=None):
    """The flat outputs and last states, and gradients of Σ cos(i) outputs_i, in float64."""
    entry, weights = case.entry, case.weights
    output, outputs, caches, kept = 0, [], [], []
    counts = np.zeros(BATCH, int)
    for t in range(STEPS):
        new_output, new, cache = entry.forward(weights, case.x[:, t].astype("float64"), states)
        on = mask[:, t]
        cut = on & (counts > 0) & (counts % truncate == 0 if truncate else False)
        counts += on
        output = np.where(wide(on, new_output), new_output, output)
        states = [np.where(wide(on, n), n, s) for n, s in zip(new, states, strict=True)]
        outputs.append(output)
        caches.append(cache)
        kept.append((on, cut))
    parts = [np.stack(outputs, axis=1), *states]
    flat = np.concatenate([part.ravel() for part in parts])
    seeds = np.split(np.cos(np.arange(flat.size)), np.cumsum([p.size for p in parts])[:-1])
    d_outputs, *d_states = (d.reshape(p.shape) for d, p in zip(seeds, parts, strict=True))
    d_output, d_x = 0, np.zeros(case.x.shape)
    d_weights = {key: np.zeros(weight.shape) for key, weight in weights.items()}
    for t in reversed(range(STEPS)):
        on, cut = kept[t]
        d_output = d_output + d_outputs[:, t]
        into = [wide(on, d) * d for d in d_states]
        through = wide(on, d_output) * d_output
        d_x[:, t], before, d_w = entry.backward(weights, caches[t], through, into)
        d_output = wide(~on, d_output) * d_output
        d_states = [
            wide(~on, d) * d + wide(~cut, b) * b for d, b in zip(d_states, before, strict=True)
        ]
        for key, d in d_w.items():
            d_weights[key] += d
    return flat, d_weights, d_x, d_states


@pytest.mark.parametrize(
    ("loop", "truncate", "mask"),
    [
        ("scan", None, MASK),
        pytest.param("unroll", 2, MASK, marks=slow_on("jax")),
        ("auto", None, np.ones_like(MASK)),
    ],
    ids=["masked", "truncated", "plain"],
)
def test_outputs_and_gradients_equal_numpys(case, loop, truncate, mask):
    layer = case.layer
    layer.loop, layer.truncate = loop, truncate
    states = [keras.Variable(state) for state in case.states]

    def run(x):
        first = [ops.convert_to_tensor(state) for state in states]
        # Without a mask a cell may take all steps at once.
        masked = None if mask.all() else ops.convert_to_tensor(mask)
        parts = layer(x, initial_state=first, mask=masked, training=case.training)
        return ops.concatenate([ops.reshape(part, (-1,)) for part in parts])

    got, grads = gradients(run, [*layer.weights, *states], case.x)
    want, d_weights, d_x, d_states = reference(case, mask, case.states, truncate)
    np.testing.assert_allclose(got, want, atol=1e-5)
    weights = [name(w, layer) for w in layer.weights]
    names = [*weights, *range(len(states)), "x"]
    wanted = [*(d_weights[w] for w in weights), *d_states, d_x]
    for of, a, b in zip(names, grads, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4, err_msg=str(of))


@slow_on("jax")
def test_it_is_a_cell_of_keras_own_layer(case):
    zeros = [np.zeros(state.shape) for state in case.states]
    want, *_ = reference(case, np.ones_like(MASK), zeros)
    layer = keras.layers.RNN(case.layer.cell, return_sequences=True, return_state=True)
    parts = computed(layer, case.x)
    np.testing.assert_allclose(np.concatenate([p.ravel() for p in parts]), want, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="others have no gradient by hand")
def test_the_gradient_by_hand_has_a_gradient(case):
    import torch

    layer = case.layer
    layer.loop, layer.truncate = "auto", None
    variables = [weight.value for weight in layer.weights]
    found = []
    # Only in training a gradient is by hand.
    for training in (False, case.training):
        x = torch.tensor(case.x, requires_grad=True)
        outputs = layer(x, training=training)[0]
        first = torch.autograd.grad((outputs**2).sum(), [x, *variables], create_graph=True)
        found.append(torch.autograd.grad(sum((g**2).sum() for g in first), [x, *variables]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a loop compiled by XLA")
@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", ["peephole_lstm"], indirect=True)
def test_the_compiled_gradient_is_that_of_the_loop_and_has_a_gradient(case, order):
    import tensorflow as tf

    layer = case.layer
    layer.loop, layer.truncate = "scan", None
    weights = [weight.value for weight in layer.weights]

    def derivatives(x, training):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = sum(tf.reduce_sum(part**2) for part in layer(x, training=training))
            first = inner.gradient(total, [x, *weights])
            if order == 1:
                return first
            square = sum(tf.reduce_sum(g**2) for g in first)
        return outer.gradient(square, [x, *weights])

    # The size of the last batch is open.
    shapes = [tf.TensorSpec((None, *case.x.shape[1:]))]
    found = []
    for training in (False, True):
        graph = tf.function(lambda x, t=training: derivatives(x, t), input_signature=shapes)
        compiled = graph.get_concrete_function().graph.as_graph_def().library.function
        # Only in training a gradient is by hand.
        assert any("_XlaMustCompile" in function.attr for function in compiled) == training
        found.append(graph(tf.constant(case.x, "float32")))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has float64 off by default")
def test_float64_is_computed_in_float64(case):
    """https://github.com/keras-team/keras/issues/23704: Keras' own products are in float32."""
    config = {**case.layer.cell.get_config(), "dtype": "float64"}
    layer = Recurrent(type(case.layer.cell).from_config(config), dtype="float64")
    layer.build(case.x.shape)
    layer.set_weights(case.layer.get_weights())
    x = ops.convert_to_tensor(case.x.astype("float64"), dtype="float64")
    got = ops.convert_to_numpy(layer(x))
    want, *_ = reference(case, np.ones_like(MASK), [np.zeros(s.shape) for s in case.states])
    outputs = want[: BATCH * STEPS * got.shape[-1]].reshape(BATCH, STEPS, -1)
    np.testing.assert_allclose(got, outputs[:, -1], atol=1e-12)


def test_parameters_are_counted_to_the_unit(case):
    assert case.layer.count_params() == case.entry.count


def test_dropout_is_drawn_once_for_all_steps(case):
    if "recurrent_dropout" not in case.layer.cell.get_config():
        pytest.skip("the cell has no dropout")
    config = {**case.layer.cell.get_config(), "dropout": 0.5, "recurrent_dropout": 0.5, "seed": 1}
    layer = Recurrent(type(case.layer.cell).from_config(config), return_sequences=True)
    layer.build(case.x.shape)
    layer.set_weights(case.layer.get_weights())
    still, once, again = (
        ops.convert_to_numpy(layer(case.x, training=training)) for training in (False, True, True)
    )
    np.testing.assert_allclose(still, ops.convert_to_numpy(case.layer(case.x)[0]), atol=1e-6)
    assert np.abs(once - still).max() > 1e-3
    assert np.abs(once - again).max() > 1e-3
