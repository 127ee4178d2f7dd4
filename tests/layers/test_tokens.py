"""The layers of T2T-ViT against their equations, written out in NumPy."""

import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import (
    ClassToken,
    RecurrentResidual,
    SinusoidPosition,
    SoftSplit,
    TokenPerformer,
    TokensToToken,
    TokenTransformer,
    TransformerBlock,
)
from keras_recres.layers.sinusoid_position import sinusoid_table
from tests.gradients import JIT, computed, gradients
from tests.marks import slow_on


def random(*shape, seed=0, scale=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype("float32")


def to_numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")


def build(layer, shape, scale=0.3):
    """Builds a layer, with weights that are neither 0 nor 1, so that none of them can hide."""
    rng = np.random.default_rng(5)
    with keras_private.values_given_later():
        layer.build(shape)
        for weight in layer.weights:
            if weight.name != "random_features":
                weight.assign((weight.name == "gamma") + rng.normal(size=weight.shape) * scale)
    return layer


# SoftSplit


def patches(x, kernel, stride, padding):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows = range(0, x.shape[1] - kernel + 1, stride)
    columns = range(0, x.shape[2] - kernel + 1, stride)
    return np.stack(
        [x[:, i : i + kernel, j : j + kernel].reshape(len(x), -1) for i in rows for j in columns],
        axis=1,
    )


SPLITS = [
    # kernel, strides, padding, default padding, height, width, channels
    (7, 4, 2, True, 16, 24, 3),
    (3, 2, 1, True, 9, 8, 5),
    (3, 1, 1, True, 5, 4, 2),
    (4, 4, 0, True, 11, 8, 3),
    (2, 3, 0, True, 8, 9, 1),
    (5, 2, 4, False, 6, 7, 2),
    (3, 2, 0, False, 3, 3, 1),
    (8, 3, 1, False, 20, 21, 2),
]


@pytest.mark.parametrize(
    ("kernel", "strides", "padding", "default", "height", "width", "channels"), SPLITS
)
def test_soft_split_is_a_loop_over_patches(
    kernel, strides, padding, default, height, width, channels
):
    x = random(2, height, width, channels)
    layer = SoftSplit(kernel, strides, padding=None if default else padding)
    assert layer.padding == padding
    wanted = patches(x, kernel, strides, padding)
    np.testing.assert_array_equal(computed(layer, x), wanted)
    assert layer.compute_output_shape(x.shape) == wanted.shape
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *wanted.shape[1:])


def test_soft_split_orders_features_as_extract_patches():
    x = random(1, 6, 6, 2)

    def extract(x):
        return ops.image.extract_patches(x, (3, 3), strides=(1, 1), data_format="channels_last")

    got = computed(SoftSplit(3, 1, padding=0), x)
    np.testing.assert_allclose(got, computed(extract, x).reshape(1, 16, 18), atol=1e-6)


@pytest.mark.parametrize("jit", JIT)
@pytest.mark.parametrize(("kernel", "strides"), [(7, 4), (3, 1), (2, 3)])
def test_soft_split_gradient_adds_up_each_pixels_patches(kernel, strides, jit):
    x = random(2, 12, 9, 2)
    layer = SoftSplit(kernel, strides)
    y, (got,) = gradients(layer, [], x, jit=jit)
    cotangent = np.cos(np.arange(y.size)).reshape(y.shape)
    # Where each entry of the output came from, found by sending numbered pixels through the loop;
    # 0 is the padding.
    source = patches(np.arange(1, x.size + 1).reshape(x.shape), kernel, strides, layer.padding)
    wanted = np.bincount(source.ravel(), weights=cotangent.ravel(), minlength=x.size + 1)[1:]
    np.testing.assert_allclose(got, wanted.reshape(x.shape), atol=1e-5)


def test_soft_split_names_what_does_not_fit():
    with pytest.raises(ValueError, match="`kernel_size` must be an integer of at least 1"):
        SoftSplit(0)
    with pytest.raises(ValueError, match="`padding` must be None or an integer of at least 0"):
        SoftSplit(3, padding=-1)
    with pytest.raises(ValueError, match="does not fit into images of 4×9 with `padding` 0"):
        SoftSplit(7, 2, padding=0)(random(1, 4, 9, 1))
    with pytest.raises(ValueError, match=re.escape("but it has the shape (None, None, 8, 3)")):
        SoftSplit(3).compute_output_shape((None, None, 8, 3))


# Token layers


def dense(layer, x):
    y = x @ to_numpy(layer.kernel)
    return y + to_numpy(layer.bias) if layer.use_bias else y


def norm(layer, x):
    centred = x - x.mean(-1, keepdims=True)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return y * to_numpy(layer.gamma) + to_numpy(layer.beta)


def mlp(layer, x):
    hidden = dense(layer.mlp_hidden, norm(layer.norm2, x))
    hidden = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
    return dense(layer.mlp_output, hidden)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def test_token_performer_is_its_equation():
    x = random(2, 11, 7)
    layer = build(TokenPerformer(units=8, kernel_ratio=0.5), x.shape)
    w = to_numpy(layer.random_features)
    k, q, v = np.split(dense(layer.kqv, norm(layer.norm1, x.astype("float64"))), 3, axis=-1)

    def phi(u):
        return np.exp(u @ w.T - (u**2).sum(-1, keepdims=True) / 2) / math.sqrt(len(w))

    weights = np.einsum("bnm,bkm->bnk", phi(q), phi(k))
    y = weights @ v / (weights.sum(-1, keepdims=True) + 1e-8)
    z = v + dense(layer.attention_output, y)
    np.testing.assert_allclose(computed(layer, x), z + mlp(layer, z), atol=1e-4)


def test_performer_features_are_orthogonal_and_fixed():
    layer = TokenPerformer(units=64)
    layer.build((None, 9, 147))
    w = to_numpy(layer.random_features)
    assert w.shape == (32, 64)
    np.testing.assert_allclose(w @ w.T, 32 * np.eye(32), atol=1e-4)
    assert [weight.name for weight in layer.non_trainable_weights] == ["random_features"]


def test_performer_approaches_softmax_attention():
    # E φ(q)·φ(k) = exp(q·k): with many features the random attention nears the exact one.
    k, q, v = (random(1, 16, 8, seed=i, scale=0.25) for i in range(3))
    exact = softmax(q.astype("float64") @ k.astype("float64").transpose(0, 2, 1)) @ v
    errors = []
    for ratio in (1, 256):
        layer = TokenPerformer(units=8, kernel_ratio=ratio)
        with keras_private.values_given_later():
            build(layer, (None, 16, 8))
            # Gaussian rows: the estimate is unbiased for these, whatever the number of features.
            layer.random_features.assign(random(8 * ratio, 8, seed=9))
        got = computed(lambda parts, layer=layer: layer.attend(*parts), (k, q, v))
        errors.append(np.abs(got - exact).max())
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("heads", [1, 2])
def test_token_transformer_is_its_equation(heads):
    x = random(2, 5, 9)
    layer = build(TokenTransformer(units=6, num_heads=heads), x.shape)
    q, k, v = np.split(dense(layer.qkv, norm(layer.norm1, x.astype("float64"))), 3, axis=-1)
    y = np.empty_like(v)
    for part in np.split(np.arange(6), heads):
        # The scale is that of the 9 features which come in, not of the units.
        products = q[..., part] @ k[..., part].transpose(0, 2, 1) / math.sqrt(9 // heads)
        y[..., part] = softmax(products) @ v[..., part]
    z = v + dense(layer.attention_output, y)
    np.testing.assert_allclose(computed(layer, x), z + mlp(layer, z), atol=1e-4)


def test_transformer_block_is_its_equation():
    x = random(2, 5, 8)
    layer = build(TransformerBlock(num_heads=2, mlp_ratio=1.5), x.shape)
    assert layer.mlp_hidden.units == 12
    q, k, v = np.split(dense(layer.qkv, norm(layer.norm1, x.astype("float64"))), 3, axis=-1)
    y = np.empty_like(v)
    for part in np.split(np.arange(8), 2):
        products = q[..., part] @ k[..., part].transpose(0, 2, 1) / math.sqrt(4)
        y[..., part] = softmax(products) @ v[..., part]
    z = x + dense(layer.attention_output, y)
    np.testing.assert_allclose(computed(layer, x), z + mlp(layer, z), atol=1e-4)


def test_mlp_dim_goes_before_mlp_ratio():
    layer = build(TransformerBlock(num_heads=2, mlp_ratio=4.0, mlp_dim=5), (None, 3, 8))
    assert layer.mlp_hidden.units == 5


def test_drop_path_drops_whole_branches_of_examples():
    layer = TransformerBlock(num_heads=1, drop_path=0.5)
    batch = 400
    x = np.repeat(random(1, 3, 4), batch, axis=0)
    build(layer, x.shape)
    y = computed(layer, x, training=True)
    # Examples are alike, so they differ only in which of the two branches they kept.
    kinds, counts = np.unique(y.round(4).reshape(batch, -1), axis=0, return_counts=True)
    assert len(kinds) == 4
    assert counts.min() > 0.15 * batch
    assert counts.max() < 0.35 * batch
    # One of the four kept none; in the others what is kept counts double.
    np.testing.assert_allclose(np.abs(kinds - x[0].reshape(-1)).max(-1).min(), 0, atol=1e-4)
    once = 2 * computed(lambda x: layer.attend(layer.norm1(x)), x[:1]) + x[0]
    assert np.abs(kinds - once.reshape(-1)).max(-1).min() < 1e-3
    np.testing.assert_allclose(computed(layer, x[:1]), computed(layer, x[:1], training=False))


@pytest.mark.parametrize(
    "layer",
    [
        TokenPerformer(4, dropout=0.5),
        TokenTransformer(4, dropout=0.5),
        TransformerBlock(2, dropout=0.5),
        TransformerBlock(2, attention_dropout=0.5),
    ],
    ids=["performer", "transformer", "block", "attention"],
)
def test_dropout_acts_in_training_only(layer):
    x = random(2, 6, 4)
    build(layer, x.shape)
    fixed = computed(layer, x, training=False)
    first = computed(layer, x, training=True)
    assert np.abs(first - fixed).max() > 1e-3
    if keras.backend.backend() != "jax":  # Where `computed` drops what a call assigns.
        np.testing.assert_array_equal(fixed, computed(layer, x, training=False))
        assert np.abs(first - computed(layer, x, training=True)).max() > 1e-3


def test_gelu_is_the_exact_one():
    layer = build(TransformerBlock(num_heads=1), (None, 2, 4))
    layer.mlp_hidden.kernel.assign(np.eye(4, 8))
    layer.mlp_hidden.bias.assign(np.full(8, 2.0))
    x = np.zeros((1, 2, 4), "float32")
    # The tanh approximation would give 1.954598 instead of 1.954500.
    np.testing.assert_allclose(to_numpy(layer.mlp_hidden(x)), 1.954500, atol=3e-6)


@slow_on("jax")
@pytest.mark.parametrize("layer_class", [TokenPerformer, TokenTransformer])
def test_token_layers_in_half_precision(layer_class):
    x = random(1, 300, 27)
    for scale, policies in (
        (0.1, ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")),
        # Of keys so large the random features leave float16's range, were they computed in it.
        (0.3, ("mixed_float16", "float16")),
    ):
        full = build(layer_class(16), x.shape, scale)
        want = computed(full, x)
        for policy in policies:
            half = layer_class(16, dtype=policy)
            with keras_private.values_given_later():
                half.build(x.shape)
                half.set_weights(full.get_weights())
            y = computed(half, x)
            assert str(y.dtype) in (half.compute_dtype, "float32")
            atol = 0.05 if scale == 0.1 else 0.02 * np.abs(want).max()
            np.testing.assert_allclose(to_numpy(y), want, atol=atol, err_msg=policy)


# ClassToken, SinusoidPosition, TokensToToken


def test_class_token_is_in_front():
    layer, x = ClassToken(), random(3, 4, 5)
    y = computed(layer, x)
    np.testing.assert_array_equal(y[:, 1:], x)
    np.testing.assert_array_equal(y[:, :1], np.repeat(to_numpy(layer.token), 3, axis=0))
    assert layer.compute_output_shape((None, None, 5)) == (None, None, 5)
    assert layer.compute_output_shape((3, 4, 5)) == (3, 5, 5)


def test_initial_weights_have_the_published_spread():
    token = ClassToken()
    token.build((None, 1, 4096))
    block = TransformerBlock()
    block.build((None, 3, 256))
    for weight in (token.token, block.qkv.kernel, block.mlp_output.kernel):
        values = to_numpy(weight)
        # Nearly all of them: Keras' draw on PyTorch lets one in many thousands pass.
        assert np.quantile(np.abs(values), 0.999) <= 0.0401
        # A normal of deviation 0.02 cut at two deviations has 0.88 of it.
        np.testing.assert_allclose(values.std(), 0.02 * 0.8796, rtol=0.05)
    # No two kernels begin alike.
    assert np.abs(
        to_numpy(block.qkv.kernel)[:, :256] - to_numpy(block.attention_output.kernel)
    ).max()
    assert not to_numpy(block.mlp_hidden.bias).any()


@pytest.mark.parametrize(("tokens", "features"), [(50, 32), (5, 7), (1, 1)])
def test_sinusoid_closed_form(tokens, features):
    wanted = np.empty((tokens, features))
    for n in range(tokens):
        for j in range(features):
            angle = n / 10000 ** (2 * (j // 2) / features)
            wanted[n, j] = math.cos(angle) if j % 2 else math.sin(angle)
    np.testing.assert_allclose(sinusoid_table(tokens, features), wanted, atol=1e-12)
    layer, x = SinusoidPosition(), random(2, tokens, features)
    np.testing.assert_allclose(computed(layer, x), x + wanted, atol=1e-6)
    assert layer.trainable_weights == []
    assert [weight.shape for weight in layer.non_trainable_weights] == [(tokens, features)]


def test_sinusoid_wavelength_and_faults():
    table = sinusoid_table(3, 4, max_wavelength=100.0)
    np.testing.assert_allclose(table[2], [np.sin(2), np.cos(2), np.sin(0.2), np.cos(0.2)])
    with pytest.raises(ValueError, match="`max_wavelength` must be a number above 0"):
        SinusoidPosition(max_wavelength=0)
    with pytest.raises(ValueError, match="must have a known number of tokens"):
        SinusoidPosition().build((None, None, 4))


@pytest.mark.parametrize(
    "token_type", ["performer", pytest.param("transformer", marks=slow_on("jax"))]
)
def test_tokens_to_token_is_its_layers(token_type):
    x = random(2, 16, 24, 3)
    layer = TokensToToken(
        12, token_dim=8, token_type=token_type, first_kernel_size=3, first_strides=2
    )
    build(layer, x.shape)
    y = computed(layer, x)
    first = computed(layer.tokens1, patches(x, 3, 2, 1))
    second = computed(layer.tokens2, patches(first.reshape(2, 8, 12, 8), 3, 2, 1))
    third = dense(layer.project, patches(second.reshape(2, 4, 6, 8), 3, 2, 1))
    np.testing.assert_allclose(y, third, atol=1e-4)
    assert layer.compute_output_shape((None, 16, 24, 3)) == (None, 2 * 3, 12)


@pytest.mark.neutral
def test_tokens_to_token_has_the_published_dropout():
    assert TokensToToken().tokens1.dropout == 0.1
    assert TokensToToken(token_type="transformer").tokens2.dropout == 0.0
    assert TokensToToken(dropout=0.3).tokens2.dropout == 0.3


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: TokenPerformer(0), "`units` must be an integer of at least 1, but it is 0."),
        (lambda: TokenPerformer(4, kernel_ratio=0.1), "`kernel_ratio` 0.1 of `units` 4 leaves no"),
        (lambda: TokenPerformer(dropout=1), "`dropout` must be a number in [0, 1), but it is 1."),
        (lambda: TokenTransformer(6, num_heads=4), "`num_heads` must divide `units` 6, but it is"),
        (lambda: TransformerBlock(3).build((None, 2, 8)), "`num_heads` must divide the 8 features"),
        (lambda: TransformerBlock(mlp_dim=0), "`mlp_dim` must be an integer of at least 1"),
        (lambda: TransformerBlock(drop_path=1.0), "`drop_path` must be a number in [0, 1)"),
        (lambda: TransformerBlock().build((None, 8)), "must have the shape (batch, tokens,"),
        (lambda: ClassToken().build((None, 3, None)), "must have the shape (batch, tokens,"),
        (lambda: TokensToToken(token_type="x"), "`token_type` must be 'performer' or"),
    ],
)
def test_wrong_arguments_are_named(make, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        "block",
        *(pytest.param(kind, marks=slow_on("jax")) for kind in ("transformer", "performer")),
        "recurrent",
    ],
)
def test_masked_tokens_are_as_if_they_were_not_there(kind):
    layer = {
        "block": lambda: TransformerBlock(num_heads=2),
        "transformer": lambda: TokenTransformer(8),
        "performer": lambda: TokenPerformer(8),
        "recurrent": lambda: RecurrentResidual(TransformerBlock(num_heads=2), 2, shortcut="none"),
    }[kind]()
    model = keras.Sequential([keras.Input((None, 8)), keras.layers.Masking(), ClassToken(), layer])
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    x[:, 3:] = 0
    got = computed(model, x)
    np.testing.assert_allclose(got[:, :4], computed(model, x[:, :3]), atol=1e-5)
    # Without a mask they matter, and an example of masked tokens only is finite.
    token = ops.convert_to_numpy(model.layers[1](x))
    assert np.abs(computed(layer, token) - got)[:, :4].max() > 1e-4
    assert np.isfinite(computed(model, 0 * x)).all()
    half = TransformerBlock(num_heads=2, dtype="mixed_float16")
    mask = np.zeros((2, 5), bool)
    assert np.isfinite(computed(half, x, mask=ops.convert_to_tensor(mask)).astype("float32")).all()


@pytest.mark.neutral
@pytest.mark.parametrize("layer", [SoftSplit(3, name="it"), TokensToToken(name="it")])
def test_images_with_a_mask_are_refused(layer):
    x = keras.layers.Masking()(np.ones((1, 32, 32, 3), "float32"))
    with pytest.raises(ValueError, match=r"^'it', a \w+, takes images without a mask[^\n]*$"):
        layer(x)
    with pytest.raises(ValueError, match="takes images without a mask"):
        keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Masking(), layer])
