"""Copies of models hold all that their layers hold, compute the same, or are refused."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import layers, models, serve
from keras_recres.models.random_inputs import random_inputs
from tests.gradients import computed
from tests.marks import slow_on, slow_on_tensorflow

BACKEND = keras.backend.backend()


def kept(model):
    return models.substitute(model, lambda layer, shape: "it is kept", verbose=False)[0]


# What copies a model, and by what share of the largest output the copy may differ.
COPIES = {"substitute": (kept, 1e-5), "untie": (models.untie, 1e-5), "int8": (serve.quantized, 0.1)}

# TensorFlow compiles what quantises.
WAYS = ["substitute", "untie", pytest.param("int8", marks=slow_on("jax", "tensorflow"))]
LOOKUPS = [*WAYS[:2], pytest.param("int8", marks=[pytest.mark.slow, pytest.mark.tensorflow])]


def around(layer, shape=(4,), dtype="float32"):
    """A model that begins with a layer and has one to untie and one to quantise."""
    inputs = keras.Input(shape, dtype=dtype)
    x = layers.RecurrentResidual(keras.layers.Dense(6, "tanh"), 2)(
        keras.layers.Dense(6, name="wide")(layer(inputs))
    )
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def assert_same(copy, model, x, tolerance=1e-5):
    want = computed(model, x)
    assert np.std(want) > 1e-3
    np.testing.assert_allclose(computed(copy, x), want, atol=tolerance * np.abs(want).max())


@pytest.mark.parametrize("name", WAYS)
def test_what_a_normalization_adapted_to_is_copied(name):
    copied, tolerance = COPIES[name]
    x = np.random.default_rng(0).normal(50, 10, (16, 4)).astype("float32")
    norm = keras.layers.Normalization()
    norm.adapt(x)
    model = around(norm)
    assert_same(copied(model), model, x, tolerance)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="lookups in a model need TensorFlow")
@pytest.mark.parametrize("name", LOOKUPS)
def test_vocabularies_are_copied(name):
    copied, tolerance = COPIES[name]
    text = keras.layers.TextVectorization(output_mode="tf_idf")
    text.adapt(["a b c", "a b", "c d"])
    integers = keras.layers.IntegerLookup(output_mode="multi_hot")
    integers.adapt(np.array([[5, 7, 9, 9]]))
    bins = keras.layers.Discretization(num_bins=3, output_mode="one_hot")
    bins.adapt(np.arange(9.0))
    cases = [
        (text, "string", [["a b d"], ["c c"]]),
        (integers, "int64", [[5], [7], [8]]),
        (bins, "float32", [[1.0], [5.0], [9.0]]),
    ]
    for layer, dtype, x in cases[: 1 if name == "int8" else 3]:
        model = around(layer, (1,), dtype)
        assert_same(copied(model), model, ops.convert_to_tensor(x, dtype), tolerance)


class Scaled(keras.layers.Layer):
    """A layer whose factor may be changed, which its configuration does not tell."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = 1.0

    def call(self, x):
        return x * self.factor


class Kept(Scaled):
    """One that saves it."""

    def save_own_variables(self, store):
        store["factor"] = np.array(self.factor)

    def load_own_variables(self, store):
        self.factor = float(store["factor"])


@pytest.mark.parametrize("name", WAYS)
def test_what_cannot_be_copied_is_refused(name):
    copied, tolerance = COPIES[name]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    for kind in (Scaled, Kept):
        layer = kind(name="scaled")
        model = around(layer)
        assert_same(copied(model), model, x, tolerance)
        layer.factor = 3.0
        if kind is Kept:
            assert_same(copied(model), model, x, tolerance)
            continue
        with pytest.raises(ValueError, match="copy of 'scaled', a Scaled, computes something else"):
            copied(model)


@slow_on_tensorflow
def test_frozen_layers_and_random_ones_are_copied():
    class Noise(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seed = keras.random.SeedGenerator(3)

        def call(self, x):
            return x + keras.random.normal(ops.shape(x), seed=self.seed)

    noise = Noise()
    model = around(noise)
    model.get_layer("wide").trainable = False
    state = ops.convert_to_numpy(noise.seed.state).copy()
    for copied, _ in COPIES.values():
        copy = copied(model)
        assert not copy.get_layer("wide").trainable
    # Comparing them has drawn nothing from the model.
    np.testing.assert_array_equal(ops.convert_to_numpy(noise.seed.state), state)
    assert not model.losses


def test_low_rank_updates_are_copied_and_not_merged():
    model = around(keras.layers.Dense(4))
    model.get_layer("wide").enable_lora(2)
    model.get_layer("wide").lora_kernel_b.assign(np.ones((2, 6)))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    for copied in (kept, models.untie):
        copy = copied(model)
        assert_same(copy, model, x)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(copy.get_layer("wide").lora_kernel_b), np.ones((2, 6))
        )


@pytest.mark.filterwarnings("error:the copy of")
def test_models_of_any_size_are_compared_and_others_warned_of():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 3)(keras.layers.AveragePooling2D(40)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalMaxPooling2D()(x)))
    kept(model)

    class Choosy(keras.layers.Layer):
        def compute_output_shape(self, input_shape):
            return input_shape

        def call(self, x):
            raise RuntimeError

    with pytest.raises(UserWarning, match="does not run on random inputs: "):
        kept(around(Choosy()))


@slow_on("jax", "tensorflow")
@pytest.mark.parametrize(("tokens", "sequential"), [(True, True), (False, False)])
def test_what_masks_is_copied(tokens, sequential):
    parts = [
        keras.layers.Embedding(7, 4, mask_zero=True) if tokens else keras.layers.Masking(),
        layers.RecurrentResidual(layers.TransformerBlock(num_heads=2), 2, shortcut="none"),
        keras.layers.LSTM(4),
        keras.layers.Dense(3),
    ]
    inputs = keras.Input((5,), dtype="int32") if tokens else keras.Input((5, 4))
    if sequential:
        model = keras.Sequential([inputs, *parts])
    else:
        x = inputs
        for layer in parts:
            x = layer(x)
        model = keras.Model(inputs, x)
    (x,) = random_inputs(model, 3)
    x = ops.convert_to_numpy(x)
    assert (x[::2, 3:] == 0).all()
    assert (x[::2, :3] != 0).all()
    assert (x[1] != 0).all()
    assert_same(kept(model), model, x)
    assert_same(models.untie(model), model, x)


@pytest.mark.filterwarnings("error:.*destroy the mask")
def test_a_mask_passes_what_stands_in_for_a_dense_layer():
    parts = [keras.layers.Masking(), keras.layers.Dense(8, name="d"), keras.layers.LSTM(4)]
    model = keras.Sequential([keras.Input((None, 8)), *parts])
    slim, _ = models.substitute(model, {"d": models.rules.meta_dense(2)}, verbose=False)
    x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype("float32")
    x[:, 3:] = 0
    want = computed(slim, x[:, :3])
    np.testing.assert_allclose(computed(slim, x), want, atol=1e-6)


def shared_branches(steps=2):
    """Two recurrent layers with one branch, as in ALBERT, with a dense layer between them."""
    branch = keras.layers.Dense(8, "tanh", name="branch")
    inputs = keras.Input((8,))
    x = layers.RecurrentResidual(branch, steps, name="first")(inputs)
    x = keras.layers.Dense(8, name="between")(x)
    x = layers.RecurrentResidual(branch, steps, name="second")(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="head")(x))


def test_a_branch_of_two_layers_remains_one():
    model = shared_branches()
    x = np.random.default_rng(0).normal(size=(5, 8)).astype("float32")
    slim, table = models.substitute(model, {"between": models.rules.meta_dense(2)}, verbose=False)
    assert model.count_params() == 171
    before, after = table.rows[0].parameters
    assert slim.count_params() == 171 - before + after
    first, second = (slim.get_layer(name).branch for name in ("first", "second"))
    assert first is second
    copy = kept(model)
    assert copy.count_params() == 171
    assert_same(copy, model, x)
    # Untied, every step of each has a dense layer of its own, and what runs once shares as before.
    plain = models.untie(model)
    assert plain.count_params() == 171 + 3 * 72
    assert_same(plain, model, x)


def test_sharing_that_would_be_lost_is_refused():
    dense = keras.layers.Dense(4)
    inputs = keras.Input((4,))
    x = inputs
    for name in ("one", "two"):
        branch = keras.Sequential([keras.layers.Activation("tanh"), dense])
        x = layers.RecurrentResidual(branch, 2, name=name)(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(x))
    for copied in (kept, serve.quantized):
        with pytest.raises(ValueError, match=r"'two' in `model` shares '.*kernel' with 'one'"):
            copied(model)
