"""Recurrent where keras.layers.RNN (3.15) goes wrong, by the public threads, and beside them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import PeepholeLSTMCell, Recurrent
from tests.gradients import computed, gradients

BACKEND = keras.backend.backend()
LOOPS = pytest.mark.parametrize("loop", ["scan", "unroll"])
X = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32")
MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1], [0, 1, 0, 1, 0]], bool)


def numpy(x):
    return keras.tree.map_structure(ops.convert_to_numpy, x)


def run(layer, x, mask=None, **call):
    """What the layer gives; on JAX compiled as one."""
    return computed(layer, x, mask=None if mask is None else ops.convert_to_tensor(mask), **call)


def alone(layer, **call):
    """What the layer gives for each example's valid steps alone, one example at a time."""
    return [run(layer, X[i : i + 1, on], **call) for i, on in enumerate(MASK)]


class Plain(keras.layers.Layer):
    """A cell whose first state, of rank 3, is not its output, of another size."""

    def __init__(self, shape=(4, 2), **kwargs):
        super().__init__(**kwargs)
        self.state_size = [tuple(shape), 1]
        self.output_size = 3

    def call(self, inputs, states):
        maps, count = states
        maps = 0.5 * maps + inputs[:, None, :]
        return ops.concatenate([ops.sum(maps, axis=1), count], axis=-1), [maps, count + 1]


@LOOPS
def test_a_masked_step_repeats_the_output_and_keeps_states_of_any_rank(loop):
    """https://github.com/keras-team/keras/issues/11472 and …/11498."""
    layer = Recurrent(Plain(), return_sequences=True, return_state=True, loop=loop)
    outputs, maps, count = run(layer, X, MASK)
    np.testing.assert_array_equal(count[:, 0], MASK.sum(axis=1))
    last = np.zeros((3, 3))
    for t in range(5):
        expected = np.where(MASK[:, t : t + 1], outputs[:, t], last)
        np.testing.assert_array_equal(outputs[:, t], expected)
        last = outputs[:, t]
    if BACKEND != "jax" or loop == "scan":
        for i, (of_one, states, _) in enumerate(alone(layer)):
            np.testing.assert_allclose(outputs[i, MASK[i]], of_one[0], atol=1e-6)
            np.testing.assert_allclose(maps[i], states[0], atol=1e-6)


@LOOPS
def test_zeros_for_masked_steps_are_for_sequences_alone(loop):
    """https://github.com/keras-team/keras/issues/17596."""
    cell = keras.layers.SimpleRNNCell(4)
    options = {"zero_output_for_mask": True, "loop": loop}
    outputs = run(Recurrent(cell, return_sequences=True, **options), X, MASK)
    last = run(Recurrent(cell, **options), X, MASK)
    assert (outputs[~MASK] == 0).all()
    for i, on in enumerate(MASK):
        np.testing.assert_allclose(last[i], outputs[i, on][-1], atol=1e-6)
        assert np.abs(last[i]).max() > 0


@LOOPS
def test_bidirectional_reads_what_is_not_masked_in_both_directions(loop):
    """https://github.com/keras-team/keras/pull/3662."""
    inner = Recurrent(keras.layers.GRUCell(3), return_sequences=True, loop=loop)
    layer = keras.layers.Bidirectional(inner)
    outputs = run(layer, X, MASK)
    assert (outputs[~MASK] == 0).all()
    for i in range(1 if BACKEND == "jax" else 3):
        of_one = run(layer, X[i : i + 1, MASK[i]])
        np.testing.assert_allclose(outputs[i, MASK[i]], of_one[0], atol=1e-5)


@pytest.mark.parametrize("mask", [None, MASK], ids=["plain", "masked"])
def test_both_loops_truncate_alike(mask):
    layer = Recurrent(keras.layers.SimpleRNNCell(3), return_sequences=True)
    layer.build(X.shape)
    mask = mask if mask is None else ops.convert_to_tensor(mask)
    found = {}
    for layer.loop, layer.truncate in (("scan", 2), ("unroll", 2), ("unroll", None)):
        run = gradients(lambda x: layer(x, mask=mask), layer.trainable_variables, X)[1]
        found[layer.loop, layer.truncate] = np.concatenate([g.ravel() for g in run])
    np.testing.assert_allclose(found["scan", 2], found["unroll", 2], atol=1e-5)
    assert np.abs(found["unroll", None] - found["unroll", 2]).max() > 1e-3


class FromOne(keras.layers.SimpleRNNCell):
    """A cell whose first state is 1."""

    def get_initial_state(self, batch_size=None):
        return [ops.ones((batch_size, self.units))]


def test_reset_state_gives_the_cells_own_first_states():
    """https://github.com/tensorflow/tensorflow/issues/28614, keras-team/keras/issues/20327."""
    layer = Recurrent([keras.layers.LSTMCell(3), FromOne(2)], stateful=True)
    first, second = numpy(layer(X)), numpy(layer(X))
    assert np.abs(first - second).max() > 1e-3
    (h, c), last = numpy(keras.tree.map_structure(lambda s: s.value, layer.states))
    layer.reset_state()
    np.testing.assert_array_equal(numpy(layer(X)), first)
    # Begins from what it is given, not again from where it is.
    layer(X)
    layer.reset_state(states=[[h + 1, c], last])
    layer.reset_state(states=[[h * 0, c * 0], np.ones((3, 2))])
    np.testing.assert_array_equal(numpy(layer(X)), first)
    with pytest.raises(ValueError, match=r"^The states of .* must have the shapes[^\n]*$"):
        layer.reset_state(states=[[h, c], np.ones((3, 4))])
    with pytest.raises(ValueError, match="`stateful=True`"):
        Recurrent(FromOne(2)).reset_state(states=[last])


class Attending(keras.layers.Layer):
    """A cell with several inputs a step, and constants."""

    state_size = 2

    def call(self, inputs, states, constants=None, training=False):
        y = inputs["a"] + 2 * inputs["b"][0] + states[0]
        return (y if constants is None else y * constants), [y]


def test_constants_and_several_inputs_a_step():
    """https://github.com/keras-team/keras/issues/11172 and …/16103."""
    inputs = {"a": keras.Input((None, 2)), "b": [keras.Input((None, 2))]}
    scale = keras.Input((2,))
    outputs = Recurrent(Attending(), return_sequences=True)(inputs, constants=scale)
    model = keras.Model([inputs, scale], outputs)
    values = [{"a": X, "b": [X + 1]}, X[:, 0]]
    want = np.cumsum(3 * X + 2, axis=1) * X[:, :1]
    np.testing.assert_allclose(
        computed(model, keras.tree.map_structure(ops.convert_to_tensor, values)), want, atol=1e-5
    )
    masked = Recurrent(Attending())({"a": X, "b": [X]}, mask=[MASK, [MASK]])
    np.testing.assert_allclose(numpy(masked), (3 * X * MASK[..., None]).sum(axis=1), atol=1e-5)


@pytest.mark.neutral
def test_a_clone_keeps_all_options():
    """https://github.com/keras-team/keras/issues/21533."""
    options = {"truncate": 3, "loop": "scan", "zero_output_for_mask": True, "stateful": True}
    cell = PeepholeLSTMCell(3, dropout=0.1, implementation=1)
    inputs = keras.Input((5, 2), batch_size=3)
    model = keras.Model(inputs, Recurrent(cell, **options)(inputs))
    copy = keras.models.clone_model(model).layers[1]
    assert {name: getattr(copy, name) for name in options} == options
    assert copy.cell.implementation == 1
    both = keras.layers.Bidirectional(Recurrent(cell, **options))
    assert (both.backward_layer.loop, both.backward_layer.truncate) == ("scan", 3)


def test_a_mask_counts_also_where_an_initial_state_is_given():
    """Keras hands on a tensor's mask only where the call has no other tensor."""
    tokens = np.array([[3, 1, 2, 0, 0], [0, 0, 2, 3, 1]])
    embedding = keras.layers.Embedding(4, 2, mask_zero=True)
    inputs, state = keras.Input((5,), dtype="int32"), keras.Input((3,))
    layer = Recurrent(keras.layers.SimpleRNNCell(3))
    model = keras.Model([inputs, state], layer(embedding(inputs), initial_state=[state]))
    first = np.ones((2, 3), "float32")
    got = numpy(model([tokens, first]))
    for i in range(2):
        x = numpy(embedding(tokens[i : i + 1, tokens[i] > 0]))
        np.testing.assert_allclose(got[i], numpy(layer(x, initial_state=first[:1]))[0], atol=1e-6)


def test_the_mask_of_reversed_outputs_is_reversed():
    masking = keras.layers.Masking()
    x = X * MASK[..., None]
    after = Recurrent(FromOne(2), go_backwards=True, return_sequences=True)(masking(x))
    mask = keras_private.get_mask(after)
    np.testing.assert_array_equal(numpy(mask), MASK[:, ::-1])


def test_states_go_on_through_fit_evaluate_and_predict():
    """States live in no weight, and on JAX Keras drops them after every batch, silently."""
    inputs = keras.Input((5, 2), batch_size=1)
    layer = Recurrent(FromOne(1), stateful=True, return_sequences=True)
    model = keras.Model(inputs, layer(inputs))
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=BACKEND == "tensorflow")
    long = Recurrent(layer.cell, return_sequences=True)
    want = run(long, X.reshape(1, 15, 2)).reshape(3, 5, 1)
    np.testing.assert_allclose(model.predict(X, batch_size=1, verbose=0), want, atol=1e-6)
    options = {"batch_size": 1, "verbose": 0}
    layer.reset_state()
    assert model.evaluate(X, want, **options) < 1e-10
    layer.reset_state()
    history = model.fit(X, want, shuffle=False, **options)
    assert history.history["loss"][0] < 1e-10
    np.testing.assert_allclose(numpy(layer.states[0].value), want[-1, -1:], atol=1e-6)
    assert len(model.get_weights()) == 3
    with pytest.raises(ValueError, match=r"(?s)stateful for batches of 1, but this one has 3"):
        layer(X)


def test_states_stay_in_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        ones = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
        cell = keras.layers.SimpleRNNCell(1, activation="linear", **ones)
        layer = Recurrent([cell], return_state=True, loop="scan")
        # In bfloat16 256 + 1 is 256.
        output, state = run(layer, np.ones((1, 300, 1), "float32"))
        own = Recurrent(PeepholeLSTMCell(2), return_state=True)(keras.Input((5, 2)))
    finally:
        keras.config.set_dtype_policy("float32")
    assert state.dtype == "float32"
    assert state == 300
    assert str(output.dtype) == "bfloat16"
    assert [x.dtype for x in own] == ["bfloat16", "float32", "float32"]


class Noisy(keras.layers.Layer):
    """A cell of layers: one of them is random, one has a loss."""

    state_size = 2

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = keras.layers.Dropout(0.5, seed=1)
        self.dense = keras.layers.Dense(
            2, kernel_initializer="identity", activity_regularizer=keras.regularizers.L2(1.0)
        )

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs, states, training=False):
        y = self.dropout(self.dense(inputs), training=training)
        return y, [y]


@LOOPS
def test_layers_in_a_cell_draw_anew_in_each_step_and_add_their_losses(loop):
    layer = Recurrent(Noisy(), return_sequences=True, loop=loop)
    x = np.ones((2, 8, 2), "float32")
    once, again = numpy(layer(x, training=True)), numpy(layer(x, training=True))
    assert set(np.unique(once)) == {0, 2}
    for drawn in (once, again):
        assert len({step.tobytes() for step in drawn.swapaxes(0, 1)}) > 2
    assert np.abs(once - again).max() > 0
    # The sum of squares over the batch's size, for every step.
    np.testing.assert_allclose(numpy(sum(layer.losses)), 8 * 2, rtol=1e-5)


def test_sequences_of_no_step_train_and_give_the_first_states():
    inputs = keras.Input((None, 2))
    sequence = Recurrent(PeepholeLSTMCell(3), return_sequences=True, truncate=2)(inputs)
    last, state = Recurrent(FromOne(2), return_state=True)(sequence)
    model = keras.Model(inputs, [keras.layers.Dense(2)(last), state])
    last, state = model.predict(X[:, :0], verbose=0)
    assert (last == 0).all()
    assert (state == 1).all()
    model.compile(keras.optimizers.SGD(0.1), ["mse", None])
    *before, _, bias = model.get_weights()
    model.train_on_batch(X[:, :0], np.ones((3, 2)))
    *after, _, new_bias = model.get_weights()
    for weight, old in zip(after, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert (new_bias > bias).all()
    model.train_on_batch(X, np.ones((3, 2)))
    for weight, old in zip(model.get_weights(), before, strict=False):
        assert np.abs(weight - old).max() > 0


@pytest.mark.skipif(BACKEND != "tensorflow", reason="others know every length")
def test_a_length_may_be_known_only_when_the_graph_runs():
    import tensorflow as tf

    below = Recurrent(PeepholeLSTMCell(3), return_sequences=True, truncate=2)
    above = Recurrent(FromOne(2))

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = above(below(x))
            loss = tf.reduce_sum(y**2)
        return y, tape.gradient(loss, x)

    graph = tf.function(run, input_signature=[tf.TensorSpec((None, None, 2))])
    for got, want in zip(graph(X), run(tf.constant(X)), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
    last, gradient = graph(X[:, :0])
    assert not np.any(last)
    assert gradient.shape == (3, 0, 2)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("options", "shape", "call", "words"),
    [
        ({}, (3, 5), {}, ("features", "(batch, time, features)", "(3, 5)")),
        ({}, (3, 5, 2), {"mask": np.ones((3, 4), bool)}, ("mask", "(3, 5)", "(3, 4)")),
        ({}, (3, 5, 2), {"initial_state": [np.ones((3, 4))]}, ("states", "(None, 2)", "(3, 4)")),
        (
            {},
            (3, 5, 2),
            {"initial_state": [np.ones((3, 2))] * 2},
            ("states", "(None, 2)", "(3, 2)"),
        ),
        ({}, (3, 5, 2), {"constants": np.ones(2)}, ("constants", "FromOne")),
        ({"loop": "unroll"}, (3, None, 2), {}, ("unroll", "(3, None, 2)", "'scan'")),
        ({"stateful": True}, (None, 5, 2), {}, ("stateful", "(None, 5, 2)")),
    ],
)
def test_bad_input_is_one_sentence(options, shape, call, words):
    layer = Recurrent(FromOne(2), **options)
    x = keras.Input(batch_shape=shape) if None in shape else np.ones(shape, "float32")
    with pytest.raises(ValueError, match=words[0]) as refused:
        layer(x, **call)
    lines = str(refused.value).splitlines()
    assert any(all(word in line for word in words) for line in lines), lines
