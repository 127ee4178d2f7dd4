"""rules.fold: runs of equal blocks as one, exact, of a rank, or with what data tell."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from keras_recres import models
from keras_recres.backend import keras_private
from keras_recres.layers import corrections
from keras_recres.models import recurrent, recurrent_data, rules
from keras_recres.models.low_rank import factors, shared
from tests.gradients import JIT, computed, gradients
from tests.marks import slow_on_tensorflow
from tests.models.test_recurrent import X, convnet, held, randomised

LAYER = "part_recurrent"


def folded(model, **kwargs):
    return recurrent(model, {"*": rules.fold(**kwargs)}, verbose=False)


@pytest.fixture(scope="module")
def model():
    return convnet(4)


@slow_on_tensorflow
def test_exact_folding_computes_what_the_model_did(model, tmp_path):
    before, want = held(model), computed(model, X)
    exact, table = folded(model, rank="exact")
    size = np.abs(want).max()
    np.testing.assert_allclose(computed(exact, X), want, atol=1e-5 * size)
    np.testing.assert_allclose(computed(models.untie(exact), X), want, atol=1e-5 * size)
    # Nothing is saved, and nothing lost: no control is needed.
    assert exact.count_params() == model.count_params()
    assert (table.rows[0].kernel_error, table.kernels) == (None, ())
    assert "only after training" not in str(table)
    exact.save(tmp_path / "exact.keras")
    again = keras.saving.load_model(tmp_path / "exact.keras")
    np.testing.assert_allclose(computed(again, X), want, atol=1e-5 * size)
    for a, b in zip(held(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


@slow_on_tensorflow
def test_steps_share_kernels_and_keep_what_is_theirs(model, tmp_path):
    low, table = folded(model, rank=2)
    layer = low.get_layer(LAYER)
    assert (layer.steps, layer.shortcut) == (4, "none")
    assert layer.drop_rates == {"part3_drop": [0.0, 0.1, 0.2, pytest.approx(0.3)]}
    kernels = [ops.convert_to_numpy(model.get_layer(f"part{i}_conv").kernel) for i in range(4)]
    errors = []
    for t, kernel in enumerate(kernels):
        at_step = map(ops.convert_to_numpy, corrections.weights_at(layer, t))
        values = {w.path: x for w, x in zip(layer.branch.weights, at_step, strict=True)}
        for path, value in values.items():
            name, weight = path.split("/")[-2:]
            if (name, weight) != ("part3_conv", "kernel"):
                own = model.get_layer(name.replace("part3", f"part{t}"))
                (original,) = (w for w in own.weights if w.name == weight)
                np.testing.assert_array_equal(value, ops.convert_to_numpy(original))
        # The first kernel, and the nearest matrix of rank 2 for what another lacks to it.
        got = values[layer.branch.get_layer("part3_conv").kernel.path]
        sigma = np.linalg.svd((kernel - kernels[0]).reshape(36, 4), compute_uv=False)
        rest = np.linalg.norm(got - kernel)
        np.testing.assert_allclose(rest, np.linalg.norm(sigma[2:]), atol=1e-5)
        errors.append(rest / np.linalg.norm(kernel))
    assert table.kernels[0][:3] == ("part", "part3_conv/kernel", 2)
    np.testing.assert_allclose(table.kernels[0][3], errors, atol=1e-5)
    # Of 4 x 36 x 4 numbers 36 x 4 remain, and 4 pairs of factors.
    saved = 4 * 36 * 4 - 36 * 4 - 4 * 2 * (36 + 4)
    assert table.total.parameters == (model.count_params(), model.count_params() - saved)
    assert table.total.multiply_adds[0] == table.total.multiply_adds[1]
    want = computed(low, X)
    np.testing.assert_allclose(computed(models.untie(low), X), want, atol=1e-5)
    low.save(tmp_path / "low.keras")
    np.testing.assert_allclose(
        computed(keras.saving.load_model(tmp_path / "low.keras"), X), want, atol=1e-6
    )


@slow_on_tensorflow
@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize("loop", ["unroll", "scan"])
def test_gradients_are_the_sums_of_the_untied_ones(model, loop, jit):
    layer = folded(model, rank=1)[0].get_layer(LAYER)
    layer.loop = loop
    steps = layer.untie()
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")

    def chain(x):
        for step in steps:
            x = step(x)
        return x

    kernel = layer.branch.get_layer("part3_conv").kernel
    (correction,) = layer.own_corrections
    apart = [step.branch.get_layer("part3_conv").kernel for step in steps]
    y, (of_kernel, of_a, of_b, _) = gradients(layer, [kernel, correction.a, correction.b], x, jit)
    want, (*of_steps, _) = gradients(chain, apart, x, jit)
    np.testing.assert_allclose(y, want, atol=1e-5)
    size = np.abs(of_kernel).max()
    np.testing.assert_allclose(of_kernel, sum(of_steps), atol=1e-5 * size)
    a, b = map(ops.convert_to_numpy, (correction.a, correction.b))
    for t, gradient in enumerate(of_steps):
        matrix = gradient.reshape(36, 4)
        np.testing.assert_allclose(of_a[t], matrix @ b[t].T, atol=1e-5 * size)
        np.testing.assert_allclose(of_b[t], a[t].T @ matrix, atol=1e-5 * size)


@slow_on_tensorflow
def test_frozen_kernels_stay_what_they_are_in_training(model):
    low, _ = folded(model, rank=2)
    low.trainable = False
    before = held(low)
    low(X, training=True)
    for a, b in zip(held(low), before, strict=True):
        np.testing.assert_array_equal(a, b)


@slow_on_tensorflow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_folding_in_mixed_precision(policy):
    model = convnet(3, policy=policy)
    want = computed(model, X)
    np.testing.assert_array_equal(computed(folded(model, rank="exact")[0], X), want)
    low, _ = folded(model, rank=2)
    layer = low.get_layer(LAYER)
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    assert {w.dtype for w in layer.weights if "seed" not in w.path} == {"float32"}
    (correction,) = layer.own_corrections
    low.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=keras.backend.backend() != "jax")
    before = held(low)
    low.train_on_batch(X, np.ones((5, 3)))
    for variable in (correction.variable, correction.a, correction.b):
        (place,) = (i for i, w in enumerate(low.weights) if w is variable)
        change = ops.convert_to_numpy(variable) - before[place]
        assert np.isfinite(change).all()
        assert np.abs(change).max() > 0


def test_ends_are_left_and_controls_are_told(model):
    data = np.random.default_rng(2).normal(size=(40, 6, 6, 3)).astype("float32")
    rule = rules.fold(rank=1, init="least_squares", keep="ends")
    low, table = recurrent(model, rule, data=data, verbose=False)
    names = {layer.name for layer in low.layers}
    assert {"part0_conv", LAYER, "part3_conv"} <= names
    assert not {"part1_conv", "part2_conv"} & names
    assert [*table.outputs] == ["folded", "blocks dropped", "low rank without a shared kernel"]
    own, dropped, alone = table.outputs.values()
    # Two blocks of a shared kernel with ranks 1, or one of them whole and the other of rank 2.
    assert 0 < own[0] < dropped[0]
    assert 0 < alone[0] < dropped[0]
    assert len(table.rows[0].block_errors) == 2
    assert str(table).endswith("low rank without a shared kernel.")
    wrong = "`data` must be examples as 'convnet' takes them"
    with pytest.raises(ValueError, match=wrong):
        recurrent(model, rules.fold(), data=data[:, :4], verbose=False)


def test_moments_are_those_of_what_a_kernel_multiplies():
    x = inputs = keras.Input((3, 4))
    query = layers.EinsumDense("abc,dce->adbe", (2, 3, 5), bias_axes="e", activation="relu")
    mix = layers.Dense(6, activation="tanh")
    model = randomised(keras.Model(inputs, [query(x), mix(x)]))
    rng, changes, want = np.random.default_rng(0), {}, {}
    data = rng.normal(size=(50, 3, 4)).astype("float32")
    second = np.einsum("abc,abd->cd", data, data)
    for layer in (query, mix):
        form = corrections.matrix_of(layer.kernel, layer)
        assert (form.rows, form.columns) == ((4, 10) if layer is query else (4, 6))
        change = rng.normal(size=(form.rows, form.columns))
        changes[id(layer)] = [(layer.name, layer.kernel, form, change)]
        want[layer.name] = change.T @ second @ change
        values = form.values(change)
        np.testing.assert_array_equal(form.matrix(values), change)
        assert values.shape == layer.kernel.shape
    got = recurrent_data.moments(model, data, changes)
    for name, gram in want.items():
        np.testing.assert_allclose(got[name], gram, rtol=1e-3, atol=1e-2)


@pytest.mark.neutral
@pytest.mark.parametrize("shape", [(9, 5), (5, 9)])
def test_factors_are_nearest_and_nearest_for_data(shape):
    rng = np.random.default_rng(0)
    change = rng.normal(size=shape)
    u, sigma, v = np.linalg.svd(change)
    np.testing.assert_allclose(
        np.matmul(*factors(change, 2)), u[:, :2] * sigma[:2] @ v[:2], atol=1e-9
    )
    root = rng.normal(size=(shape[0], shape[0]))
    moment = change.T @ root.T @ root @ change
    got = np.linalg.norm(root @ (change - np.matmul(*factors(change, 2, moment))))
    sigma = np.linalg.svd(root @ change, compute_uv=False)
    np.testing.assert_allclose(got, np.linalg.norm(sigma[2:]), rtol=1e-6)
    # Ranks beyond the matrix' own are filled up, and "least_squares" is nearer than any block.
    assert [x.shape for x in factors(change, 12)] == [(shape[0], 12), (12, shape[1])]
    others = [change, *rng.normal(size=(2, *shape))]

    def error(init):
        w = shared(others, init, 1)
        return sum(np.linalg.norm(m - w - np.matmul(*factors(m - w, 1))) ** 2 for m in others)

    assert error("least_squares") < min(map(error, ("first", "last", "average")))


PARTS = {
    "dense": lambda: layers.Dense(4, activation="tanh"),
    "norm": lambda: layers.LayerNormalization(),
    "batch_norm": lambda: layers.BatchNormalization(),
    "conv": lambda: layers.Conv1D(4, 3, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv1D(3, padding="same"),
    "einsum": lambda: layers.EinsumDense("abc,cd->abd", (None, 4)),
    "drop": lambda: layers.Dropout(0.2),
    "relu": lambda: layers.ReLU(),
    "attention": lambda: layers.MultiHeadAttention(2, 2),
}


@slow_on_tensorflow
@settings(max_examples=5)
@given(
    parts=st.lists(st.sampled_from(sorted(PARTS)), min_size=1, max_size=4),
    count=st.integers(2, 3),
    residual=st.booleans(),
    after=st.booleans(),
    period=st.integers(1, 2),
    rank=st.sampled_from([0, 1, "exact"]),
)
def test_any_blocks_are_repeated_and_folded(parts, count, residual, after, period, rank):
    inputs = keras.Input((5, 4))
    with keras_private.values_given_later():
        x = layers.Dense(4, name="stem")(inputs)
        for i in range(count * period):
            y = layers.Dense(4, activation="tanh" if i % period else "relu")(x)
            for part in parts[i % period :]:
                y = PARTS[part]()(y, y) if part == "attention" else PARTS[part]()(y)
            x = layers.Add()([x, y]) if residual else y
            x = layers.ReLU()(x) if after else x
        model = randomised(keras.Model(inputs, layers.Dense(2)(x)))
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    want = computed(model, x)
    # Neighbours inside of a block may be a run of their own.
    runs = models.blocks(model)
    if any(run.residual for run in runs):
        deeper, _ = recurrent(model, rules.repeat(2), verbose=False)
        np.testing.assert_array_equal(computed(deeper, x), want)
    if any(run.count > 1 for run in runs):
        one, _ = folded(model, rank=rank)
        got = computed(one, x)
        if rank == "exact":
            np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
        np.testing.assert_allclose(
            computed(models.untie(one), x), got, atol=1e-5 * np.abs(got).max()
        )


# How many runs each has at this side.
APPLICATIONS = {
    "ResNet50": 4,
    "ResNet101": 4,
    "ConvNeXtTiny": 4,
    "EfficientNetV2S": 6,
    "EfficientNetB0": 3,
    "Xception": 1,
    "InceptionResNetV2": 3,
}


def application(name):
    with keras_private.values_given_later():
        return getattr(keras.applications, name)(
            weights=None, include_top=False, input_shape=(75, 75, 3)
        )


@pytest.mark.slow
@pytest.mark.neutral
@pytest.mark.parametrize("name", APPLICATIONS)
def test_models_of_keras_applications(name):
    model = application(name)
    low, table = folded(model)
    assert len(table.rows) == APPLICATIONS[name]
    assert all(row.parameters[1] < row.parameters[0] for row in table.rows)
    assert low.count_params() == table.total.parameters[1] < model.count_params()
    assert table.total.multiply_adds[0] == table.total.multiply_adds[1]
    assert low.output_shape == model.output_shape


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "ConvNeXtTiny", "EfficientNetB0"])
def test_numbers_of_keras_applications(name):
    model = randomised(application(name))
    x = np.random.default_rng(0).normal(size=(1, 75, 75, 3)).astype("float32")
    want = computed(model, x)
    assert np.isfinite(want).all()
    deeper, _ = recurrent(model, rules.repeat(2), verbose=False)
    exact, _ = folded(model, rank="exact")
    for new in (deeper, exact):
        np.testing.assert_allclose(computed(new, x), want, atol=1e-5 * np.abs(want).max())


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"init": "mean"}, "`init` must be one of 'first'"),
        ({"rank": -1}, "`rank` must be an integer of at least 0, but it is -1"),
        ({"rank": {"*": 0.5}}, "`rank` must be an integer of at least 0, but it is 0.5"),
        ({"own": ("gamma",)}, "`own` must be one of 'norm', 'bias'"),
        ({"keep": "first"}, "`keep` must be one of None, 'ends'"),
    ],
)
def test_wrong_arguments_are_named(kwargs, said):
    with pytest.raises(ValueError, match=said):
        rules.fold(**kwargs)


def test_what_cannot_be_folded_is_refused(model):
    with pytest.raises(ValueError, match="'part' has 3 blocks, and folding takes 4"):
        folded(convnet(3), keep="ends")
    with pytest.raises(ValueError, match="has 1 block, and folding takes 2"):
        folded(convnet(1))
    with pytest.raises(ValueError, match=r"`corrections` pattern 'cnv\*' matches no weight"):
        folded(model, rank={"cnv*": 2})
    assert ops.is_tensor(model(X))
