"""models.untie: the same function, without sharing."""

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.backend.keras_private import sublayers
from keras_recres.layers import RecurrentResidual
from keras_recres.models import multiply_adds
from tests.gradients import computed


def test_steps_with_norms_and_scales_of_their_own():
    inputs = keras.Input((4,))
    branch = keras.Sequential(
        [keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(4, "tanh")], name="branch"
    )
    x = RecurrentResidual(
        branch, steps=3, unshare=("norm",), residual_scale="learned", step_embedding=True, name="r"
    )(inputs)
    # An operation is not a layer, and has no weights to copy.
    x = keras.layers.Dense(2, name="head")(x[:, :3])
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    plain = models.untie(model)
    assert [layer.name for layer in plain.layers if layer.name[0] == "r"] == [
        "r_step0",
        "r_step1",
        "r_step2",
    ]
    # The dense layer's 20 numbers come to stand there two more times.
    assert plain.count_params() == model.count_params() + 40
    x = rng.normal(size=(5, 4)).astype("float32")
    expected = computed(model, x)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(computed(plain, x), expected, atol=1e-5)
    plain.set_weights([np.zeros(weight.shape) for weight in plain.weights])
    np.testing.assert_array_equal(computed(model, x), expected)


def test_folding_ties_again_what_was_untied():
    inputs = keras.Input((4,))
    branch = keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.LayerNormalization()])
    x = RecurrentResidual(branch, steps=3, name="r")(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    plain = models.untie(model)
    assert plain.count_params() > model.count_params()
    tied, _ = models.recurrent(plain, models.rules.fold(own=()), verbose=False)
    assert tied.count_params() == model.count_params()
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(computed(tied, x), computed(model, x), atol=1e-5)


def test_statistics_are_copied_as_weights_are():
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(name="outside")(inputs)
    branch = keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dense(4, "tanh")])
    model = keras.Model(inputs, RecurrentResidual(branch, steps=2)(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in model.weights])
    plain = models.untie(model)
    x = rng.normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(computed(plain, x), computed(model, x), atol=1e-5)


def test_a_layer_that_is_called_twice_remains_one():
    inputs = keras.Input((3,))
    shared = RecurrentResidual(keras.layers.Dense(3, "tanh"), steps=2, name="shared")
    model = keras.Model(inputs, shared(keras.ops.sin(shared(inputs))))
    plain = models.untie(model)
    assert plain.count_params() == 2 * 12
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(computed(plain, x), computed(model, x), atol=1e-6)


def test_the_steps_of_a_call_are_those_of_the_chain():
    inputs = keras.Input((4,))
    layer = RecurrentResidual(
        keras.layers.Dense(4, "tanh"), 2, residual_scale="learned", name="r", return_states=True
    )
    # More steps than it has, and fewer of the same layer; one step that becomes two.
    x = layer(inputs, steps=4, return_states=False)
    x = keras.layers.Dense(4)(layer(x, steps=1, return_states=False))
    x = RecurrentResidual(keras.layers.Dense(4, "tanh"), name="one")(x, steps=2)
    model = keras.Model(inputs, x)
    layer.scale.assign([0.5, 2.0])
    plain = models.untie(model)
    names = [layer.name for layer in plain.layers if "_step" in layer.name]
    assert names == [*(f"r_step{t}" for t in range(4)), "one_step0", "one_step1"]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    np.testing.assert_allclose(computed(plain, x), computed(model, x), atol=1e-5)
    with pytest.raises(ValueError, match="'r' cannot be untied"):
        models.untie(keras.Model(inputs, layer(inputs)))
    counting = RecurrentResidual(keras.layers.Dense(4), 2, name="counting")
    with pytest.raises(ValueError, match="'counting' cannot be untied"):
        models.untie(keras.Model(inputs, counting(inputs, return_steps_used=True)))


def test_models_inside_are_opened():
    inner = keras.Sequential(
        [
            keras.Input((4,)),
            RecurrentResidual(keras.layers.Dense(4, "tanh"), 3, name="r"),
            keras.layers.Dense(4, name="after"),
        ],
        name="inner",
    )
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, "tanh")], name="other")
    inputs = keras.Input((4,), name="in")
    x = RecurrentResidual(keras.layers.Dense(4, "tanh"), 2, name="outer")(other(inner(inputs)))
    model = keras.Model({"in": inputs}, {"out": inner(x)})
    plain = models.untie(model)
    kinds = [layer for layer in sublayers(plain) if isinstance(layer, RecurrentResidual)]
    names = {*(f"r_step{t}" for t in range(3)), "outer_step0", "outer_step1"}
    assert {layer.name for layer in kinds} == names
    assert len(kinds) == len(names)
    assert [layer.name for layer in plain.layers][:3] == ["in", "inner", "other"]
    x = {"in": np.random.default_rng(0).normal(size=(5, 4)).astype("float32")}
    want = computed(model, x)["out"]
    np.testing.assert_allclose(computed(plain, x)["out"], want, atol=1e-5)
    assert multiply_adds(model).total == multiply_adds(plain).total
    # A model in a model of which only the inner one has something to untie.
    nested = models.untie(keras.Sequential([keras.Input((4,)), inner]))
    assert nested.count_params() == 4 * 20


@pytest.mark.neutral
def test_what_cannot_be_untied_is_named():
    with pytest.raises(ValueError, match="has nothing to untie"):
        models.untie(models.planar(depth=2))
    with pytest.raises(ValueError, match="must be a built functional or Sequential model"):
        models.untie(keras.Sequential([keras.layers.Dense(2)]))
    branch = keras.layers.Dense(2)
    states = keras.Sequential(
        [keras.Input((2,)), RecurrentResidual(branch, 2, return_states=True, name="states")]
    )
    with pytest.raises(ValueError, match="'states' cannot be untied"):
        models.untie(states)
