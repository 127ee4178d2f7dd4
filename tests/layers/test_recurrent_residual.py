"""RecurrentResidual against an explicit loop, in values and gradients, for every option."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from keras import ops

from keras_recres import backend
from keras_recres.backend import keras_private
from keras_recres.layers import RecurrentResidual
from tests.gradients import computed, gradients
from tests.marks import slow_on, slow_on_tensorflow

BACKEND = keras.backend.backend()
# TensorFlow and PyTorch train as well without compiling, which takes longer than these trainings.
JIT = BACKEND == "jax"
WIDTH = 5
# TensorFlow's loop takes four steps a turn: fewer than nine would not enter it twice.
TWO_TURNS = 9 if BACKEND == "tensorflow" else 4
OPTIONS = {
    "plain": {},
    "no_shortcut": {"shortcut": "none"},
    "fixed_scale": {"residual_scale": 0.3},
    "fixed_scale_no_shortcut": {"residual_scale": 0.3, "shortcut": "none"},
    "learned_scale": {"residual_scale": "learned"},
    "grown": {"residual_scale": "grown"},
    "grown_truncated": {"residual_scale": "grown", "shortcut": "none", "backprop_steps": 1},
    "unshared_norm": {"unshare": ("norm",)},
    "unshared_name": {"unshare": "mix"},
    "step_embedding": {"step_embedding": True},
    "inject_add": {"inject_input": "add"},
    "inject_concat": {"inject_input": "concat"},
    "truncated": {"backprop_steps": 2},
    "truncated_inject": {"backprop_steps": 1, "inject_input": "add"},
    "remat": {"remat": True},
    "states": {"return_states": True},
    "remat_unshared_learned": {"remat": True, "unshare": ("norm",), "residual_scale": "learned"},
}
# Together they have every option: JAX compiles the values and gradients of each.
COMPILED = ("grown_truncated", "step_embedding", "truncated_inject", "inject_concat", "states")
COMPILED += ("remat_unshared_learned",)


def branch(width=WIDTH):
    return keras.Sequential(
        [
            keras.layers.LayerNormalization(name="norm"),
            keras.layers.Dense(width, activation="tanh", name="mix"),
        ],
        name="branch",
    )


def randomised(layer, input_shape, seed=0):
    """Builds a layer and gives every weight a value that no other has."""
    rng = np.random.default_rng(seed)
    with keras_private.values_given_later():
        layer.build(input_shape)
        for weight in layer.weights:
            weight.assign(rng.normal(0.3, 0.5, weight.shape))
    return layer


def reference(layer, x, steps=None):
    """The recurrence as its docstring's equations, with plain calls of plain layers."""
    steps = steps or layer.steps
    norm, mix = layer.branch.layers
    own = {
        v.path: per_step
        for v, per_step in zip(layer.own_variables, layer.own_per_step, strict=True)
    }

    def weight(variable, t):
        per_step = own.get(variable.path)
        return variable if per_step is None else per_step[min(t, layer.steps - 1)]

    def f(z, t):
        mean = ops.mean(z, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(z - mean), axis=-1, keepdims=True)
        z = (z - mean) / ops.sqrt(variance + norm.epsilon)
        z = z * weight(norm.gamma, t) + weight(norm.beta, t)
        return ops.tanh(ops.matmul(z, weight(mix.kernel, t)) + weight(mix.bias, t))

    x0, states = x, []
    for t in range(steps):
        s = min(t, layer.steps - 1)
        z = x
        if layer.step_embedding:
            z = z + layer.embedding[s]
        if layer.inject_input == "add":
            z = z + x0
        if layer.inject_input == "concat":
            z = ops.concatenate([z, x0], axis=-1)
        y = f(z, t)
        scale = layer.residual_scale or 1.0
        if isinstance(scale, str):
            scale = layer.scale[s - layer.first_scale] if s >= layer.first_scale else 1.0
        x = x + scale * (y if layer.shortcut == "add" else y - x)
        if layer.backprop_steps and t == steps - layer.backprop_steps - 1:
            x = ops.stop_gradient(x)
        states.append(x)
    return ops.stack(states) if layer.return_states else x


def assert_same(got, want, names):
    """Outputs and gradients as `gradients` gives them."""
    np.testing.assert_allclose(got[0], want[0], atol=1e-5)
    for name, a, b in zip(names, got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "option", [pytest.param(o, marks=[slow_on("jax")] * (o not in COMPILED)) for o in OPTIONS]
)
def test_values_and_gradients_equal_an_explicit_loop(option):
    layer = RecurrentResidual(branch(), steps=TWO_TURNS, **OPTIONS[option])
    randomised(layer, (None, WIDTH))
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype("float32")
    variables = layer.trainable_variables
    names = [*(v.path for v in variables), "input"]
    want = gradients(lambda x: reference(layer, x), variables, x)
    for layer.loop in ("unroll", "scan"):
        assert_same(gradients(layer, variables, x), want, names)


def test_a_call_may_say_how_many_steps_gradients_flow_through():
    layer = RecurrentResidual(branch(), steps=4, backprop_steps=3, inject_input="add")
    randomised(layer, (None, WIDTH))
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype("float32")
    variables = layer.trainable_variables
    names = [*(v.path for v in variables), "input"]
    got = gradients(lambda x: layer(x, backprop_steps=1), variables, x)
    layer.backprop_steps = 1
    assert_same(got, gradients(lambda x: reference(layer, x), variables, x), names)
    inputs = keras.Input((WIDTH,))
    assert layer(inputs, backprop_steps=9, steps=2).shape == inputs.shape
    with pytest.raises(ValueError, match="`backprop_steps` must be an integer"):
        layer(x, backprop_steps=0)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX compiled above, and PyTorch has no XLA")
@pytest.mark.parametrize(
    ("loop", "steps", "options"),
    [
        ("scan", 9, {"unshare": ("norm",), "return_states": True, "backprop_steps": 2}),
        ("scan", 9, {"remat": True}),
        ("unroll", 3, {"remat": True, "unshare": ("norm",), "backprop_steps": 2}),
        ("unroll", 3, {"return_states": True}),
    ],
    ids=["scan", "scan-remat", "unroll", "unroll-states"],
)
def test_compiled_values_and_gradients_equal_eager_ones(loop, steps, options):
    layer = randomised(
        RecurrentResidual(branch(), steps=steps, loop=loop, **options), (None, WIDTH)
    )
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype("float32")
    variables = layer.trainable_variables
    names = [*(v.path for v in variables), "input"]
    eager, compiled = (gradients(layer, variables, x, jit=jit) for jit in (False, True))
    assert_same(compiled, eager, names)


@given(
    batch=st.integers(1, 3),
    inner=st.lists(st.integers(1, 3), max_size=2),
    width=st.integers(2, 5),
    steps=st.integers(1, 5),
    called=st.one_of(st.none(), st.integers(1, 7)),
    option=st.sampled_from(sorted(OPTIONS)),
    loop=st.sampled_from(["auto", "unroll", "scan"]),
)
# More steps than are learned repeat the last of them.
@example(2, [3], 4, 2, 5, "remat_unshared_learned", "scan")
@example(3, [], WIDTH, 3, 7, "step_embedding", "unroll")
def test_any_shape_any_steps_any_option(batch, inner, width, steps, called, option, loop):
    layer = RecurrentResidual(branch(width), steps=steps, loop=loop, **OPTIONS[option])
    shape = (batch, *inner, width)
    randomised(layer, (None, *shape[1:]))
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    got = computed(layer, x, steps=called)
    want = computed(lambda x: reference(layer, ops.convert_to_tensor(x), called), x)
    np.testing.assert_allclose(got, want, atol=1e-5)
    symbolic = layer(keras.KerasTensor((None, *shape[1:])), steps=called)
    assert tuple(symbolic.shape)[-len(shape) + 1 :] == tuple(got.shape)[-len(shape) + 1 :]
    assert len(symbolic.shape) == len(got.shape)


@pytest.mark.parametrize("steps", [1, 2, 13])
def test_recurrence_adds_no_parameter(steps):
    layer = RecurrentResidual(branch(), steps=steps)
    layer.build((None, WIDTH))
    assert layer.count_params() == layer.branch.count_params()
    assert len(layer.weights) == len(layer.branch.weights)


def test_what_is_learned_per_step_is_counted_once_a_step():
    layer = RecurrentResidual(
        branch(), steps=3, unshare=("norm",), residual_scale="learned", step_embedding=True
    )
    layer.build((None, WIDTH))
    norm, mix = layer.branch.layers
    want = mix.count_params() + 3 * norm.count_params() + 3 + 3 * WIDTH
    assert layer.count_params() == want


def test_unshared_steps_begin_as_the_shared_branch():
    fresh = RecurrentResidual(branch(), steps=3, unshare=("norm", "mix"))
    fresh.build((None, WIDTH))
    for per_step in fresh.own_per_step:
        for copy in per_step[1:]:
            np.testing.assert_array_equal(
                ops.convert_to_numpy(copy), ops.convert_to_numpy(per_step[0])
            )


def test_copies_have_what_their_weight_has():
    dense = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.1), name="mix")
    dense.kernel_constraint = keras.constraints.NonNeg()
    norm = keras.layers.BatchNormalization(dtype="mixed_bfloat16", name="bn")
    layer = RecurrentResidual(keras.Sequential([norm, dense]), 3, unshare=("norm", "mix"))
    layer.build((None, 4))
    assert len(layer.own_variables) == 6
    for weight, *copies in layer.own_per_step:
        assert len(copies) == 2
        for copy in copies:
            assert copy.shape == weight.shape
            assert copy.trainable == weight.trainable
            assert copy.regularizer is weight.regularizer
            assert copy.constraint is weight.constraint
            assert keras_private.autocasts(copy) == keras_private.autocasts(weight)
    # Or the comparison says nothing.
    assert dense.kernel.regularizer is not None
    assert dense.kernel.constraint is not None
    assert not keras_private.autocasts(norm.moving_mean)


def replaced(dense):
    dense._untrack_variable(dense._kernel)
    dense._tracker.unlock()
    dense._kernel = keras.Variable(np.eye(WIDTH, dtype="float32"))


@pytest.mark.parametrize(
    "change",
    [
        lambda dense: dense.quantize("int8"),
        pytest.param(lambda dense: dense.quantize("int4"), marks=slow_on("jax", "tensorflow")),
        pytest.param(lambda dense: dense.quantize("float8"), marks=slow_on("jax", "tensorflow")),
        pytest.param(lambda dense: dense.enable_lora(2), marks=slow_on("jax", "tensorflow")),
        replaced,
    ],
    ids=["int8", "int4", "float8", "lora", "swap"],
)
def test_variables_replaced_after_each_step_got_its_own_are_refused(change, tmp_path):
    model = keras.Sequential(
        [keras.Input((WIDTH,)), RecurrentResidual(branch(), 2, unshare="mix", name="layer")]
    )
    x = np.ones((3, WIDTH), "float32")
    # What is shared may be replaced, and so may what one step has.
    for options in ({"unshare": "norm", "steps": 2}, {"unshare": "mix", "steps": 1}):
        other = RecurrentResidual(branch(), **options)
        other(x)
        change(other.branch.layers[1])
        assert np.isfinite(ops.convert_to_numpy(other(x))).all()
    change(model.layers[0].branch.layers[1])
    for use in (
        lambda: model(x),
        lambda: model.layers[0].untie(),
        lambda: model.save(tmp_path / "model.keras"),
    ):
        with pytest.raises(ValueError, match="'mix' in the branch of 'layer' got other variables"):
            use()


@pytest.mark.parametrize("loop", ["unroll", "scan"])
@pytest.mark.parametrize("unshare", [(), ("norm",)])
def test_batch_norm_statistics_are_shared_unless_unshared(loop, unshare):
    norm = keras.layers.BatchNormalization(momentum=0.5, name="bn")
    layer = RecurrentResidual(norm, steps=3, loop=loop, unshare=unshare)
    x = np.random.default_rng(0).normal(2.0, 3.0, (64, 4)).astype("float32")
    layer(x, training=True)
    # By hand: the state after each step, and the statistics it leaves.
    z, mean, variance, steps = x, np.zeros(4), np.ones(4), []
    for _ in range(3):
        before = (np.zeros(4), np.ones(4)) if unshare else (mean, variance)
        mean, variance = 0.5 * before[0] + 0.5 * z.mean(0), 0.5 * before[1] + 0.5 * z.var(0)
        steps.append({"moving_mean": mean, "moving_variance": variance})
        z = z + (z - z.mean(0)) / np.sqrt(z.var(0) + norm.epsilon)
    # The mean remains from step to step, the variance grows.
    assert (steps[2]["moving_variance"] > 1.1 * steps[0]["moving_variance"]).all()
    for name, value in steps[-1].items():
        if unshare:
            place = [v.name for v in layer.own_variables].index(name)
            for variable, step in zip(layer.own_per_step[place], steps, strict=True):
                np.testing.assert_allclose(
                    ops.convert_to_numpy(variable), step[name], rtol=1e-5, atol=1e-4
                )
        else:
            variable = getattr(norm, name)
            np.testing.assert_allclose(ops.convert_to_numpy(variable), value, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("loop", ["unroll", "scan"])
@pytest.mark.parametrize("remat", [False, True])
def test_dropout_draws_anew_each_step_and_remat_recomputes_the_same_mask(loop, remat):
    class Wrapped(keras.layers.Layer):  # its call takes no `training`, which must not matter
        def __init__(self):
            super().__init__()
            self.dropout = keras.layers.Dropout(0.5, seed=3)

        def call(self, x):
            return self.dropout(x)

    layer = RecurrentResidual(Wrapped(), steps=2, loop=loop, remat=remat)
    x = np.ones((1, 4000), "float32")
    layer.build(x.shape)
    out, (grad,) = gradients(lambda x: layer(x, training=True), [], x)
    # (1 + m₁)(1 + m₂) with m in {0, 2}: all four products occur, 1 · 3 and 3 · 1 as one value.
    values, counts = np.unique(out, return_counts=True)
    np.testing.assert_allclose(values, [1, 3, 9])
    np.testing.assert_allclose(counts / 4000, [0.25, 0.5, 0.25], atol=0.05)
    # y is linear in x with slope y / x, if the backward pass saw the same masks.
    c = np.cos(np.arange(4000)).reshape(1, 4000)
    np.testing.assert_allclose(grad, c * out, atol=1e-4)


@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_activity_losses_of_all_steps_are_collected(loop):
    dense = keras.layers.Dense(WIDTH, activity_regularizer=keras.regularizers.L2(0.1))
    layer = RecurrentResidual(dense, steps=3, loop=loop)
    x = np.random.default_rng(0).normal(size=(4, WIDTH)).astype("float32")
    layer(x)
    want, z = 0.0, ops.convert_to_tensor(x)
    kernel, bias = (ops.convert_to_tensor(w) for w in dense.get_weights())
    for _ in range(3):
        y = ops.matmul(z, kernel) + bias
        want += 0.1 * float(ops.sum(ops.square(y))) / 4
        z = z + y
    got = sum(float(ops.stop_gradient(loss)) for loss in layer.losses)
    assert got == pytest.approx(want, rel=1e-5)


class Halving(keras.layers.Layer):
    """The state decays by a rate of its own in every example: x ← rate · x."""

    def call(self, x):
        return x * ops.convert_to_tensor([[0.5], [0.9], [0.999], [1.0]], dtype=x.dtype)


@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_exit_stops_each_example_by_itself(loop):
    layer = RecurrentResidual(Halving(), steps=6, shortcut="none", loop=loop, exit_threshold=0.15)
    x = np.ones((4, 3), "float32")
    out, used = layer(x, return_steps_used=True)
    # The change is 1 − rate at every step: only 0.5 is above the threshold.
    np.testing.assert_array_equal(ops.convert_to_numpy(used), [6, 1, 1, 1])
    np.testing.assert_allclose(
        ops.convert_to_numpy(out)[:, 0], [0.5**6, 0.9, 0.999, 1.0], rtol=1e-6
    )
    _, used = layer(x, training=True, return_steps_used=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(used), [6, 6, 6, 6])


@pytest.mark.skipif(BACKEND == "jax", reason="JAX traces both sides of a condition")
def test_exit_saves_work_when_all_examples_have_stopped():
    calls = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            calls.append(1)
            return x

    layer = RecurrentResidual(
        Counting(), steps=20, shortcut="none", exit_threshold=0.1, loop="unroll"
    )
    layer.build((None, 3))
    calls.clear()
    layer(np.ones((2, 3), "float32"))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("kwargs", "shortcut"),
    [
        ({}, "add"),
        ({}, "none"),
        ({"residual_scale": "learned"}, "none"),
        ({"residual_scale": "grown"}, "none"),
        ({"step_embedding": True}, "add"),
    ],
)
def test_untie_then_tie_is_exact(kwargs, shortcut):
    layer = RecurrentResidual(branch(), steps=3, shortcut=shortcut, unshare=("norm",), **kwargs)
    randomised(layer, (None, WIDTH))
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype("float32")
    want = ops.convert_to_numpy(layer(x))
    blocks = layer.untie()
    assert len(blocks) == 3
    assert all(block.steps == 1 for block in blocks)
    z = x
    for block in blocks:
        z = block(z)
    np.testing.assert_allclose(ops.convert_to_numpy(z), want, atol=1e-6)
    tied = RecurrentResidual.tie(blocks)
    np.testing.assert_allclose(ops.convert_to_numpy(tied(x)), want, atol=1e-6)
    assert tied.count_params() == layer.count_params()


@slow_on_tensorflow
def test_tied_and_untied_layers_train():
    # JAX donates the buffers of weights: two layers must not share one.
    layer = randomised(RecurrentResidual(branch(), steps=2, unshare=("norm",)), (None, WIDTH))
    blocks = layer.untie()
    tied = RecurrentResidual.tie(blocks)
    x = np.random.default_rng(1).normal(size=(8, WIDTH)).astype("float32")
    for parts in ([layer], blocks, [tied]):
        model = keras.Sequential(parts)
        model.compile(keras.optimizers.SGD(1e-2), "mse", jit_compile=JIT)
        losses = model.fit(x, np.zeros_like(x), epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("error::UserWarning")
def test_tying_equal_plain_blocks_is_exact_and_silent():
    blocks = [keras.layers.Dense(WIDTH, activation="tanh") for _ in range(3)]
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype("float32")
    for block in blocks:
        block(x)
        block.set_weights(blocks[0].get_weights())
    z = x
    for block in blocks:
        z = block(z)
    tied = RecurrentResidual.tie(blocks)
    assert (tied.steps, tied.shortcut) == (3, "none")
    np.testing.assert_allclose(ops.convert_to_numpy(tied(x)), ops.convert_to_numpy(z), atol=1e-6)


def test_tying_unequal_blocks_averages_and_says_so():
    blocks = [keras.layers.Dense(WIDTH) for _ in range(2)]
    for block in blocks:
        block.build((None, WIDTH))
    with pytest.warns(UserWarning, match=r"differ in 1 of 2 weights .*kernel.*averages"):
        tied = RecurrentResidual.tie(blocks, shortcut="add")
    mean = (blocks[0].get_weights()[0] + blocks[1].get_weights()[0]) / 2
    np.testing.assert_allclose(tied.branch.get_weights()[0], mean, atol=1e-7)


def test_remat_and_truncation_do_not_change_inference():
    x = np.random.default_rng(1).normal(size=(3, WIDTH)).astype("float32")
    plain = randomised(RecurrentResidual(branch(), steps=4), (None, WIDTH))
    for kwargs in ({"remat": True}, {"backprop_steps": 1}):
        other = randomised(RecurrentResidual(branch(), steps=4, **kwargs), (None, WIDTH))
        np.testing.assert_allclose(
            ops.convert_to_numpy(other(x)), ops.convert_to_numpy(plain(x)), atol=1e-6
        )


@slow_on_tensorflow
def test_fit_learns_and_a_deeper_call_works_in_a_functional_model():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 4)).astype("float32")
    y = (x[:, :1] * x[:, 1:2] > 0).astype("float32")
    inputs = keras.Input((4,))
    recurrent = RecurrentResidual(
        keras.Sequential([keras.layers.Dense(32, "relu"), keras.layers.Dense(4)]),
        steps=4,
        residual_scale=0.5,
    )
    head = keras.layers.Dense(1)
    model = keras.Model(inputs, head(recurrent(inputs)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(2e-2), loss, jit_compile=JIT)
    history = model.fit(x, y, epochs=25, batch_size=64, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    deeper = keras.Model(inputs, head(recurrent(inputs, steps=6)))
    assert deeper.count_params() == model.count_params()
    assert np.isfinite(deeper.predict(x, verbose=0)).all()


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"branch": "dense"}, "`branch` must be a Keras layer"),
        ({"steps": 0}, "`steps` must be an integer of at least 1, but it is 0"),
        ({"steps": 2.0}, "`steps` must be an integer"),
        ({"steps": True}, "`steps` must be an integer"),
        ({"shortcut": "sum"}, "`shortcut` must be one of"),
        ({"residual_scale": "big"}, "`residual_scale` must be None, a finite number or 'learned'"),
        ({"inject_input": "multiply"}, "`inject_input` must be one of"),
        ({"backprop_steps": 0}, "`backprop_steps` must be an integer"),
        ({"residual_scale": float("nan")}, "`residual_scale` must be None, a finite number"),
        ({"exit_threshold": 0.0}, "`exit_threshold` must be a number above 0"),
        ({"exit_threshold": "a"}, "`exit_threshold` must be a number above 0"),
        ({"unshare": 5}, "`unshare` must be a list of names"),
        ({"loop": "while"}, "`loop` must be one of"),
        ({"step_embedding": "learned"}, "`step_embedding` must be True or False"),
        ({"remat": "full"}, "`remat` must be True or False"),
        ({"return_states": 1}, "`return_states` must be True or False"),
    ],
)
def test_wrong_arguments_are_named(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        RecurrentResidual(**{"branch": keras.layers.Dense(3), **kwargs})


@pytest.mark.neutral
def test_wrong_shapes_and_names_fail_when_built():
    with pytest.raises(ValueError, match=r"must return the shape of the state, \(None, 3\)"):
        RecurrentResidual(keras.layers.Dense(4)).build((None, 3))
    with pytest.raises(ValueError, match=r"'nrom' matches no sub-layer .* did you mean 'norm'"):
        RecurrentResidual(branch(), unshare=("nrom",)).build((None, WIDTH))
    layer = RecurrentResidual(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="must be built before it is untied"):
        layer.untie()
    with pytest.raises(ValueError, match="`steps` must be an integer"):
        layer(np.ones((1, 3), "float32"), steps=0)
    injected = RecurrentResidual(keras.layers.Dense(3), inject_input="add")
    injected.build((None, 3))
    with pytest.raises(ValueError, match="cannot be untied"):
        injected.untie()
    blocks = [keras.layers.Dense(3), keras.layers.Dense(3, use_bias=False)]
    for block in blocks:
        block.build((None, 3))
    with pytest.raises(ValueError, match="blocks must be alike in all but their weights"):
        RecurrentResidual.tie(blocks)
    for unlike in (
        [keras.layers.Dense(3, "tanh"), keras.layers.Dense(3, "relu")],
        [RecurrentResidual(keras.layers.Dense(3), residual_scale=s) for s in (0.1, 0.9)],
    ):
        for block in unlike:
            block.build((None, 3))
        with pytest.raises(ValueError, match="blocks must be alike in all but their weights"):
            RecurrentResidual.tie(unlike)
    blocks = [RecurrentResidual(keras.layers.Dense(3), inject_input="add") for _ in range(2)]
    for block in blocks:
        block.build((None, 3))
    with pytest.raises(ValueError, match="inject_input='add' cannot be tied"):
        RecurrentResidual.tie(blocks)
    with pytest.raises(ValueError, match=r"last axis .* must be known"):
        RecurrentResidual(keras.layers.Dense(3)).build((None, None))
    for options in ({"step_embedding": True}, {"inject_input": "concat"}):
        with pytest.raises(ValueError, match=r"last axis .* must be known"):
            RecurrentResidual(channels_first(), **options).build((None, 8, None, None))


def test_steps_may_be_numpys():
    layer = RecurrentResidual(keras.layers.Dense(3), steps=1, return_states=True)
    x = np.ones((2, 3), "float32")
    assert layer(x, steps=np.int64(3), backprop_steps=np.int64(2)).shape == (3, 2, 3)
    assert layer(keras.Input((3,)), steps=np.array(3)).shape == (3, None, 3)
    assert layer(x, steps=3, return_states=np.bool_(False)).shape == (2, 3)


def channels_first():
    return keras.layers.Conv2D(8, 3, padding="same", data_format="channels_first")


@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_channels_first_need_no_known_sides(loop):
    inputs = keras.Input((8, None, None))
    layer = RecurrentResidual(channels_first(), steps=2, loop=loop)
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 8, None, None)
    if BACKEND != "tensorflow":  # Which convolves so on a GPU only.
        x = np.random.default_rng(0).normal(size=(2, 8, 5, 4)).astype("float32")
        want = x
        for _ in range(2):
            want = want + keras.ops.convert_to_numpy(layer.branch(want))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(model(x)), want, atol=1e-5)


def test_freezing_part_of_the_copies_is_refused():
    layer = RecurrentResidual(branch(), steps=3, unshare=("norm",))
    x = np.ones((2, WIDTH), "float32")
    layer(x)
    layer.branch.layers[0].trainable = False
    with pytest.raises(ValueError, match="frozen or thawed after"):
        layer(x)
    layer.trainable = False
    layer(x)
    assert not layer.trainable_variables


@slow_on_tensorflow
@pytest.mark.parametrize(
    ("policy", "remat", "loop", "steps"),
    [("float32", False, "scan", 5), ("mixed_bfloat16", True, "unroll", 3)],
)
def test_every_step_learns_its_own_statistics_beside_dropout(policy, remat, loop, steps):
    x = np.random.default_rng(0).normal(2.0, 1.0, (64, WIDTH)).astype("float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inner = keras.Sequential(
            [
                keras.layers.BatchNormalization(),
                keras.layers.Dense(WIDTH),
                keras.layers.Dropout(0.1),
            ]
        )
        layer = RecurrentResidual(inner, steps=steps, loop=loop, remat=remat, unshare=("norm",))
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=JIT)
        model.fit(x, x, epochs=2, batch_size=32, verbose=0)
    finally:
        keras.config.set_dtype_policy(before)
    place = [v.name for v in layer.own_variables].index("moving_mean")
    means = [ops.convert_to_numpy(v) for v in layer.own_per_step[place]]
    assert all(np.abs(mean).max() > 1e-3 for mean in means)
    assert all(np.abs(a - b).max() > 1e-5 for a, b in itertools.pairwise(means))


@slow_on_tensorflow
@pytest.mark.tensorflow  # Whose loop it is about.
@pytest.mark.parametrize(
    ("options", "forms"),
    [
        ({}, [{"loop": "unroll"}, {"loop": "scan"}]),
        (
            {"unshare": ("norm", "mix"), "backprop_steps": 3},
            [{"loop": "unroll", "remat": True}, {"loop": "scan"}],
        ),
    ],
    ids=["shared", "unshared"],
)
def test_training_with_state_is_the_same_in_both_forms(options, forms):
    """Batch norm's statistics, dropout's random state and losses go around the loop."""
    x = np.random.default_rng(0).normal(2.0, 1.0, (32, WIDTH)).astype("float32")
    found = []
    for form in forms:
        keras.utils.set_random_seed(1)
        inner = keras.Sequential(
            [
                keras.layers.BatchNormalization(),
                keras.layers.Dense(WIDTH, "tanh", activity_regularizer="l2", name="mix"),
                keras.layers.Dropout(0.2, seed=3),
            ]
        )
        layer = RecurrentResidual(inner, steps=5, **options, **form)
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(1e-2), "mse", jit_compile=JIT)
        losses = model.fit(x, x, epochs=2, batch_size=16, verbose=0, shuffle=False).history["loss"]
        found.append((losses, [ops.convert_to_numpy(w) for w in layer.variables]))
    (losses, weights), (scanned_losses, scanned_weights) = found
    np.testing.assert_allclose(scanned_losses, losses, rtol=1e-5)
    for scanned, weight in zip(scanned_weights, weights, strict=True):
        np.testing.assert_allclose(scanned, weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"loop": "scan"}, {"remat": True}, {"backprop_steps": 2}])
def test_the_layers_of_a_branch_forget_losses_that_the_loop_adds(options):
    """Keras knows losses by `id`: a stale one counts the loss of a later tensor twice."""
    layer = RecurrentResidual(
        keras.layers.Dense(WIDTH, activity_regularizer="l2"),
        steps=6,
        **{"loop": "unroll"} | options,
    )
    x = np.random.default_rng(0).normal(size=(8, WIDTH)).astype("float32")
    layer.build(x.shape)
    _, _, losses = layer.stateless_call(
        backend.raw_values(layer.trainable_variables),
        backend.raw_values(layer.non_trainable_variables),
        ops.convert_to_tensor(x),
        training=True,
        return_losses=True,
    )
    if BACKEND == "torch" and "backprop_steps" in options:
        # There the branch is called as any layer calls another, and the loop adds no loss.
        layer(x, training=True)
        losses = [loss.detach() for loss in layer.losses]
    else:
        assert len(losses) == 1
        assert not layer.branch._loss_ids
    kernel, bias = (ops.convert_to_numpy(w).astype("float64") for w in layer.branch.weights)
    state, expected = x.astype("float64"), 0.0
    for _ in range(6):
        y = state @ kernel + bias
        expected += 0.01 * np.sum(y**2) / len(x)
        state = state + y
    np.testing.assert_allclose(ops.convert_to_numpy(sum(losses)), expected, rtol=1e-5)


class Inside(keras.layers.Layer):
    """Puts 1 where what it is given is masked, two layers down; takes no mask itself."""

    class Masked(keras.layers.Layer):
        supports_masking = True

        def call(self, x, mask=None):
            return x if mask is None else ops.where(mask[..., None], x, 1.0)

    def __init__(self):
        super().__init__()
        self.inner = self.Masked()

    def call(self, x):
        return self.inner(x)


@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_the_mask_reaches_every_step_and_the_output(loop):
    inputs = keras.Input((3, 2))
    masked = keras.layers.Masking(-1.0)(inputs)
    layer = RecurrentResidual(Inside(), steps=6, loop=loop)
    outputs = layer(masked)
    # A layer behind it that sums over the steps which are not masked.
    model = keras.Model(inputs, [outputs, keras.layers.GlobalAveragePooling1D()(outputs)])
    x = np.ones((1, 3, 2), "float32")
    x[0, 1] = -1.0
    states, mean = (ops.convert_to_numpy(y) for y in model(x))
    # `Masking` puts 0 there, to which each step adds 1.
    np.testing.assert_allclose(states[0, :, 0], [2**6, 6, 2**6])
    np.testing.assert_allclose(mean, 2**6)
    tensor = ops.convert_to_tensor(x)
    masked = keras.layers.Masking(-1.0)(tensor)
    assert getattr(layer(masked, return_states=True), "_keras_mask", None) is None


@pytest.mark.skipif(BACKEND != "tensorflow", reason="looks into TensorFlow graphs")
@pytest.mark.parametrize("kwargs", [{"loop": "scan"}, {"unshare": ("norm",)}, {"remat": True}])
def test_inference_assigns_nothing(kwargs):
    import tensorflow as tf

    layer = RecurrentResidual(
        keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dense(WIDTH)]),
        steps=6,
        **kwargs,
    )
    layer.build((None, WIDTH))
    graph = tf.function(layer).get_concrete_function(tf.zeros((2, WIDTH))).graph
    assert not [op for op in graph.get_operations() if "Assign" in op.type]


def memory_for_backpropagation(layer, x):
    """Bytes that the backward pass of sum(layer(x)) needs kept, exactly as the backend counts."""
    if BACKEND == "jax":
        import jax

        def loss(values, x):
            with keras.StatelessScope(list(zip(layer.trainable_variables, values, strict=True))):
                return ops.sum(layer(x))

        values = [v.value for v in layer.trainable_variables]
        compiled = jax.jit(jax.grad(loss)).lower(values, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes
    import torch

    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(ops.convert_to_tensor(x)).sum()
    return sum(kept.values())


@pytest.mark.skipif(
    BACKEND == "tensorflow",
    reason="TensorFlow tells no exact number: `training.benchmark recurrence` measures it",
)
def test_remat_keeps_the_states_and_not_what_is_inside_the_branch():
    x = np.ones((8, 16), "float32")
    memory = {}
    for remat in (False, True):
        wide = keras.Sequential([keras.layers.Dense(512, "tanh"), keras.layers.Dense(16)])
        layer = RecurrentResidual(wide, steps=16, remat=remat, loop="scan")
        layer.build(x.shape)
        memory[remat] = memory_for_backpropagation(layer, x)
    # Inside a step: 8 × 512 numbers. A state: 8 × 16, and the weights once.
    assert memory[False] > 16 * 8 * 512 * 4
    assert memory[True] < 0.5 * memory[False]


def spectral(**options):
    dense = keras.layers.SpectralNormalization(keras.layers.Dense(WIDTH, name="dense"), name="s")
    layer = RecurrentResidual(dense, 3, **options)
    layer.build((None, WIDTH))
    return layer


def test_spectral_normalization_is_not_a_norm_and_learns_where_the_sentence_says():
    with pytest.raises(ValueError, match="`unshare` entry 'norm' matches no sub-layer"):
        spectral(unshare="norm")
    x = np.random.default_rng(0).normal(size=(8, WIDTH)).astype("float32")
    for options in (
        {"loop": "scan"},
        {"loop": "unroll", "remat": True},
    ):
        with pytest.raises(ValueError, match="loop='unroll', remat=False, unshare=") as error:
            spectral(**options)(x, training=True)
        assert "SpectralNormalization" in str(error.value)
    layer = spectral(loop="unroll", remat=False, unshare=(), backprop_steps=None)
    before = ops.convert_to_numpy(layer.branch.layer.kernel).copy()
    layer(x, training=True)
    kernel = ops.convert_to_numpy(layer.branch.layer.kernel)
    assert np.abs(kernel - before).max() > 1e-3


@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_losses_are_those_of_the_steps_that_a_batch_takes(loop):
    x = np.random.default_rng(0).normal(size=(8, WIDTH)).astype("float32")

    def branch():
        regularizer = keras.regularizers.L2(0.1)
        return keras.layers.Dense(
            WIDTH, kernel_initializer="ones", activity_regularizer=regularizer
        )

    def loss(steps, **options):
        layer = RecurrentResidual(branch(), steps, loop=loop, **options)
        layer(x, training=False)
        return float(sum(layer.losses))

    assert 0 < loss(1) < 0.5 * loss(3)
    assert loss(3, exit_threshold=1e-9) == pytest.approx(loss(3), rel=1e-5)
    stopped = {"exit_threshold": 1e9}
    assert loss(3, **stopped) == pytest.approx(loss(1), rel=1e-5)
    model = keras.Sequential([RecurrentResidual(branch(), 3, loop=loop, **stopped)])
    model.compile(loss=lambda y, predicted: 0 * predicted)
    assert model.evaluate(x, x, verbose=0) == pytest.approx(loss(1), rel=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="replicas of TensorFlow's strategies")
@pytest.mark.parametrize("options", [{"loop": "scan"}, {"remat": True}], ids=str)
def test_replicas_meet_in_the_norms_of_every_step(options):
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        norm = keras.layers.BatchNormalization(synchronized=True)
        layer = RecurrentResidual(norm, 3, **options)
        layer.build((None, WIDTH))
    x = np.random.default_rng(0).normal(size=(8, WIDTH)).astype("float32")

    @tf.function
    def run(x):
        return strategy.run(lambda x: layer(x, training=True), (x,))

    got = run(x).numpy()
    plain = RecurrentResidual(keras.layers.BatchNormalization(), 3, loop="unroll")
    np.testing.assert_allclose(got, plain(x, training=True), atol=1e-5)


def test_a_branch_of_two_layers_is_one_when_it_is_loaded(tmp_path):
    dense = keras.layers.Dense(WIDTH, "tanh")
    inputs = keras.Input((WIDTH,))
    x = RecurrentResidual(dense, 2, name="one")(inputs)
    model = keras.Model(inputs, RecurrentResidual(dense, 3, name="two")(x * 2))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("one").branch is loaded.get_layer("two").branch
    assert loaded.count_params() == model.count_params() == dense.count_params()
    x = np.random.default_rng(0).normal(size=(4, WIDTH)).astype("float32")
    np.testing.assert_allclose(computed(loaded, x), computed(model, x), atol=1e-6)
