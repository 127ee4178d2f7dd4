"""probes.lesion against networks whose answers without a block, or in another order, are known."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_recres import models
from keras_recres.layers import RecurrentResidual
from keras_recres.probes import lesion


def adder(kernels, wide=()):
    """x ← x + x K for each kernel; `wide` ones come after two features more."""
    inputs = x = keras.Input((4,))
    for i, kernel in enumerate(kernels):
        if i in wide:
            x = layers.Concatenate(name="wider")([x, x])
        dense = layers.Dense(x.shape[-1], use_bias=False, name=f"unit{i}_dense")
        x = layers.Add()([x, dense(x)])
        dense.kernel.assign(kernel)
    return keras.Model(inputs, x)


def kernels(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [0.8 * rng.normal(size=(n, n)).astype("float32") for n in sizes]


@pytest.fixture(scope="module")
def known():
    """Four additions, of which the last two are of eight features, and labels."""
    parts = kernels(4, 4, 8, 8)
    x = np.random.default_rng(1).normal(size=(70, 4)).astype("float32")

    def run(order, x):
        for i, part in enumerate(order):
            x = np.concatenate([x, x], -1) if i == 2 else x
            x = x if part is None else x + x @ parts[part]
        return x.argmax(-1)

    return adder(parts, wide=(2,)), x, run([0, 1, 2, 3], x), run


def test_each_block_is_deleted_by_itself(known):
    model, x, y, run = known
    weights = [w.copy() for w in model.get_weights()]
    record = lesion(model, x, y, batch_size=32)
    assert record.names == ("unit_1[0]", "unit_1[1]", "unit_2[0]", "unit_2[1]")
    assert (record.accuracy, record.examples) == (1.0, 70)
    own = [0, 1, 2, 3]
    wanted = [(run([None if i == j else i for i in own], x) == y).mean() for j in own]
    assert [row.accuracy for row in record.rows[1:]] == pytest.approx(wanted)
    assert [row.blocks for row in record.rows[1:]] == [(name,) for name in record.names]
    assert max(wanted) < 1
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_several_are_deleted_or_change_places_at_random(known):
    model, x, y, run = known
    record = lesion(model, x, y, delete=[2, 4], reorder=1, repeats=3, seed=5)
    names = record.names
    assert [len(row.blocks) for row in record.rows[1:7]] == [2, 2, 2, 4, 4, 4]
    for row in record.rows[1:7]:
        order = [None if name in row.blocks else i for i, name in enumerate(names)]
        assert row.accuracy == pytest.approx((run(order, x) == y).mean())
        assert row.kendall_tau == 1
    for row in record.rows[7:]:
        # Blocks of one shape alone, of which there are two pairs.
        a, b = (names.index(name) for name in row.blocks)
        assert (a, b) in {(0, 1), (2, 3)}
        order = [b if i == a else a if i == b else i for i in range(4)]
        assert row.accuracy == pytest.approx((run(order, x) == y).mean())
        assert row.kendall_tau == pytest.approx(1 - 2 / 6)
    again = lesion(model, x, y, delete=[2, 4], reorder=1, repeats=3, seed=5)
    assert again == record


def test_blocks_of_the_library_and_some_of_them():
    model = models.preact_resnet(14, input_shape=(8, 8, 3))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 8, 8, 3)), np.arange(6)
    record = lesion(model, x, y, blocks="stage0*")
    assert record.names == ("stage0_unit[0]", "stage0_unit[1]")
    with pytest.raises(ValueError, match=r"'stage7' is not among .*: stage0_unit, stage1_unit1"):
        lesion(model, x, y, blocks="stage7")


def test_blocks_of_a_plain_network_are_deleted_where_they_are_named():
    model = models.cifar_resnet(14, residual=False, input_shape=(4, 4, 1), filters=(2, 2, 2))
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype("float32")
    record = lesion(model, x, np.arange(6), blocks="stage1*")
    assert record.names == ("stage1_unit[0]", "stage1_unit[1]", "stage1_unit[2]")
    assert [row.blocks for row in record.rows] == [(), *((name,) for name in record.names)]
    with pytest.raises(ValueError, match="has no residual blocks"):
        lesion(model, x, np.arange(6))


def test_the_picture(known):
    plt = pytest.importorskip("matplotlib.pyplot")
    model, x, y, _ = known
    for how, label in (({}, "block deleted"), ({"delete": [1, 2]}, "blocks deleted")):
        assert lesion(model, x, y, repeats=2, **how).plot().get_xlabel() == label
    assert "Kendall" in lesion(model, x, y, reorder=2).plot().get_xlabel()
    plt.close("all")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"delete": 5}, "`delete` must be integers from 1 to 4, but it is 5"),
        ({"delete": 0}, "`delete` .* it is 0"),
        ({"repeats": 0}, "`repeats` must be an integer of at least 1, but it is 0"),
        ({"batch_size": 0.5}, "`batch_size` .* it is 0.5"),
        ({"reorder": [1, 0.5]}, r"`reorder` .* it is \[1, 0.5\]"),
        ({"y": [1, 2]}, "`y` must have a label for each example, but there are 2 for 70"),
    ],
)
def test_wrong_numbers(known, how, words):
    model, x, y, _ = known
    with pytest.raises(ValueError, match=words):
        lesion(model, x, **{"y": y, **how})


def test_networks_that_cannot_be_cut():
    x, y = np.zeros((2, 4)), [0, 1]
    with pytest.raises(ValueError, match="has no residual blocks"):
        lesion(keras.Sequential([keras.Input((4,)), layers.Dense(4)]), x, y)
    nested = keras.Sequential([keras.Input((4,)), adder(kernels(4, 4)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"lie in the nested model .* measured by itself"):
        lesion(nested, x, y)
    two = [keras.Input((4,)), keras.Input((4,))]
    z = RecurrentResidual(layers.Dense(4), steps=2)(layers.Add()(two))
    with pytest.raises(ValueError, match="one input, but it has 2"):
        lesion(keras.Model(two, z), x, y)
