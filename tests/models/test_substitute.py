"""substitute: shapes kept, other weights kept, the rest saved, and every refusal explained."""

import itertools
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers
from keras_recres.models import multiply_adds, rules, substitute, t2t_vit
from tests.gradients import computed
from tests.marks import slow_on, slow_on_tensorflow

JIT = keras.backend.backend() == "jax"  # Compiling these trainings takes TensorFlow longer.


def values(weights):
    return [ops.convert_to_numpy(weight).copy() for weight in weights]


def assert_equal(some, others):
    for a, b in zip(some, others, strict=True):
        np.testing.assert_array_equal(a, b)


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def small_model(**conv):
    """Convolutions, a norm and dense layers in a functional model."""
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1", **conv)(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(8, 3, 2, padding="same", name="conv2")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(8, activation="tanh", name="hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x), name="small")


ALL = {
    "conv1": rules.conv3d(volume_channels=2),
    "conv2": rules.meta_conv2d(groups=4),
    "hidden": rules.meta_dense(groups=2),
}


@slow_on_tensorflow
@pytest.mark.neutral
def test_vgg16():
    vgg16 = keras.applications.VGG16(weights=None, input_shape=(64, 64, 3), classes=10)
    before = values(vgg16.weights)
    slim, table = substitute(
        vgg16,
        {"block*": rules.conv3d(volume_depth=16), "fc?": rules.meta_dense(groups=16)},
        verbose=False,
    )
    assert_equal(values(vgg16.weights), before)
    # Channels and maps of the convolutions, without the first, whose 3 channels 16 do not divide.
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    convs = sum(27 * (c // 16) * (f // 16) + f // 16 for c, f in itertools.pairwise(widths))
    dense = [(2048 // 16 + 1) * 4096 + 16 + 256, (4096 // 16 + 1) * 4096 + 16 + 256]
    kept = 3 * 9 * 64 + 64 + 4096 * 10 + 10
    assert slim.count_params() == convs + sum(dense) + kept == 1_796_990
    assert table.total.parameters == (vgg16.count_params(), slim.count_params())
    adds = (multiply_adds(vgg16).total, multiply_adds(slim).total)
    assert table.total.multiply_adds == adds == (1_277_992_960, 242_393_088)
    assert [row.substitute for row in table.rows] == (
        [None] + ["Conv3dSubstitute"] * 12 + ["MetaDense"] * 2
    )
    assert table.rows[0].note == "the depth 16 does not divide 3 channels"
    assert [layer.name for layer in slim.layers] == [layer.name for layer in vgg16.layers]
    assert [layer.output.shape for layer in slim.layers] == [
        layer.output.shape for layer in vgg16.layers
    ]
    for name in ("block1_conv1", "predictions"):
        assert_equal(values(slim.get_layer(name).weights), values(vgg16.get_layer(name).weights))
    outputs = computed(slim, images(2, 64, 64, 3), training=False)
    assert outputs.shape == (2, 10)
    assert np.isfinite(outputs).all()


@slow_on("jax", "tensorflow")
@pytest.mark.neutral
def test_mobilenet():
    model = keras.applications.MobileNet(
        alpha=0.25, weights=None, input_shape=(32, 32, 3), classes=4
    )
    slim, table = substitute(model, {"conv_pw_*": rules.meta_conv2d(groups=4)}, verbose=False)
    replaced = {row.path for row in table.rows if row.substitute}
    assert replaced == {f"conv_pw_{i}" for i in range(1, 14)}
    for layer in model.layers:
        if layer.name not in replaced:
            assert_equal(values(layer.weights), values(slim.get_layer(layer.name).weights))
        else:
            channels, maps = layer.kernel.shape[2:]
            # Filters, mixing, slopes, scale and shift with their statistics; there is no bias.
            count = channels // 4 * maps + 16 + 4 + 4 * maps
            assert slim.get_layer(layer.name).count_params() == count
    adds = (multiply_adds(model).total, multiply_adds(slim).total)
    assert table.total.multiply_adds == adds
    assert adds[1] < adds[0]
    assert table.uncounted == ()


@slow_on("jax")
def test_the_result_is_saved_and_substituted_further(tmp_path):
    model = small_model()
    slim, _ = substitute(model, {"conv?": rules.meta_conv2d(groups=2)}, verbose=False)
    x = images(2, 8, 8, 4)
    slim.save(tmp_path / "slim.keras")
    loaded = keras.models.load_model(tmp_path / "slim.keras")
    np.testing.assert_allclose(computed(loaded, x), computed(slim, x), atol=1e-6)
    slimmer, table = substitute(loaded, {"hidden": rules.meta_dense(groups=4)}, verbose=False)
    assert [row.path for row in table.rows if row.substitute] == ["hidden"]
    assert slimmer.count_params() < loaded.count_params() < model.count_params()
    for name in ("conv1", "norm", "conv2", "head"):
        assert_equal(values(slimmer.get_layer(name).weights), values(slim.get_layer(name).weights))
    assert np.isfinite(computed(slimmer, x)).all()


@slow_on_tensorflow
def test_every_kind_of_substitute_learns_and_leaves_the_model_alone():
    model = small_model()
    before = values(model.weights)
    slim, _ = substitute(model, ALL, verbose=False)
    kinds = {"conv1": "Conv3dSubstitute", "conv2": "MetaConv2D", "hidden": "MetaDense"}
    assert {name: type(slim.get_layer(name)).__name__ for name in kinds} == kinds
    assert slim.get_layer("conv2").output.shape == (None, 4, 4, 8)
    kept = slim.get_layer("head")
    assert_equal(values(kept.weights), values(model.get_layer("head").weights))
    slim.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=JIT)
    x = images(32, 8, 8, 4)
    target = np.repeat(x.mean(axis=(1, 2, 3))[:, None] * 5, 3, axis=1)
    losses = slim.fit(x, target, epochs=15, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    assert_equal(values(model.weights), before)
    assert len(model.get_layer("head")._inbound_nodes) == 1


def test_activation_bias_initialisers_and_regularisers_are_taken_over():
    options = {
        "use_bias": False,
        "kernel_initializer": keras.initializers.Constant(0.5),
        "activity_regularizer": "l2",
        "kernel_regularizer": "l2",
    }
    for rule in (rules.conv3d(2), rules.meta_conv2d(2)):
        slim, table = substitute(small_model(**options), {"conv1": rule}, verbose=False)
        layer = slim.get_layer("conv1")
        assert not layer.use_bias
        assert layer.activity_regularizer is not None
        np.testing.assert_array_equal(values([layer.kernel])[0], 0.5)
        assert table.rows[0].note == "without its kernel_regularizer"
        outputs = computed(keras.Model(slim.input, layer.output), images(2, 8, 8, 4))
        # ReLU is the last that happens.
        assert outputs.min() == 0
        assert outputs.max() > 0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_the_dtype_policy_is_taken_over(policy):
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on for the whole process")
    inputs = keras.Input((8, 8, 4), dtype=keras.DTypePolicy(policy).compute_dtype)
    x = keras.layers.Conv2D(8, 3, padding="same", dtype=policy, name="conv1")(inputs)
    x = keras.layers.Conv2D(8, 3, padding="valid", dtype=policy, name="conv2")(x)
    x = keras.layers.Flatten(dtype=policy)(x)
    x = keras.layers.Dense(8, dtype=policy, name="hidden")(x)
    slim, table = substitute(keras.Model(inputs, x), ALL, verbose=False)
    assert all(row.substitute for row in table.rows)
    assert len(table.rows) == 3
    assert {layer.dtype_policy.name for layer in slim.layers[1:]} == {policy}
    assert slim.output.dtype == keras.DTypePolicy(policy).compute_dtype
    assert computed(slim, images(2, 8, 8, 4)).shape == (2, 8)


def nested_model():
    """A nested model and a layer used twice on images of two sizes, dicts in and out."""
    open_size = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(open_size)
    encoder = keras.Model(open_size, keras.layers.Dropout(0.5)(x), name="encoder")
    stack = [keras.Input((16,)), keras.layers.Dense(8, name="d1"), keras.layers.Dense(4, name="d2")]
    head = keras.Sequential(stack, name="head")
    large, small = keras.Input((6, 6, 4), name="large"), keras.Input((4, 4, 4), name="small")
    shared = keras.layers.Conv2D(16, 3, padding="same", name="shared")
    features = []
    for x in (large, small):
        features.append(ops.mean(shared(encoder(x, training=False))[:, 1:], axis=(1, 2)))
    y = keras.layers.Concatenate()(features)
    y = keras.layers.Dense(16, name="middle")(y)
    outputs = {"once": head(y), "twice": head(y * 2)}
    return keras.Model({"large": large, "small": small}, outputs)


@slow_on_tensorflow
def test_nested_models_and_shared_layers(tmp_path):
    model = nested_model()
    slim, table = substitute(
        model,
        {
            "encoder/*": rules.conv3d(volume_channels=2),
            "shared": rules.meta_conv2d(groups=2),
            "*/d1": rules.meta_dense(groups=2),
        },
        verbose=False,
    )
    assert [row.path for row in table.rows] == ["encoder/conv", "shared", "head/d1"]
    assert all(row.substitute for row in table.rows)
    # 6 × 6 and 4 × 4 pixels; the head runs twice.
    assert table.rows[0].multiply_adds == (52 * 9 * 16, 52 * 2 * 27 * 2 * 2)
    assert table.rows[2].multiply_adds == (2 * 16 * 8, 2 * (16 * 4 + 2 * 2 * 4))
    assert table.total.multiply_adds == (multiply_adds(model).total, multiply_adds(slim).total)
    assert len(slim.weights) == len({id(weight) for weight in slim.weights})
    middle = [m.get_layer("middle") for m in (model, slim)]
    assert_equal(*(values(layer.weights) for layer in middle))
    d2 = [m.get_layer("head").get_layer("d2") for m in (model, slim)]
    assert_equal(*(values(layer.weights) for layer in d2))
    x = {"large": images(3, 6, 6, 4), "small": images(3, 4, 4, 4)}
    outputs = computed(slim, x)
    assert {key: y.shape for key, y in outputs.items()} == {"once": (3, 4), "twice": (3, 4)}
    slim.compile("sgd", {"once": "mse", "twice": "mse"}, jit_compile=JIT)
    slim.fit(x, {"once": np.zeros((3, 4)), "twice": np.zeros((3, 4))}, verbose=0)
    slim.save(tmp_path / "nested.keras")
    loaded = keras.models.load_model(tmp_path / "nested.keras")
    want = computed(slim, x)
    for key, y in computed(loaded, x).items():
        np.testing.assert_allclose(y, want[key], atol=1e-5)


def test_without_a_substitute_the_copy_computes_the_same():
    model = nested_model()
    copy, table = substitute(model, {"middle": rules.meta_dense(groups=7)}, verbose=False)
    assert table.rows[0].note == "7 groups do not divide 32 features"
    x = {"large": images(3, 6, 6, 4), "small": images(3, 4, 4, 4)}
    got = computed(copy, x)
    for key, y in computed(model, x).items():
        np.testing.assert_allclose(got[key], y, atol=1e-6)


@pytest.mark.neutral
def test_layers_of_ours_are_kept_with_their_weights():
    model = t2t_vit(
        2, 2, embed_dim=32, token_dim=16, num_classes=4, input_shape=(32, 32, 3), unshare=("norm",)
    )
    slim, table = substitute(model, {"head": rules.meta_dense(groups=2)}, verbose=False)
    assert_equal(values(model.weights)[:-2], values(slim.weights)[: len(model.weights) - 2])
    assert table.uncounted == ()
    assert np.isfinite(computed(slim, images(2, 32, 32, 3))).all()


def test_frozen_layers_remain_frozen_and_substitutes_are_not():
    model = small_model()
    model.trainable = False
    slim, _ = substitute(model, ALL, verbose=False)
    assert {w.path.split("/")[0] for w in slim.trainable_weights} == set(ALL)
    assert not model.trainable_weights
    stack = keras.Sequential([keras.Input((8,)), *(keras.layers.Dense(8) for _ in range(2))])
    stack.trainable = False
    slim, _ = substitute(stack, {"*": rules.meta_dense(groups=2)}, verbose=False)
    assert len(slim.trainable_weights) == len([w for w in slim.weights if "seed" not in w.path])
    # A part of a layer, too.
    inputs = keras.Input((5, 8))
    block = layers.TransformerBlock(num_heads=2, name="block")
    x = keras.layers.Dense(8, name="after")(block(inputs))
    block.qkv.trainable = False
    slim, _ = substitute(keras.Model(inputs, x), {"after": rules.meta_dense(2)}, verbose=False)
    frozen = [w.path for w in slim.get_layer("block").weights if not w.trainable]
    assert len(frozen) == 1
    assert "qkv" in frozen[0]


def test_a_compiled_model_with_a_loss_of_its_own():
    model = small_model()
    model.compile("sgd", loss=lambda y, p: ops.mean(ops.square(y - p)))
    slim, _ = substitute(model, ALL, verbose=False)
    assert not slim.compiled
    model.fit(images(4, 8, 8, 4), np.zeros((4, 3)), verbose=0)


def test_a_rule_of_ones_own_and_a_lambda_layer():
    inputs = keras.Input((16,))
    x = keras.layers.Dense(16, name="wide")(inputs)
    x = keras.layers.Lambda(lambda x: 2 * x, output_shape=(16,))(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(x))

    def low_rank(layer, input_shape):
        if not isinstance(layer, keras.layers.Dense):
            return None
        rank = 3
        if 2 * rank > layer.units:
            return f"{layer.units} units are too few"
        return keras.Sequential(
            [keras.layers.Dense(rank, use_bias=False), keras.layers.Dense(layer.units)],
            name=layer.name,
        )

    slim, table = substitute(model, low_rank, verbose=False)
    assert [(row.substitute, row.note) for row in table.rows] == [
        ("Sequential", ""),
        (None, "2 units are too few"),
    ]
    assert table.rows[0].multiply_adds == (256, 96)
    assert slim.count_params() == 48 + 64 + 34
    assert computed(slim, images(2, 16)).shape == (2, 2)


@pytest.mark.neutral
def test_the_first_rule_that_gives_a_substitute_is_taken():
    slim, table = substitute(
        small_model(),
        {"conv*": rules.conv3d(3), "*": rules.meta_conv2d(2), "hidden": rules.meta_dense(5)},
        verbose=False,
    )
    assert type(slim.get_layer("conv1")) is layers.MetaConv2D
    assert {row.path: row.note for row in table.rows} == {
        "conv1": "",
        "conv2": "",
        "hidden": "5 groups do not divide 8 features",
    }
    _, table = substitute(
        small_model(), {"conv1": rules.conv3d(3), "conv*": rules.meta_conv2d(3)}, verbose=False
    )
    assert table.rows[0].note == (
        "3 volume channels do not divide 4 channels; 3 groups do not divide 4 channels"
    )


def conv(filters=8, kernel_size=3, channels=4, **options):
    options = {"padding": "same", **options}
    layer = keras.layers.Conv2D(filters, kernel_size, data_format="channels_last", **options)
    shape = (None, 8, 8, channels)
    layer.build(shape)
    return layer, shape


def dense(units, features=8, **options):
    layer = keras.layers.Dense(units, **options)
    layer.build((None, features))
    return layer, (None, features)


class OwnDense(keras.layers.Dense):
    pass


@pytest.mark.parametrize(
    ("rule", "layer", "reason"),
    [
        (rules.conv3d(3), conv(), "3 volume channels do not divide 4 channels"),
        (rules.conv3d(volume_depth=3), conv(), "the depth 3 does not divide 4 channels"),
        (rules.conv3d(1), conv(6), "the depth 4 does not divide 6 maps"),
        (rules.conv3d(filters=3), conv(8), "3 filters in a volume of depth 4 cannot give 8 maps"),
        (rules.conv3d(filters=1), conv(8), "1 filters in a volume of depth 4 cannot give 8 maps"),
        (rules.conv3d(2), conv(padding="valid"), 'its padding is "valid", a Conv3dSubstitute pads'),
        (rules.conv3d(2), conv(groups=2), "it has 2 groups already"),
        (rules.conv3d(2), conv(dilation_rate=2), "its dilation is (2, 2)"),
        (rules.conv3d(4), conv(), "Conv3dSubstitute would have 872 parameters"),
        (rules.meta_conv2d(3), conv(), "3 groups do not divide 4 channels"),
        (rules.meta_conv2d(4, 3), conv(), "3 groups do not divide 8 maps"),
        (rules.meta_dense(3), dense(8), "3 groups do not divide 8 features"),
        (rules.meta_dense(4), dense(6), "4 groups do not divide 6 units"),
        (rules.meta_dense(2), dense(2, 2), "MetaDense would have 10 parameters"),
        (
            rules.meta_dense(2),
            dense(8, activation=keras.layers.LeakyReLU()),
            "its activation is a layer",
        ),
    ],
)
def test_the_reasons_for_keeping_a_layer(rule, layer, reason):
    got = rule(*layer)
    assert isinstance(got, str)
    assert got.startswith(reason)


def test_unusual_dense_layers_are_kept():
    own = OwnDense(8)
    own.build((None, 8))
    assert rules.meta_dense(2)(own, (None, 8)) == "OwnDense may compute something else than Dense"
    low_rank, shape = dense(8)
    low_rank.enable_lora(2)
    assert "low-rank" in rules.meta_dense(2)(low_rank, shape)


@pytest.mark.neutral
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (rules.conv3d(2), {}),
        (rules.conv3d(2, kernel_depth=1), {"use_bias": False}),
        (rules.conv3d(filters=4), {}),
        (rules.conv3d(2, filters=8), {}),
        (rules.conv3d(volume_depth=4), {"kernel_size": 1, "padding": "valid"}),
        (rules.meta_conv2d(4), {"kernel_size": (3, 2)}),
        (rules.meta_conv2d(4, 2), {"padding": "valid"}),
        (rules.meta_conv2d(2, 4, activation=None, batch_norm=False), {"kernel_size": 1}),
    ],
)
def test_substitutes_give_the_shape_of_the_layer(rule, options, strides):
    layer, shape = conv(16, channels=8, strides=strides, **options)
    new = rule(layer, shape)
    x = images(2, 8, 8, 8)
    assert tuple(new(x).shape) == tuple(layer(x).shape)
    assert new.compute_output_shape(shape) == layer.compute_output_shape(shape)
    assert new.count_params() < layer.count_params()
    assert new.name == layer.name


def test_valid_depth_follows_the_formula_of_the_paper():
    layer, shape = conv(64, channels=32)
    new = rules.conv3d(filters=4)(layer, shape)
    # (32 − u + 1) · 4 = 64 maps from (9u + 1) · 4 parameters.
    assert new.kernel_size == (17, 3, 3)
    assert new.count_params() == (9 * 17 + 1) * 4


def test_equal_layers_begin_with_different_weights():
    shape = (None, 8, 8, 8)
    layer = keras.layers.Conv2D(
        8, 3, padding="same", kernel_initializer=keras.initializers.GlorotUniform()
    )
    layer.build(shape)
    first, second = (rules.conv3d(2)(layer, shape) for _ in range(2))
    assert not np.allclose(*values([first.kernel, second.kernel]))


@pytest.mark.neutral
def test_a_pattern_that_is_a_name_is_that_layer_alone():
    dense = [keras.layers.Dense(8, name=name) for name in ("fc1", "fc[1]")]
    model = keras.Sequential([keras.Input((8,)), *dense])
    for pattern in ("fc[1]", "fc[[]1]"):
        _, table = substitute(model, {pattern: rules.meta_dense(2)}, verbose=False)
        assert [row.path for row in table.rows] == ["fc[1]"]


@pytest.mark.neutral
def test_the_table_is_plain_text(capsys):
    _, table = substitute(small_model(), ALL)
    printed = capsys.readouterr().out
    assert printed == f"{table}\n"
    lines = printed.splitlines()
    numbers = " → ".join(f"{count:,}" for count in table.total.parameters)
    assert re.sub(" +", " ", lines[-1]).startswith(f"total {numbers}")
    assert lines[2].split()[:3] == ["conv1", "Conv2D", "Conv3dSubstitute"]
    for i in (0, 1):
        rows = (*table.rows, table.others)
        assert sum(row.parameters[i] for row in rows) == table.total.parameters[i]
        assert sum(row.multiply_adds[i] for row in rows) == table.total.multiply_adds[i]
    substitute(small_model(), ALL, verbose=False)
    assert capsys.readouterr().out == ""


def test_models_that_take_any_size():
    inputs = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(8, 3, padding="same", name="conv")(inputs)
    model = keras.Model(inputs, x)
    slim, table = substitute(model, rules.meta_conv2d(4), verbose=False)
    assert table.total.multiply_adds == (None, None)
    assert "? → ?" in str(table)
    assert computed(slim, images(1, 5, 7, 4)).shape == (1, 5, 7, 8)
    slim, table = substitute(model, rules.conv3d(2), input_shape=(5, 6, 4), verbose=False)
    assert table.total.multiply_adds == (30 * 9 * 32, 30 * 2 * 27 * 2 * 4)
    assert computed(slim, images(1, 5, 7, 4)).shape == (1, 5, 7, 8)


class Subclassed(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, inputs):
        return self.dense(inputs)


class Forgetful(keras.layers.Dense):
    """A layer whose get_config leaves an argument out."""

    def get_config(self):
        return {**super().get_config(), "units": self.units + 1}


def around(layer):
    inputs = keras.Input((8,))
    return keras.Model(inputs, layer(keras.layers.Dense(8, name="hidden")(inputs)))


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("model", "wanted", "message"),
    [
        (Subclassed(2), ALL, "must be a functional or Sequential model"),
        (keras.Sequential([keras.layers.Dense(2)], name="s"), ALL, "the Sequential 's' is not"),
        (small_model(), {}, "`rules` must be a dict of patterns and rules"),
        (small_model(), {"conv1": 4}, "`rules` must be a dict of patterns and rules"),
        (small_model(), {1: rules.conv3d()}, "`rules` must be a dict of patterns and rules"),
        (
            small_model(),
            {"conv1": rules.conv3d},
            "The rule of 'conv1' fails for 'conv1' (a rule is a function of a layer and its input",
        ),
        (small_model(), {"conv1": rules.meta_dense}, "as rules.meta_dense(groups=16) returns)"),
        (
            small_model(),
            {"*": rules.conv3d(2), "conv1": rules.meta_conv2d(2)},
            "'conv1' of `rules` matches 1 layer of 'small', all of which an earlier rule has",
        ),
        (
            small_model(),
            {"covn*": rules.conv3d()},
            "matches no layer of 'small'; similar names are 'conv2', 'conv1'.",
        ),
        (small_model(), {"zzz": rules.conv3d()}, "its layers are 'conv1', 'norm', 'conv2', 'hid"),
        (small_model(), {"norm": rules.conv3d()}, "replaces, only BatchNormalization."),
        (small_model(), {"conv1": lambda layer, shape: 3}, "must return a new layer, a string"),
        (around(Subclassed(2)), {"hidden": rules.meta_dense(2)}, "made again from its get_config"),
        (
            around(Forgetful(4, name="f")),
            {"hidden": rules.meta_dense(2)},
            "has other weights when it is made again from its get_config(): [(8, 5), (5,)]",
        ),
        (
            small_model(),
            lambda layer, shape: None,
            "rule replaces, only BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D.",
        ),
    ],
)
def test_mistakes_are_told_in_one_sentence(model, wanted, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        substitute(model, wanted, verbose=False)
    assert str(error.value).count("\n") == 0


@pytest.mark.neutral
def test_a_wrong_input_shape_is_refused():
    with pytest.raises(ValueError, match="must be a tuple of sides, but it is 8"):
        substitute(small_model(), ALL, input_shape=8, verbose=False)


def test_a_softmax_remains_one_over_all_features():
    inputs = keras.Input((8, 8, 8))
    x = keras.layers.Conv2D(16, 3, padding="same", activation="softmax", name="conv")(inputs)
    x = keras.layers.Flatten()(x)
    classes = keras.layers.Dense(32, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, [x, classes])
    wanted = {"conv": rules.meta_conv2d(4), "predictions": rules.meta_dense(4)}
    slim, table = substitute(model, wanted, verbose=False)
    assert [row.substitute for row in table.rows] == ["MetaConv2D", "MetaDense"]
    maps, classes = computed(slim, images(2, 8, 8, 8))
    np.testing.assert_allclose(maps.reshape(2, 64, 16).sum(-1), np.ones((2, 64)), atol=1e-5)
    np.testing.assert_allclose(classes.sum(-1), np.ones(2), atol=1e-5)


def test_a_substitute_of_another_shape_is_refused():
    slim, table = substitute(
        small_model(), {"conv1": lambda layer, shape: keras.layers.Conv2D(7, 3)}, verbose=False
    )
    assert table.rows[0].note == "Conv2D gives (6, 6, 7) in float32, not (8, 8, 8) in float32"
    assert slim.get_layer("conv1").filters == 8


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rules.conv3d(0), "`volume_channels` must be an integer of at least 1"),
        (lambda: rules.conv3d(2, volume_depth=2), "exclude each other"),
        (lambda: rules.conv3d(2, kernel_depth=2, filters=2), "exclude each other"),
        (lambda: rules.meta_conv2d(0), "`groups` must be an integer of at least 1"),
        (lambda: rules.meta_dense(2, 0), "`meta_groups` must be an integer of at least 1"),
        (lambda: rules.meta_dense(2, dropout=2), "`dropout` must be a number"),
        (lambda: rules.meta_dense(2, activation="softmax"), "must act on each number alone"),
        (lambda: rules.meta_conv2d(2, activation="foo"), "foo"),
        (lambda: rules.meta_conv2d(2, meta_initializer="foo"), "foo"),
    ],
)
def test_wrong_arguments_of_the_rules(make, message):
    with pytest.raises(ValueError, match=message):
        make()
