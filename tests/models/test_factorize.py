"""rules.factorize: what it saves, and kernels of a low rank, which it keeps."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.models import rules, substitute

RNG = np.random.default_rng(0)


def model(size=5, channels=8, filters=8, **options):
    inputs = keras.Input((9, 9, channels))
    conv = keras.layers.Conv2D(filters, size, padding="same", name="conv", **options)
    return keras.Model(inputs, conv(inputs))


def replaced(before, **options):
    after, table = substitute(before, rules.factorize(**options), verbose=False)
    (row,) = table.rows
    return after, row


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("how", "size", "width", "saved"),
    [
        ("stacked", 5, None, 1 - 18 / 25),  # 28 %
        ("stacked", 7, None, 1 - 27 / 49),
        ("stacked", 11, None, 1 - 45 / 121),
        ("asymmetric", 3, None, 1 / 3),
        ("asymmetric", 7, None, 1 - 2 / 7),
        ("asymmetric", (3, 5), 4, 1 - (3 * 8 * 4 + 5 * 4 * 8) / (15 * 64)),
        ("bottleneck", 3, None, 1 - (2 * 8 * 2 + 9 * 4) / (9 * 64)),
        ("bottleneck", 3, 4, 1 - (2 * 8 * 4 + 9 * 16) / (9 * 64)),
        ("separable", 3, None, 1 - (9 * 8 + 64) / (9 * 64)),
        ("separable", 5, 2, 1 - 2 * (25 * 8 + 64) / (25 * 64)),
    ],
)
def test_what_is_saved(how, size, width, saved):
    after, row = replaced(model(size, use_bias=False), how=how, width=width)
    assert row.substitute is not None, row.note
    for before, less in (row.parameters, row.multiply_adds):
        assert 1 - less / before == pytest.approx(saved)
    assert after.output_shape == (None, 9, 9, 8)


def kernel_of_rank(how, height, width, channels, filters, rank):
    """A kernel that the factors of a rank can have."""
    if how == "asymmetric":
        parts = RNG.normal(size=(height, channels, rank)), RNG.normal(size=(rank, width, filters))
        return np.einsum("hcr,rwf->hwcf", *parts)
    if how == "bottleneck":
        shapes = (channels, rank), (height, width, rank, rank), (rank, filters)
        return np.einsum("cr,hwrs,sf->hwcf", *(RNG.normal(size=shape) for shape in shapes))
    parts = (
        RNG.normal(size=(height, width, channels, rank)),
        RNG.normal(size=(channels, rank, filters)),
    )
    return np.einsum("hwcr,crf->hwcf", *parts)


@pytest.mark.parametrize("how", ["asymmetric", "bottleneck", "separable"])
def test_kernels_of_a_low_rank_are_kept(how):
    before = model((3, 5), filters=12, activation="relu", strides=2)
    layer, rank = before.get_layer("conv"), 2
    layer.kernel.assign(kernel_of_rank(how, 3, 5, 8, 12, rank))
    layer.bias.assign(RNG.normal(size=12))
    after, row = replaced(before, how=how, init="svd", width=rank)
    x = RNG.normal(size=(2, 9, 9, 8)).astype("float32")
    outputs = [ops.convert_to_numpy(m(x, training=False)) for m in (before, after)]
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-4 * outputs[0].std())
    error = float(row.note.removeprefix("relative error of the kernel "))
    assert error < 1e-6


@pytest.mark.parametrize("how", ["asymmetric", "bottleneck", "separable"])
def test_the_error_that_is_told_is_the_kernels(how):
    before = model(3, channels=4, filters=6)
    after, row = replaced(before, how=how, init="svd", width=2 if how != "separable" else 1)
    # One pixel of each channel in turn shows the kernel.
    x = np.zeros((4, 9, 9, 4), "float32")
    x[range(4), 4, 4, range(4)] = 1
    one, other = (ops.convert_to_numpy(m(x, training=False)) for m in (before, after))
    wanted = np.linalg.norm(one - other) / np.linalg.norm(one)
    error = float(row.note.removeprefix("relative error of the kernel "))
    assert error == pytest.approx(wanted, rel=0.05)
    assert 0.05 < error < 0.95


def test_parts_have_the_layers_activation_between_and_are_saved(tmp_path):
    before = model(5, activation="relu")
    after, _ = replaced(before, how="stacked")
    parts = after.get_layer("conv").layers
    assert [part.activation.__name__ for part in parts] == ["relu", "relu"]
    assert [part.use_bias for part in parts] == [True, True]
    after.save(tmp_path / "after.keras")
    again = keras.models.load_model(tmp_path / "after.keras")
    x = RNG.normal(size=(2, 9, 9, 8)).astype("float32")
    outputs = [ops.convert_to_numpy(m(x, training=False)) for m in (after, again)]
    np.testing.assert_allclose(*outputs, atol=1e-6)
    parts = replaced(model(5), how="asymmetric", activation="tanh")[0].get_layer("conv").layers
    assert [part.activation.__name__ for part in parts] == ["tanh", "linear"]


@pytest.mark.neutral
def test_what_cannot_be_factorized_says_why():
    for options, size, words in (
        ({"how": "stacked"}, 3, "is for odd squares of at least 5 x 5"),
        ({"how": "stacked"}, 4, "its kernel is 4 x 4"),
        ({"how": "asymmetric"}, (1, 7), "is a row or a column already"),
        ({"how": "separable"}, 1, "has no cells to separate"),
        ({"how": "bottleneck", "width": 8}, 3, "Sequential would have"),
    ):
        _, row = replaced(model(size), **options)
        assert row.substitute is None
        assert words in row.note
    for options, words in (
        ({"how": "low"}, "`how` must be one of 'stacked', 'asymmetric'"),
        ({"init": "svd"}, "`init` must be None for 'stacked'"),
        ({"how": "separable", "init": "pca"}, "`init` must be None or 'svd'"),
        ({"how": "asymmetric", "width": 0}, "`width` must be an integer of at least 1"),
        ({"how": "bottleneck", "init": "svd", "activation": "relu"}, "`activation` must be None"),
    ):
        with pytest.raises(ValueError, match=words):
            rules.factorize(**options)
