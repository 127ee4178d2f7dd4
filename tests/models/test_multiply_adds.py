"""multiply_adds against the published counts of whole networks and hand formulas of each layer."""

import math
import re

import keras
import numpy as np
import pytest

from keras_recres import layers
from keras_recres.models import multiply_adds, planar, t2t_vit
from keras_recres.models import product_rules as rules_module
from tests.marks import slow_on_tensorflow

# Counts of shapes: nothing is computed.
pytestmark = pytest.mark.neutral


def conv(maps, groups=1):
    return keras.layers.Conv2D(maps, 3, padding="same", groups=groups)


def model_of(shape, *stack):
    return keras.Sequential([keras.Input(shape), *stack])


def pool(size=2):
    return keras.layers.MaxPooling2D(size)


def plain(*widths):
    """Convolution, PReLU and batch norm for each width, and a pooling where it is None."""
    stack = []
    for width in widths:
        if width is None:
            stack.append(pool())
        else:
            stack += [
                conv(width),
                keras.layers.PReLU(shared_axes=[1, 2, 3]),
                keras.layers.BatchNormalization(),
            ]
    return stack


def head(hidden, features):
    return [keras.layers.Reshape((features,)), keras.layers.Dense(hidden), keras.layers.Dense(10)]


def counts(model):
    result = multiply_adds(model)
    assert result.unknown == ()
    assert result.total == sum(result.layers.values())
    return list(result.layers.values())


def test_the_small_network():
    model = model_of((32, 32, 3), *plain(6, 16, None, 32, None), *head(40, 2048))
    assert counts(model) == [165_888, 884_736, 1_179_648, 81_920, 400]
    assert multiply_adds(model).total == 2_312_592


def test_the_small_network_with_a_volume():
    volume = [layers.Conv3dSubstitute(2, 3, 1), pool()]
    model = model_of((32, 32, 3), *plain(6, 16, None), *volume, *head(40, 2048))
    assert counts(model) == [165_888, 884_736, 221_184, 81_920, 400]
    assert multiply_adds(model).total == 1_354_128


def test_the_small_network_with_groups_of_maps():
    meta = layers.MetaConv2D(16, 3, groups=4, meta_groups=8, pool_size=2)
    model = model_of((32, 32, 3), *plain(6, 16, None), meta, *head(40, 2048))
    # 4 convolutions of 36,864 and the mixing of 8 × 8 pixels after the pooling.
    assert counts(model) == [165_888, 884_736, 4 * 36_864 + 8_192, 81_920, 400]
    assert multiply_adds(model).total == 1_288_592


def test_the_small_network_with_groups_in_the_head():
    grouped = [keras.layers.Flatten(), layers.MetaDense(10, groups=4), keras.layers.Dense(10)]
    model = model_of((32, 32, 3), *plain(6, 16, None, 32, None), *grouped)
    assert counts(model) == [165_888, 884_736, 1_179_648, 4 * 5_120 + 160, 400]
    assert multiply_adds(model).total == 2_251_312


def test_the_medium_network_with_volumes():
    model = model_of(
        (32, 32, 3),
        *plain(16, 32, None, 64),
        layers.Conv3dSubstitute(8, 3, 4, unfold=False),
        keras.layers.MaxPooling3D(2),
        keras.layers.Permute((2, 3, 4, 1)),
        keras.layers.Reshape((8, 8, 64)),
        *plain(128),
        layers.Conv3dSubstitute(16, 3, 8),
        keras.layers.AdaptiveAveragePooling2D(3),
        keras.layers.Conv2D(128, 1, name="to_leave_out"),
        *head(64, 1152),
    )
    result = multiply_adds(model)
    assert result.total - result.layers["to_leave_out"] == 21_750_400
    assert [result.layers[layer.name] for layer in model.layers if "conv3d" in layer.name] == [
        3_538_944,
        3_538_944,
    ]


@slow_on_tensorflow
@pytest.mark.parametrize(
    ("depth", "steps", "total"),
    [
        (3, 1, 654_243_840),
        (3, [2, 4, 2], 1_270_018_560),
        (7, 1, 1_146_863_616),
        (7, 2, 2_008_948_224),
    ],
)
def test_the_vits_have_the_counts_of_the_reference(depth, steps, total):
    result = multiply_adds(t2t_vit(depth, steps))
    assert result.total == total
    assert result.unknown == ()


def test_a_transformer_block_is_its_maps_and_its_attention():
    tokens, features, hidden = 197, 256, 512
    block = layers.TransformerBlock(num_heads=4)
    block.build((None, tokens, features))
    maps = tokens * (3 * features**2 + features**2 + 2 * features * hidden)
    attention = 2 * tokens**2 * features
    got = multiply_adds(block, (tokens, features)).total
    assert got == maps + attention == 123_154_944


def test_the_token_transformer_counts_its_attention():
    tokens, features, units = 49, 27, 8
    layer = layers.TokenTransformer(units)
    layer.build((None, tokens, features))
    maps = tokens * (features * 3 * units + 3 * units * units)
    got = multiply_adds(layer, (tokens, features)).total
    assert got == maps + 2 * tokens**2 * units


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (keras.layers.Conv1D(5, 3), (9, 4), 7 * 3 * 4 * 5),
        (keras.layers.Conv2D(6, (3, 2), 2), (9, 8, 4), 4 * 4 * 3 * 2 * 4 * 6),
        (keras.layers.Conv2D(6, 3, groups=2), (5, 5, 4), 9 * 9 * 2 * 6),
        (keras.layers.Conv2D(6, 3, dilation_rate=2), (7, 7, 4), 9 * 9 * 4 * 6),
        (keras.layers.Conv3D(2, 3, padding="same"), (4, 5, 6, 3), 120 * 27 * 3 * 2),
        (keras.layers.Conv2DTranspose(6, 3, 2), (4, 5, 3), 20 * 9 * 3 * 6),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), (5, 5, 4), 9 * 9 * 4 * 2),
        (keras.layers.DepthwiseConv1D(3), (5, 4), 3 * 3 * 4),
        (
            keras.layers.SeparableConv2D(6, 3, depth_multiplier=2),
            (5, 5, 4),
            9 * (9 * 4 * 2 + 8 * 6),
        ),
        (keras.layers.Dense(6, activation="softmax"), (3, 2, 4), 6 * 4 * 6),
        (keras.layers.EinsumDense("abc,cd->abd", (None, 6)), (3, 4), 3 * 4 * 6),
        (keras.layers.EinsumDense("...c,cde->...de", (6, 2)), (3, 5, 4), 15 * 4 * 12),
        (keras.layers.EinsumDense("abcd,bde->abce", (3, 5, 6)), (3, 5, 4), 3 * 5 * 4 * 6),
        (
            keras.layers.TimeDistributed(keras.layers.Conv2D(2, 3)),
            (7, 5, 5, 4),
            7 * 9 * 9 * 4 * 2,
        ),
        (keras.layers.Embedding(7, 3), (5,), 0),
        (keras.layers.LayerNormalization(), (5, 4), 0),
        (keras.layers.GRU(5), (6, 3), 6 * 3 * 5 * (3 + 5)),
        (
            keras.layers.Bidirectional(keras.layers.LSTM(5)),
            (6, 3),
            2 * 6 * 4 * 5 * (3 + 5),
        ),
        (
            layers.Recurrent([keras.layers.SimpleRNNCell(5), keras.layers.LSTMCell(2)]),
            (6, 3),
            6 * (5 * (3 + 5) + 4 * 2 * (5 + 2)),
        ),
        (
            layers.Recurrent(layers.GridLSTMCell(5, depth=4, tied=True)),
            (6, 3),
            6 * (3 * 10 + 4 * 2 * 10 * 20),
        ),
        (layers.Recurrent(layers.ArrayLSTMCell(5, 2, "max")), (6, 3), 6 * (5 * 10 * (3 + 5))),
        (
            layers.PeepholeConvLSTM2D(5, 3, "map", recurrent_kernel_size=1),
            (6, 4, 4, 2),
            6 * 16 * (9 * 2 * 20 + 5 * 20 + 3 * 5),
        ),
        (layers.AttentionWindow(2), (6, 3), 6 * 3 * 5),
        (layers.AttentionWindow(2, "dot"), (6, 3), 2 * 6 * 3 * 5),
        (layers.AttentionWindow(2, "additive"), (6, 3), 6 * (2 * 9 + 2 * 15)),
        (layers.TreeNet(3), (6, 3), 5 * 18),
        (layers.TreeNet(3, tensor=True), (6, 3), 5 * (18 + 36 * 3 + 18)),
        (layers.MetaLayer(5), (6, 3), 6 * 3 * 5),
        (layers.MetaLayer(5, axis=1), (3, 6, 2), 12 * 3 * 5),
        (layers.GroupedDense(5, 3), (2, 12), 2 * 12 * 5),
        (layers.MetaDense(5, 3, 4), (2, 12), 2 * (12 * 5 + 5 * 3 * 4)),
        (
            layers.MetaConv2D(6, 3, 3, 4, strides=2, padding="valid"),
            (8, 7, 12),
            9 * (9 * 4 * 6 + 3 * 4 * 2),
        ),
        (
            layers.Conv3dSubstitute(3, (2, 3, 1), 2, padding="valid_depth", strides=2),
            (5, 4, 12),
            5 * 3 * 2 * 2 * 3 * 2 * 3,
        ),
        (layers.Conv3dSubstitute(3, 3, 2, unfold=False), (5, 4, 12), 6 * 5 * 4 * 27 * 2 * 3),
        (layers.ClassToken(), (3, 4), 0),
        (layers.FRN(4, hidden_units=6), (3, 4), 3 * (4 * 6 + 6 * 4)),
        (layers.RRN(4), (3, 4), 3 * 4 * 4),
        (layers.AlphaReLU(0.5, learnable=True), (3, 4), 0),
    ],
)
def test_each_layer_follows_its_formula(layer, shape, count):
    dtype = "int32" if isinstance(layer, keras.layers.Embedding) else "float32"
    inputs = keras.Input(shape, dtype=dtype)
    result = multiply_adds(keras.Model(inputs, layer(inputs)))
    assert (result.total, result.unknown) == (count, ())


@pytest.mark.parametrize("layer", [layers.MetaLayer(5), layers.MetaLayer(5, axis=1)])
def test_a_meta_layer_counts_a_list_of_groups(layer):
    inputs = [keras.Input((6, 2)) for _ in range(3)]
    assert multiply_adds(keras.Model(inputs, layer(inputs))).total == 12 * 3 * 5


@pytest.mark.parametrize("use_gate", [False, True])
def test_multi_head_attention(use_gate):
    queries, values, heads, key_dim, value_dim = 5, 7, 2, 3, 4
    layer = keras.layers.MultiHeadAttention(heads, key_dim, value_dim, use_gate=use_gate)
    query, value = keras.Input((queries, 8)), keras.Input((values, 6))
    got = multiply_adds(keras.Model([query, value], layer(query, value=value))).total
    maps = heads * (queries * 8 * key_dim + values * 6 * (key_dim + value_dim))
    products = queries * values * heads * (key_dim + value_dim)
    gate = queries * 8 * heads * value_dim if use_gate else 0
    assert got == maps + products + gate + queries * heads * value_dim * 8


def test_recurrent_residual_counts_its_steps():
    branch = keras.Sequential([keras.layers.Dense(9), keras.layers.Dense(4)])
    inputs = keras.Input((4,))
    layer = layers.RecurrentResidual(branch, steps=3, inject_input="concat")
    model = keras.Model(inputs, layer(layer(inputs), steps=5))
    assert multiply_adds(model).total == (3 + 5) * (8 * 9 + 9 * 4)
    assert multiply_adds(planar(depth=1, steps=13)).total == 13 * 4


def test_shared_layers_and_nested_models_count_every_call():
    open_size = keras.Input((None, None, 4))
    encoder = keras.Model(open_size, keras.layers.Conv2D(4, 3, name="conv")(open_size), name="e")
    large, small = keras.Input((8, 8, 4)), keras.Input((5, 5, 4))
    outputs = [encoder(large, training=False), encoder(small)]
    result = multiply_adds(keras.Model([large, small], outputs))
    assert result.layers == {"e/conv": (36 + 9) * 9 * 16}


def test_the_models_of_keras_applications():
    # 569 million in arXiv 1704.04861, table 4.
    result = multiply_adds(keras.applications.MobileNet(weights=None))
    assert (result.total, result.unknown) == (568_740_352, ())


def test_an_open_size_is_asked_for():
    model = model_of((None, None, 3), conv(4))
    with pytest.raises(ValueError, match=r"which is open: give `input_shape`") as error:
        multiply_adds(model)
    assert str(error.value).count("\n") == 0
    assert multiply_adds(model, (5, 6, 3)).total == 30 * 9 * 12
    with pytest.raises(ValueError, match=re.escape("takes (None, None, 3).")):
        multiply_adds(model, (5, 3))


class Own(keras.layers.Layer):
    """A dense layer that the rules do not know."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], 4))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


class OwnThatKnows(Own):
    def multiply_adds(self, input_shape):
        return math.prod(input_shape[1:]) * 4


def test_what_it_does_not_know_is_named():
    branch = keras.Sequential([keras.layers.Dense(4), Own(name="inside")], name="branch")
    inputs = keras.Input((4,))
    x = Own(name="own")(inputs)
    x = layers.RecurrentResidual(branch, steps=2, name="block")(x)
    y = keras.ops.matmul(keras.ops.transpose(x), x)
    y = keras.layers.Activation("relu")(y)
    result = multiply_adds(keras.Model(inputs, y))
    assert result.unknown[:2] == ("own", "block/branch/inside")
    assert result.unknown[2].startswith("matmul")
    assert result.total == 2 * 16


def test_a_layer_of_ones_own_may_know_its_count():
    model = model_of((3, 5), OwnThatKnows())
    assert counts(model) == [3 * 5 * 4]


def test_every_layer_of_ours_has_a_rule_or_no_products():
    without_weights = (
        layers.CeilMaxPooling2D,
        layers.LocalResponseNormalization,
        layers.RandomizedReLU,
        layers.SoftSplit,
    )
    kinds = (*rules_module.RULES, *rules_module.WITHOUT_PRODUCTS, *without_weights)
    for name in layers.__all__:
        assert issubclass(getattr(layers, name), kinds), name


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "model", [Subclassed(), keras.Sequential([keras.layers.Dense(2)]), keras.layers.Dense(2)]
)
def test_models_without_a_graph_are_refused_in_one_sentence(model):
    with pytest.raises(ValueError, match="must be a functional or a built Sequential") as error:
        multiply_adds(model)
    assert str(error.value).count("\n") == 0


def test_the_model_is_left_as_it_is():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, conv(4)(inputs))
    nodes = len(model.layers[-1]._inbound_nodes)
    multiply_adds(model, (8, 8, 3))
    assert len(model.layers[-1]._inbound_nodes) == nodes
    assert model.predict(np.zeros((1, 6, 6, 3)), verbose=0).shape == (1, 6, 6, 4)
