"""T2T-ViT: exact counts, shapes, recurrence, and that it learns."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.models import t2t_vit
from tests.gradients import computed
from tests.marks import slow_on, slow_on_tensorflow

TINY = {"embed_dim": 32, "token_dim": 16, "num_classes": 2, "input_shape": (32, 32, 3)}


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def images(shape=(32, 32, 3), batch=2, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, *shape)).astype("float32")


def assigned(model, seed=0):
    """The model with weights that hide nothing and keep the signal's size."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        value = rng.normal(size=weight.shape) * 0.3
        if len(weight.shape) == 2:
            value = value / np.sqrt(weight.shape[0])
        weight.assign((weight.name in ("gamma", "scale")) + value)
    return model


def built(*args, seed=0, **kwargs):
    """A network with such weights: JAX would take long to compute initial ones."""
    with keras_private.values_given_later():
        return assigned(t2t_vit(*args, **kwargs), seed)


@pytest.fixture(scope="module")
def tiny():
    """Two blocks of two steps and of one."""
    return built(2, [2, 1], **TINY)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "trainable", "total"),
    [
        ({"depth": 3}, 2_150_350, 2_204_878),
        ({"depth": 3, "steps": [2, 4, 2]}, 2_150_350, 2_204_878),
        ({"depth": 7, "steps": 2}, 4_255_694, 4_310_222),
        ({"depth": 7, "token_type": "transformer"}, 4_255_310, 4_305_742),
    ],
)
def test_parameter_counts_are_the_papers(arguments, trainable, total):
    model = t2t_vit(**arguments)
    assert count(model.trainable_weights) == trainable
    assert count(model.weights) == total
    assert model.output_shape == (None, 1000)


@slow_on_tensorflow
@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "tokens"),
    [
        ((32, 32, 3), 3, 1, 8 * 8),
        ((32, 32, 3), 7, 4, 2 * 2),
        ((64, 48, 1), 3, 2, 8 * 6),
        ((33, 47, 3), 4, 4, 2 * 3),
        ((384, 384, 3), 7, 4, 24 * 24),
        ((384, 32, 3), 7, 4, 24 * 2),
    ],
)
def test_input_sizes(shape, kernel, stride, tokens):
    model = built(
        1, **{**TINY, "input_shape": shape}, first_kernel_size=kernel, first_strides=stride
    )
    assert model.get_layer("tokens_to_token").output.shape == (None, tokens, 32)
    assert model.get_layer("position").output.shape == (None, tokens + 1, 32)
    if (kernel, stride) != (7, 4) and 32 not in shape:
        # The others are only built: compiling each takes its time.
        got = computed(model, images(shape))
        assert got.shape == (2, 2)
        assert np.isfinite(got).all()


def test_features_only_is_what_the_head_reads(tiny):
    with keras_private.values_given_later():
        features = t2t_vit(2, [2, 1], **TINY, features_only=True)
        features.set_weights(tiny.get_weights()[: len(features.weights)])
    x, head = images(), tiny.get_layer("head")
    assert features.output_shape == (None, 32)
    wanted = computed(features, x) @ ops.convert_to_numpy(head.kernel)
    np.testing.assert_allclose(
        computed(tiny, x), wanted + ops.convert_to_numpy(head.bias), atol=1e-5
    )


@pytest.mark.parametrize("steps", [1, [2, 1]])
def test_is_its_layers_one_after_another(steps, tiny):
    model = built(2, **TINY) if steps == 1 else tiny
    y = model.input
    for name in ("tokens_to_token", "class_token", "position"):
        y = model.get_layer(name)(y)
    for i, count in enumerate([1, 1] if steps == 1 else steps):
        for _ in range(count):
            y = model.get_layer(f"block{i}").branch(y)
    y = model.get_layer("head")(model.get_layer("norm")(y)[:, 0])
    by_hand = keras.Model(model.input, y)
    x = images()
    np.testing.assert_allclose(computed(model, x), computed(by_hand, x), atol=1e-5)


@slow_on("jax", "tensorflow")
def test_weights_files_fit_any_steps(tiny, tmp_path):
    deeper = built(2, [3, 2], **TINY, seed=1)
    path = tmp_path / "tiny.weights.h5"
    tiny.save_weights(path)
    deeper.load_weights(path)
    for a, b in zip(tiny.weights, deeper.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
    assert np.abs(computed(tiny, images()) - computed(deeper, images())).max() > 1e-4


@slow_on("jax", "tensorflow")
def test_keras_file_round_trip(tmp_path):
    model = built(
        2,
        [2, 1],
        **{**TINY, "input_shape": [32, 48, 3]},
        unshare=("norm",),
        step_embedding=True,
        residual_scale="learned",
        dropout=0.1,
        token_type="transformer",
        classifier_activation="softmax",
    )
    x = images((32, 48, 3))
    wanted = computed(model, x)
    np.testing.assert_allclose(wanted.sum(axis=-1), 1, atol=1e-5)
    path = tmp_path / "model.keras"
    model.save(path)
    with keras_private.values_given_later():
        loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(computed(loaded, x), wanted, atol=1e-6)
    assert loaded.get_layer("block0").steps == 2


@slow_on("jax")
@slow_on_tensorflow
def test_learns_a_toy():
    # Two classes that differ in the direction of a brightness ramp.
    rng = np.random.default_rng(0)
    labels = np.arange(16) % 2
    ramp = np.linspace(-1, 1, 32, dtype="float32")[None, None, :, None]
    x = np.where(labels[:, None, None, None] == 1, ramp, -ramp)
    x = (x + rng.normal(size=(16, 32, 32, 3)) * 0.3).astype("float32")
    model = t2t_vit(1, 2, **TINY)
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # TensorFlow takes longer to trace the gradients than to train eagerly.
        run_eagerly=keras.backend.backend() == "tensorflow",
    )
    losses = model.fit(x, labels, batch_size=16, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert (computed(model, x).argmax(axis=-1) == labels).mean() > 0.9


@pytest.mark.neutral
def test_drop_path_grows_linearly():
    model = t2t_vit(3, **TINY, drop_path=0.2)
    rates = [model.get_layer(f"block{i}").branch.drop_path for i in range(3)]
    np.testing.assert_allclose(rates, [0.0, 0.1, 0.2])
    assert t2t_vit(1, **TINY, drop_path=0.2).get_layer("block0").branch.drop_path == 0


@slow_on("jax")
def test_mixed_precision_keeps_float32_weights(tiny):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with keras_private.values_given_later():
            model = t2t_vit(2, [2, 1], **TINY)
            model.set_weights(tiny.get_weights())
    finally:
        keras.config.set_dtype_policy(policy)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    got, want = (computed(network, images()) for network in (model, tiny))
    np.testing.assert_allclose(got.astype("float32"), want, atol=0.05 * np.abs(want).max())


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"depth": 0}, "`depth` must be an integer of at least 1, but it is 0."),
        (
            {"depth": 3, "steps": [2, 4]},
            "`steps` must be an integer or a list of one per block, but it has 2 entries, [2, 4], "
            "and `depth` is 3.",
        ),
        ({"depth": 2, "steps": [1, 0]}, "`steps[1]` must be an integer of at least 1"),
        ({"steps": 1.5}, "`steps` must be an integer of at least 1, but it is 1.5."),
        ({"num_classes": "ten"}, "`num_classes` must be an integer of at least 1"),
        (
            {"input_shape": (31, 64, 3)},
            "`input_shape` must have sides from 32 to 384 pixels, but it is (31, 64, 3).",
        ),
        ({"input_shape": (64, 385, 3)}, "sides from 32 to 384 pixels"),
        ({"input_shape": (None, None, 3)}, "sides from 32 to 384 pixels"),
        ({"input_shape": (64, 64)}, "`input_shape` must be (height, width, channels)"),
        ({"embed_dim": 0}, "`embed_dim` must be an integer of at least 1, but it is 0."),
        ({"token_dim": 0}, "`token_dim` must be an integer of at least 1, but it is 0."),
        ({"token_dropout": 2}, "`dropout` must be a number in [0, 1), but it is 2."),
        ({"num_heads": 3}, "`num_heads` must divide the 32 features"),
        ({"token_type": "perfomer"}, "did you mean 'performer'?"),
        ({"drop_path": 1.0}, "`drop_path` must be a number in [0, 1), but it is 1.0."),
        ({"dropout": -0.1}, "`dropout` must be a number in [0, 1), but it is -0.1."),
        ({"first_kernel_size": 0}, "`first_kernel_size` must be an integer of at least 1"),
        ({"unshare": ("nrom",)}, "`unshare` entry 'nrom' matches no sub-layer"),
    ],
)
def test_wrong_arguments_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        t2t_vit(**{"depth": 1, **TINY, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.neutral
def test_arguments_may_be_numpys():
    numbers = {"steps": np.array([2, 1]), "input_shape": (np.int64(32), np.int64(32), 3)}
    small = {"depth": np.int64(2), "num_classes": np.int64(5), "embed_dim": 16, "num_heads": 2}
    model = t2t_vit(**small, **numbers)
    assert [layer.steps for layer in model.layers if "block" in layer.name] == [2, 1]
    assert model.output_shape == (None, 5)
