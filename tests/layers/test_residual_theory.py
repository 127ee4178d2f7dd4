"""FRN and RRN against their equations, and their initial variances."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.layers import FRN, RRN, AlphaReLU


def to_numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def randomize(layer):
    rng = np.random.default_rng(5)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4)])
def test_the_equations(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    frn, rrn = FRN(4, hidden_units=6), RRN(4)
    for layer in (frn, rrn):
        layer.build(shape)
        randomize(layer)
    h = x @ to_numpy(frn.kernel) + to_numpy(frn.bias)
    np.testing.assert_allclose(to_numpy(frn.preactivation(x)), h, atol=1e-5)
    want = x + np.tanh(h) @ to_numpy(frn.projection) + to_numpy(frn.output_bias)
    np.testing.assert_allclose(to_numpy(frn(x)), want, atol=1e-5)
    h = x @ to_numpy(rrn.kernel) + to_numpy(rrn.bias)
    np.testing.assert_allclose(to_numpy(rrn.preactivation(x)), h, atol=1e-5)
    np.testing.assert_allclose(to_numpy(rrn(x)), x + np.tanh(h), atol=1e-5)


def test_weights_have_the_names_of_the_equations_and_are_all_trained():
    frn, rrn = FRN(3), RRN(3)
    frn.build((None, 3))
    rrn.build((None, 3))
    assert [w.name for w in frn.trainable_variables] == [
        "kernel",
        "bias",
        "projection",
        "output_bias",
    ]
    assert [w.name for w in rrn.trainable_variables] == ["kernel", "bias"]
    bare = FRN(3, use_bias=False)
    bare.build((None, 3))
    assert [w.name for w in bare.weights] == ["kernel", "projection"]
    assert bare.bias is None


def test_initial_weights_are_normal_with_the_stated_variances():
    width, hidden = 400, 900
    layer = FRN(
        width,
        sigma_w_sq=0.5,
        sigma_v_sq=2.0,
        sigma_b_sq=0.3,
        sigma_a_sq=4.0,
        hidden_units=hidden,
    )
    layer.build((None, width))
    for weight, variance in (
        (layer.kernel, 0.5 / width),
        (layer.projection, 2.0 / hidden),
        (layer.bias, 0.3),
        (layer.output_bias, 4.0),
    ):
        z = to_numpy(weight).ravel() / variance**0.5
        # Five standard errors of the mean square, of the mean, and the tail of no truncation.
        assert abs(np.mean(z**2) - 1) < 5 * (2 / z.size) ** 0.5
        assert abs(np.mean(z)) < 5 / z.size**0.5
        assert np.max(np.abs(z)) > 2.3
        assert np.mean(z**4) == pytest.approx(3, abs=5 * (96 / z.size) ** 0.5)


def test_variances_of_zero_give_zeros_and_initializers_override_them():
    layer = FRN(3, sigma_w_sq=0, sigma_v_sq=0.0)
    layer.build((None, 3))
    assert not any(to_numpy(w).any() for w in layer.weights)
    ones = FRN(
        3,
        sigma_w_sq=0,
        kernel_initializer="ones",
        projection_initializer="ones",
        bias_initializer="ones",
        output_bias_initializer="ones",
    )
    ones.build((None, 3))
    assert all((to_numpy(w) == 1).all() for w in ones.weights)
    assert (to_numpy(ones.from_config(ones.get_config()).kernel_initializer((2,))) == 1).all()


def test_no_two_layers_begin_alike():
    config = FRN(8).get_config()
    first, second = FRN.from_config(config), FRN.from_config(config)
    first.build((None, 8))
    second.build((None, 8))
    assert np.abs(to_numpy(first.kernel) - to_numpy(second.kernel)).max() > 0.1
    assert np.abs(to_numpy(first.kernel) - to_numpy(first.projection)).max() > 0.1


def test_the_mean_square_of_a_wide_relu_layer_is_that_of_the_recursion():
    width, p0 = 600, 1.7
    x = np.full((1, width), p0**0.5, "float32")
    values = []
    for _ in range(8):
        layer = FRN(width, "relu", sigma_w_sq=1.2, sigma_v_sq=0.9, sigma_b_sq=0.4, sigma_a_sq=0.5)
        values.append(np.mean(to_numpy(layer(x)) ** 2))
    want = p0 + 0.9 * (1.2 * p0 + 0.4) / 2 + 0.5
    error = np.std(values, ddof=1) / len(values) ** 0.5
    assert abs(np.mean(values) - want) < 4 * error + 1e-3
    assert error < 0.1


def test_an_activation_with_a_weight_is_built_tracked_saved_and_trained(tmp_path):
    inputs = keras.Input((4,))
    x = FRN(4, AlphaReLU(0.6, learnable=True), name="first")(inputs)
    x = FRN(4, AlphaReLU(0.7, learnable=True), name="second")(x)
    model = keras.Model(inputs, x)
    alphas = [w for w in model.trainable_variables if w.name == "alpha"]
    assert [float(w.value) for w in alphas] == pytest.approx([0.6, 0.7])
    data = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    model.compile(keras.optimizers.SGD(0.05), "mse")
    model.fit(data, 2 * data, epochs=1, verbose=0)
    trained = [float(w.value) for w in alphas]
    assert trained != pytest.approx([0.6, 0.7], abs=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(data)), to_numpy(model(data)), atol=1e-6)
    assert float(loaded.get_layer("second").activation.exponent.value) == trained[1]


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match="tahn"):
        RRN(4, activation="tahn")
