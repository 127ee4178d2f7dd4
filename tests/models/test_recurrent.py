"""models.recurrent: deeper models that begin as they were, and folded ones, on small networks."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_recres import models
from keras_recres.models import recurrent, rules
from tests.gradients import computed
from tests.marks import slow_on_tensorflow

X = np.random.default_rng(1).normal(size=(5, 6, 6, 3)).astype("float32")


def randomised(model, seed=0):
    """Gives every weight numbers of a trained network's size."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        kernel = "kernel" in weight.path
        if "seed" not in weight.path:
            mean, scale = (0, np.prod(weight.shape[:-1]) ** -0.5) if kernel else (1, 0.2)
            weight.assign(rng.normal(mean, scale, weight.shape))
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            # It computes with what it worked out from them.
            layer.finalize_state()
    return model


def convnet(count=3, policy="float32", **head):
    """A stem and so many residual blocks that end with an activation; the first drops nothing."""
    x = inputs = keras.Input((6, 6, 3), name="images")
    how = {"padding": "same", "dtype": policy}
    x = layers.Conv2D(4, 1, name="stem", **how)(x)
    for i in range(count):
        y = layers.Conv2D(4, 3, name=f"part{i}_conv", **how)(x)
        y = layers.BatchNormalization(name=f"part{i}_norm", dtype=policy)(y)
        y = layers.DepthwiseConv2D(3, name=f"part{i}_depthwise", **how)(y)
        if i:
            y = layers.Dropout(0.1 * i, name=f"part{i}_drop", dtype=policy)(y)
        x = layers.ReLU(dtype=policy)(layers.Add(dtype=policy)([x, y]))
    x = layers.GlobalAveragePooling2D(dtype=policy)(x)
    outputs = layers.Dense(3, name="head", dtype="float32")(x)
    return randomised(keras.Model(inputs, outputs, name="convnet"))


def held(model):
    return [keras.ops.convert_to_numpy(v) for v in model.weights]


@slow_on_tensorflow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_repeated_model_begins_as_it_was(policy, tmp_path):
    model = convnet(policy=policy)
    before, want = held(model), computed(model, X)
    deeper, table = recurrent(model, {"part*": rules.repeat(3)}, verbose=False)
    # To the bit, but where the compiler joins other operations.
    rtol = 1e-6 if keras.backend.backend() == "jax" and policy == "float32" else 0
    np.testing.assert_allclose(computed(deeper, X), want, rtol=rtol)
    # Two scalars for each of the three blocks, nothing else.
    assert deeper.count_params() == model.count_params() + 6
    (row,) = table.rows
    assert (row.name, row.count, row.layers) == ("part", 3, 3)
    assert row.multiply_adds[1] == 3 * row.multiply_adds[0]
    assert table.total.multiply_adds == tuple(
        models.multiply_adds(m).total for m in (model, deeper)
    )
    names = [f"part_recurrent{i}" for i in (1, 2, 3)]
    assert [layer.name for layer in deeper.layers if "recurrent" in layer.name] == names
    deeper.save(tmp_path / "deeper.keras")
    again = keras.saving.load_model(tmp_path / "deeper.keras")
    np.testing.assert_allclose(computed(again, X), want, rtol=rtol)
    # A step that is trained counts, in the chain of separate steps, too.
    for name in names:
        deeper.get_layer(name).scale.assign([0.5, -0.25])
    assert np.abs(computed(deeper, X) - want).max() > 0.01
    atol = 1e-5 if policy == "float32" else 0.1
    np.testing.assert_allclose(computed(models.untie(deeper), X), computed(deeper, X), atol=atol)
    for a, b in zip(held(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_plain_form_has_no_parameters():
    model = convnet(1)
    deeper, _ = recurrent(model, rules.repeat(2, residual_scale=None), verbose=False)
    assert deeper.count_params() == model.count_params()
    layer = deeper.get_layer("part0_depthwise_recurrent")
    assert (layer.steps, layer.shortcut, layer.residual_scale) == (2, "none", None)
    assert np.abs(computed(deeper, X) - computed(model, X)).max() > 0.01


def test_a_repeated_model_learns_its_scales():
    deeper, _ = recurrent(convnet(1), rules.repeat(2), verbose=False)
    deeper.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    deeper.train_on_batch(X, np.ones((5, 3)))
    (layer,) = (layer for layer in deeper.layers if "recurrent" in layer.name)
    assert np.all(keras.ops.convert_to_numpy(layer.scale) != 0)


@slow_on_tensorflow
def test_nested_models_are_recurrent_inside():
    x = inputs = keras.Input((6, 6, 3))
    backbone = convnet(2)
    backbone = keras.Model(backbone.input, backbone.layers[-3].output, name="backbone")
    x = layers.Dense(3, name="head")(layers.GlobalMaxPooling2D()(backbone(x)))
    model = randomised(keras.Model(inputs, x, name="outer"))
    deeper, table = recurrent(model, {"backbone/*": rules.repeat(2)}, verbose=False)
    np.testing.assert_array_equal(computed(deeper, X), computed(model, X))
    assert [row.name for row in table.rows] == ["backbone/part"]
    assert "part_recurrent2" in {layer.name for layer in deeper.get_layer("backbone").layers}


@pytest.mark.parametrize("rule", [rules.repeat(2), rules.fold(rank="exact")], ids=str)
def test_an_output_from_inside_of_a_run_ends_it(rule):
    model = denses(4)
    middle = model.get_layer("d1").output
    model = randomised(keras.Model(model.input, [middle, model.output], name="early"))
    x = X[:, 0, 0, :1].repeat(4, axis=1)
    new, table = recurrent(model, rule, verbose=False)
    assert table.rows
    for got, want in zip(computed(new, x), computed(model, x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


class Own(keras.Model):
    def call(self, x):
        return x


def from_aside():
    """A tensor from aside enters every block."""
    x, side = keras.Input((4,)), keras.Input((4,), name="side")
    inputs = [x, side]
    for i in range(2):
        x = layers.Add()([x, layers.Multiply()([layers.Dense(4, name=f"d{i}")(x), side])])
    return keras.Model(inputs, x)


def denses(count=2):
    x = inputs = keras.Input((4,))
    for i in range(count):
        x = layers.Add()([x, layers.Dense(4, name=f"d{i}")(x)])
    return keras.Model(inputs, x, name="denses")


def adapted():
    model = denses()
    for name in ("d0", "d1"):
        model.get_layer(name).enable_lora(2)
    return model


def quantised():
    model = denses()
    for name in ("d0", "d1"):
        model.get_layer(name).quantize("int8")
    return model


def carries_two():
    """Two tensors go from block to block, as in a reversible network."""
    x, y = inputs = [keras.Input((4,), name="x"), keras.Input((4,), name="y")]
    for i in range(3):
        x = layers.Add()([x, layers.Dense(4, name=f"f{i}")(y)])
        y = layers.Add()([y, layers.Dense(4, name=f"g{i}")(x)])
    return keras.Model(inputs, [x, y], name="two")


def widens():
    inputs = [keras.Input((4,)), *(layers.Dense(4 + i, name=f"d{i}") for i in range(3))]
    return keras.Sequential(inputs, name="wide")


def plain():
    return keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=f"d{i}") for i in range(2))])


def shared():
    """A layer inside a run and outside."""
    x = inputs = keras.Input((4,))
    dense = layers.Dense(4, name="dense")
    for _ in range(2):
        x = layers.Add()([x, dense(x)])
    return keras.Model(inputs, x, name="shared")


@pytest.mark.parametrize(
    ("build", "rule", "said"),
    [
        (Own, {"*": rules.repeat(2)}, "functional or Sequential model.* it is an Own"),
        (from_aside, {"*": rules.repeat(2)}, "'d' cannot be recurrent.* takes 'side' from aside"),
        (adapted, {"*": rules.repeat(2)}, "'d' has low-rank updates beside the kernel of 'd0'"),
        (quantised, {"*": rules.repeat(2)}, "'d' has the quantised 'd0'"),
        (quantised, {"*": rules.fold()}, "'d' has the quantised 'd0'"),
        (carries_two, {"*": rules.fold()}, "'f0' has 1 block, and folding takes 2"),
        (widens, {"*": rules.fold()}, r"'d0 … d2' is among none.*shape.*: \(4,\) → \(6,\)"),
        (plain, {"*": rules.repeat(2)}, "'d' has no shortcut past its weights"),
        (
            shared,
            {"dense": rules.repeat(2)},
            "no run of blocks of 'shared'.* called elsewhere, too",
        ),
        (lambda: convnet(2), {"prat*": rules.repeat(2)}, "similar names are 'part'"),
        (
            lambda: convnet(2),
            {"*": rules.repeat(2), "part": rules.repeat(3)},
            "an earlier rule has taken them",
        ),
        (lambda: convnet(2), {"*": rules.meta_dense(2)}, "repeat or fold of keras_recres.models"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(build, rule, said):
    with pytest.raises(ValueError, match=said) as refusal:
        recurrent(build(), rule, verbose=False)
    assert "\n" not in str(refusal.value)


@pytest.mark.neutral
@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_steps_of_another_kind_are_refused(steps):
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 1"):
        rules.repeat(steps)
