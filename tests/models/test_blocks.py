"""models.blocks: what it finds, by structure alone, and what it leaves alone, with the reason."""

import keras
import pytest
from keras import layers

from keras_recres import models
from keras_recres.backend import keras_private
from keras_recres.models.blocks import search

# Graphs alone: nothing is computed.
pytestmark = pytest.mark.neutral
# In the order in which they run: counts of the runs, then how many single residual blocks.
APPLICATIONS = {
    "ResNet50": ([2, 3, 5, 2], 0),
    "ResNet101": ([2, 3, 22, 2], 0),
    "ResNet50V2": ([2, 4, 2], 1),
    "ConvNeXtTiny": ([3, 3, 9, 3], 0),
    "EfficientNetV2S": ([2, 3, 3, 5, 8, 14], 0),
    "EfficientNetB0": ([2, 2, 3], 2),
    "Xception": ([8], 0),
    "InceptionResNetV2": ([10, 20, 9], 1),
    "DenseNet121": ([], 0),
}


def counts(model):
    return [run.count for run in models.blocks(model)]


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_runs_of_keras_applications(name):
    runs = models.blocks(getattr(keras.applications, name)(weights=None))
    several = [run for run in runs if run.count > 1]
    assert ([run.count for run in several], len(runs) - len(several)) == APPLICATIONS[name]
    assert all(run.residual for run in runs)
    if name == "ResNet50":
        assert [run.name for run in runs] == [f"conv{i}_block" for i in (2, 3, 4, 5)]
        # Three convolutions with biases and three norms: 1.12M in the fourth stage.
        assert runs[2].parameters == 5 * 1121792
        assert runs[2].multiply_adds == 5 * 14**2 * (1024 * 256 * 2 + 9 * 256**2)
    if name == "InceptionResNetV2":
        assert [run.name for run in runs][:3] == ["block35_", "block17_", "block8_"]


def block(x, i, rate=0.1, activation="relu", add=True):
    """A residual block after the activation, its rates and names its own."""
    y = layers.Conv2D(4, 3, padding="same", name=f"part{i}_conv", kernel_initializer="zeros")(x)
    y = layers.BatchNormalization(name=f"part{i}_norm")(y)
    y = layers.Dropout(rate)(y) if rate else layers.Activation("linear")(y)
    return layers.Activation(activation)(layers.Add()([x, y]) if add else y)


def chain(count, change=None, **how):
    """So many of them, with a convolution before; `change` gets each tensor and its number."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, name="stem")(inputs)
    for i in range(count):
        x = block(x, i, **how)
        x = change(x, i) if change else x
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D()(x)))


def test_a_run_leads_from_tensor_to_tensor():
    model = chain(3)
    (run,) = models.blocks(model)
    assert (run.name, run.count, run.residual) == ("part", 3, True)
    assert len(run.tensors) == 4
    assert {x.shape for x in run.tensors} == {(None, 8, 8, 4)}
    # What follows the sum belongs to the block that the sum ends.
    assert [x.name for x in run.layers[1] if x.weights] == ["part1_conv", "part1_norm"]
    assert run.layers[2][-1].name == model.layers[-3].name
    assert run.parameters == 3 * (9 * 4 * 4 + 4 + 4 * 4)
    assert run.multiply_adds == 3 * 64 * 9 * 4 * 4


def test_rates_and_what_does_nothing_leave_blocks_equal():
    inputs = x = keras.Input((8, 8, 4))
    for i, rate in enumerate((0, 0.1, 0.3)):
        x = block(x, i, rate)
    assert counts(keras.Model(inputs, x)) == [3]
    assert counts(keras.Model(inputs, block(x, 3, activation="tanh"))) == [3, 1]
    assert counts(keras.Model(inputs, block(x, 3, add=False))) == [3]


def test_ways_to_spell_a_call_leave_blocks_equal():
    inputs = x = keras.Input((5, 8))
    for how in ({}, {"mask": None, "training": None}):
        x = layers.GRU(8, return_sequences=True)(x, **how)
    assert counts(keras.Model(inputs, x)) == [2]
    said = layers.MultiHeadAttention(2, 4)(query=x, value=x, key=None)
    x = layers.MultiHeadAttention(2, 4)(said, said)
    assert counts(keras.Model(inputs, x)) == [2, 2]
    # What a call does say is one.
    x = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    assert counts(keras.Model(inputs, x)) == [2, 2]


def test_runs_that_share_a_name_are_numbered():
    inputs = x = keras.Input((4,))
    for units in (4, 4, 6, 6, 6):
        x = layers.Dense(units)(x)
    runs = models.blocks(keras.Model(inputs, x))
    assert [(run.name, run.count, run.residual) for run in runs] == [
        ("dense_1", 2, False),
        ("dense_2", 2, False),  # The first of six units has another kernel.
    ]


def test_a_single_residual_block_is_one():
    assert [(r.name, r.count, r.residual) for r in models.blocks(chain(1))] == [
        ("part0_norm", 1, True)
    ]
    assert models.blocks(chain(1, add=False)) == []


@pytest.mark.parametrize("mask", [False, True])
def test_what_enters_from_aside_breaks_no_run(mask):
    inputs, side = keras.Input((5, 8)), keras.Input((5, 5), dtype="bool")
    time = keras.Input((3,))
    x = inputs
    for _ in range(3):
        y = layers.MultiHeadAttention(2, 4)(x, x, attention_mask=side if mask else None)
        # Computed from aside for each block alone.
        y = y + layers.Reshape((1, 8))(layers.Dense(8)(time))
        x = layers.LayerNormalization()(x + y)
    sides = [side, time] if mask else [time]
    assert counts(keras.Model([inputs, *sides], x)) == [3]


def test_nested_models_are_searched_and_compared():
    def mixer(i):
        inputs = keras.Input((6, 8))
        x = inputs
        for j in range(2):
            y = layers.Permute((2, 1))(layers.LayerNormalization(name=f"n{i}{j}")(x))
            y = layers.Dense(6, "gelu", name=f"d{i}{j}")(y)
            x = layers.Add()([x, layers.Permute((2, 1))(y)])
        return keras.Model(inputs, x, name=f"mixer{i}")

    inputs = x = keras.Input((6, 8))
    for i in range(3):
        x = mixer(i)(x)
    inner = keras.Model(inputs, x, name="inner")
    outer = keras.Sequential([keras.Input((6, 8)), inner, layers.Dense(1)])
    runs = models.blocks(outer)
    assert [(run.name.rstrip("0123456789"), run.count) for run in runs] == [
        ("inner/mixer", 3),
        *[(f"inner/mixer{i}/d", 2) for i in range(3)],
    ]
    assert runs[0].model is inner
    assert runs[1].model.name == "mixer0"


def test_what_is_used_elsewhere_ends_a_run():
    inputs = keras.Input((8, 8, 4))
    x, seen = inputs, []
    for i in range(5):
        x = block(x, i)
        seen.append(x)
    # An output after the second block: four blocks remain, two and three of them together.
    assert counts(keras.Model(inputs, [seen[-1], seen[1]])) == [2, 3]
    # A tensor inside the third block, before its sum.
    inside = keras.Model(inputs, x).get_layer("part2_norm").output
    assert counts(keras.Model(inputs, [x, layers.GlobalMaxPooling2D()(inside)])) == [2, 2]
    _, others = search(keras.Model(inputs, [x, inside]))
    assert [reason.split(":")[0] for _, reason in others] == [
        "a tensor inside is used elsewhere, too"
    ]
    # A shortcut past all leaves no tensor through which everything passes.
    assert counts(keras.Model(inputs, layers.Concatenate()([inputs, x]))) == []


def test_shared_layers_are_in_no_run():
    inputs = x = keras.Input((4,))
    dense = layers.Dense(4, name="shared")
    for _ in range(3):
        x = dense(x)
    runs, others = search(keras.Model(inputs, x))
    assert runs == []
    assert others == [
        ("shared … shared", "a layer with weights is called elsewhere, too: (4,) → (4,)")
    ]


def test_equal_settings_are_not_equal_shapes():
    def narrow(x, i):
        return layers.MaxPooling2D()(x) if i == 1 else x

    # 64 cells and 16 have the same weights, and are two runs.
    assert counts(chain(4, narrow)) == [2, 2]


@pytest.mark.parametrize(("name", "found"), [("vit7_rec", [("block", 7)]), ("planar_rec", [])])
def test_names_of_the_zoo(name, found):
    from keras_recres import zoo

    with keras_private.values_given_later():
        model = zoo.build(name)
    runs = models.blocks(model)
    assert [(run.name, run.count) for run in runs if run.count > 1] == found
    assert all(run.residual for run in runs)


def test_subclassed_models_are_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"functional or Sequential model.* it is an Own"):
        models.blocks(Own())
