"""probes.paths against linear networks, whose every path is a product of matrices."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import backend, models
from keras_recres.layers import RecurrentResidual
from keras_recres.probes import path_lengths, paths
from tests.marks import slow_on

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4)).astype("float32")
KERNELS = [0.5 * RNG.normal(size=(4, 4)).astype("float32") for _ in range(3)]
HEAD = RNG.normal(size=(4, 3)).astype("float32")


def linear(kernels=KERNELS):
    """x ← x + x K for each kernel, then x H."""
    inputs = x = keras.Input((4,))
    for i, kernel in enumerate(kernels):
        layer = layers.Dense(4, use_bias=False, name=f"unit{i}_dense")
        x = layers.Add()([x, layer(x)])
        layer.kernel.assign(kernel)
    head = layers.Dense(3, use_bias=False, name="head")
    outputs = head(x)
    head.kernel.assign(HEAD)
    return keras.Model(inputs, outputs)


def gradient_of(x, scale=1.0, kernels=KERNELS):
    """Of the largest output by what leaves the last unit."""
    for kernel in kernels:
        x = scale * x + x @ kernel
    return HEAD.T[(x @ HEAD).argmax(-1)]


def norm(gradient):
    return np.linalg.norm(gradient, axis=1).mean()


@pytest.mark.neutral
def test_the_distribution_of_lengths_is_binomial():
    shares = path_lengths(54)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert shares[19:36].sum() == pytest.approx(0.98017, abs=5e-6)
    assert shares[5:18].sum() == pytest.approx(0.0045367, abs=5e-8)
    assert path_lengths(16)[5:17].sum() == pytest.approx(0.9616, abs=5e-5)
    with pytest.raises(ValueError, match="`units` must be an integer of at least 1"):
        path_lengths(0)


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_paths_and_the_two_forms_of_the_gradient(scale):
    record = paths(linear(), X, scale=scale, repeats=40 if scale == 1 else 2)
    end = gradient_of(X, scale)
    # Every path of a length, by hand: products of some kernels, in the network's order.
    by_length = {k: [] for k in range(4)}
    for through in itertools.product([False, True], repeat=3):
        g = end
        for kernel, branch in list(zip(KERNELS, through, strict=True))[::-1]:
            g = g @ kernel.T if branch else scale * g
        by_length[sum(through)].append(norm(g))
    for k, measured in zip(record.lengths, record.gradient, strict=True):
        assert min(by_length[k]) * 0.999 <= measured <= max(by_length[k]) * 1.001
        if scale == 1 or k in (0, 3):
            # Drawn evenly.
            assert measured == pytest.approx(np.mean(by_length[k]), rel=0.2 if 0 < k < 3 else 1e-4)
    whole = shortcut = plain = end
    for i in (3, 2, 1, 0):
        values = (whole, shortcut, whole - shortcut, plain)
        for kind, value in zip(("whole", "shortcut", "branches", "plain"), values, strict=True):
            assert getattr(record, kind)[i] == pytest.approx(norm(value), rel=1e-4, abs=1e-6)
        if i:
            kernel = KERNELS[i - 1]
            whole, plain = scale * whole + whole @ kernel.T, plain @ kernel.T
            shortcut = scale * shortcut
    assert record.shortcut[0] == pytest.approx(scale**3 * norm(end), rel=1e-5)


def test_effective_lengths_of_paths_whose_gradient_is_a_power():
    # K = c I: a path of length k has the gradient cᵏ, and the contributions are Binomial(n, p)
    # with p = c / (1 + c).
    n, c = 12, 0.5
    record = paths(linear([c * np.eye(4, dtype="float32")] * n), X, repeats=1)
    np.testing.assert_allclose(record.gradient / record.gradient[0], c ** np.arange(n + 1), 1e-3)
    shares = path_lengths(n) * c ** np.arange(n + 1)
    np.testing.assert_allclose(record.contribution, shares / shares.sum(), rtol=1e-3)
    assert record.effective() == (1, 7)
    assert record.effective(1.0) == (0, 12)
    assert "12 units" in repr(record)
    with pytest.raises(ValueError, match=r"`share` must be in \(0, 1\]"):
        record.effective(0)


def test_a_unit_that_changes_the_width_has_its_projection_for_a_shortcut():
    """x ← x + x A, then x P + x B C, wider, then x + x D: eight paths, each a product."""
    a, p, b, c, d, e = (
        0.5 * RNG.normal(size=size).astype("float32")
        for size in ((4, 4), (4, 6), (4, 5), (5, 6), (6, 6), (6, 3))
    )
    inputs = keras.Input((4,))
    dense = [layers.Dense(w.shape[1], use_bias=False) for w in (a, p, b, c, d, e)]
    x = layers.Add()([inputs, dense[0](inputs)])
    x = layers.Add(name="wider")([dense[1](x), dense[3](dense[2](x))])
    x = layers.Add()([x, dense[4](x)])
    model = keras.Model(inputs, dense[5](x))
    for layer, kernel in zip(dense, (a, p, b, c, d, e), strict=True):
        layer.kernel.assign(kernel)
    record = paths(model, X, lengths=[0, 3], scale=0.8)
    assert record.names[1] == "wider"
    state = (X @ a + 0.8 * X) @ (b @ c + 0.8 * p)
    state = state @ d + 0.8 * state
    end = e.T[(state @ e).argmax(-1)]
    through, past = end @ d.T @ (b @ c).T @ a.T, 0.8**3 * end @ p.T
    assert record.gradient == pytest.approx([norm(past), norm(through)], rel=1e-4)
    assert (record.shortcut[0], record.plain[0]) == pytest.approx((norm(past), norm(through)), 1e-4)
    # It is not among the blocks that are named, and is passed whole.
    assert len(paths(model, X, blocks="*", lengths=[0], repeats=1).names) == 2


@slow_on("jax", "tensorflow")
@pytest.mark.parametrize("name", ["cifar_resnet", "preact_resnet"])
def test_the_sum_is_the_gradient_of_the_loss(name):
    """Networks with ReLUs after the sum, and before; stems are passed whole."""
    model = getattr(models, name)(8, input_shape=(8, 8, 3))
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 8, 8, 3)).astype("float32"), np.array([0, 3, 9])
    record = paths(model, x, y, lengths=[0, 1], repeats=1)
    assert record.names[0] == "stage0_unit0"
    assert len(record.names) == 3  # Two are wider than what they are given.
    layer = model.get_layer("stage0_unit0")
    rest = keras.Model(layer.input, model.output)
    state = keras.Model(model.input, layer.input)(x, training=False)

    def loss(state):
        logits = rest(state, training=False)
        return ops.sum(keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True))

    (expected,) = backend.gradients(loss, [state])
    expected = ops.convert_to_numpy(expected).reshape(3, -1)
    assert record.whole[0] == pytest.approx(norm(expected), rel=1e-3)


@slow_on("tensorflow")
def test_probabilities_are_differentiated_as_such():
    model, y = linear(), np.array([0, 2, 1, 0, 1])
    likely = keras.Model(model.input, layers.Softmax()(model.output))
    logits, probabilities = (paths(one, X, y, lengths=[0]) for one in (model, likely))
    np.testing.assert_allclose(probabilities.whole, logits.whole, rtol=1e-3)


def test_tables_and_the_picture(tmp_path):
    record = paths(linear(), X, repeats=2)
    rows = record.table()
    assert [row["length"] for row in rows] == [0, 1, 2, 3]
    assert [row["paths"] for row in rows] == [1 / 8, 3 / 8, 3 / 8, 1 / 8]
    assert [row["unit"] for row in record.depth_table()] == [*record.names, "end"]
    record.to_csv(tmp_path / "paths.csv")
    record.to_csv(tmp_path / "depth.csv", depth=True)
    lines = [(tmp_path / f"{name}.csv").read_text().splitlines() for name in ("paths", "depth")]
    assert [len(part) for part in lines] == [5, 5]
    assert lines[1][0] == "unit,whole,shortcut,branches,plain"
    pytest.importorskip("matplotlib")
    axes = record.plot(tmp_path / "paths.png")
    assert axes[1].get_yscale() == "log"
    assert (tmp_path / "paths.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"lengths": [4]}, r"`lengths` must be integers from 0 to 3, but it is \[4\]"),
        ({"repeats": 0}, "`repeats` must be an integer of at least 1, but it is 0"),
        ({"scale": np.nan}, "`scale` must be a finite number"),
        ({"y": [0, 1, 2, 3, 3]}, r"`y` must be integers below 3 of the shape \(5,\)"),
        ({"y": [0.5] * 5}, "they are float64"),
        ({"blocks": "stage7"}, "'stage7' is not among"),
    ],
)
def test_wrong_arguments(how, words):
    with pytest.raises(ValueError, match=words):
        paths(linear(), X, **how)


def test_what_is_not_a_sum_is_named():
    inputs = x = keras.Input((4,))
    for _ in range(2):
        x = layers.Maximum()([x, layers.Dense(4)(x)])
    with pytest.raises(ValueError, match="a Maximum, and not by a sum"):
        paths(keras.Model(inputs, x), X)
    one = RecurrentResidual(layers.Dense(4), steps=3)(inputs)
    record = paths(keras.Model(inputs, one), X, repeats=1)
    assert list(record.lengths) == [0, 1]
