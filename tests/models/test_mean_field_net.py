"""The dense residual networks of mean-field theory: equations, counts, beginnings, arguments."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.layers import FRN, RRN, AlphaReLU
from keras_recres.models import mean_field_net

IMAGES = np.random.default_rng(0).normal(size=(5, 6, 4, 2)).astype("float32")


def to_numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def power(x):
    return np.where(x > 1e-6, np.maximum(x, 1e-6) ** 0.75, 0.0)


@pytest.mark.parametrize(
    ("kind", "activation", "phi"),
    [
        ("rrn", "tanh", np.tanh),
        ("frn", "tanh", np.tanh),
        ("frn", "relu", lambda x: np.maximum(x, 0)),
        ("frn", "alpha_relu", power),
        ("rrn", keras.ops.sin, np.sin),
        ("plain", "tanh", np.tanh),
    ],
)
def test_the_networks_compute_their_equations(kind, activation, phi):
    model = mean_field_net(kind, activation, depth=3, width=7, input_shape=(6, 4, 2))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    weights = iter([to_numpy(w) for w in model.weights])
    x = IMAGES.reshape(5, -1) @ next(weights) + next(weights)
    for _ in range(3):
        h = x @ next(weights) + next(weights)
        branch = phi(h) @ next(weights) + next(weights) if kind == "frn" else phi(h)
        x = branch if kind == "plain" else x + branch
    want = x @ next(weights) + next(weights)
    assert not list(weights)
    np.testing.assert_allclose(to_numpy(model(IMAGES)), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "layer"), [("frn", FRN), ("rrn", RRN)])
def test_counts_and_variances_reach_every_layer(kind, layer):
    own = {"sigma_v_sq": 0.5, "sigma_a_sq": 0.2} if kind == "frn" else {}
    model = mean_field_net(
        kind, depth=4, width=9, sigma_w_sq=0.3, sigma_b_sq=0.1, **own, num_classes=3
    )
    per_layer = (2 if kind == "frn" else 1) * (9 * 9 + 9)
    assert model.count_params() == 784 * 9 + 9 + 4 * per_layer + 9 * 3 + 3
    blocks = [block for block in model.layers if isinstance(block, layer)]
    assert [block.name for block in blocks] == [f"block{i}" for i in range(4)]
    for block in blocks:
        variances = {"sigma_w_sq": 0.3, "sigma_b_sq": 0.1, **own}
        assert {key: getattr(block, key) for key in variances} == variances
    assert len({float(to_numpy(block.kernel)[0, 0]) for block in blocks}) == 4


def test_the_signal_begins_at_the_mean_square_of_the_pixels():
    model = mean_field_net(depth=1, width=2000, features_only=True)
    x = np.random.default_rng(0).normal(0, 1, (3, 28, 28, 1)).astype("float32")
    embedding = keras.Model(model.input, model.get_layer("embedding").output)
    p = np.mean(to_numpy(embedding(2 * x)) ** 2, axis=1)
    q = 4 * np.mean(x**2, axis=(1, 2, 3))
    # The standard error of a mean of 2,000 squares is 3 %.
    np.testing.assert_allclose(p / q, 1, atol=5 * (2 / 2000) ** 0.5)


def test_features_probabilities_and_vectors():
    keras.utils.set_random_seed(0)
    model = mean_field_net(depth=2, width=5, input_shape=(6, 4, 2), classifier_activation="softmax")
    np.testing.assert_allclose(to_numpy(model(IMAGES)).sum(axis=1), 1, atol=1e-5)
    features = mean_field_net(depth=2, width=5, input_shape=(6, 4, 2), features_only=True)
    assert features.output_shape == (None, 5)
    features.set_weights(model.get_weights()[:-2])
    head = model.get_layer("head")
    np.testing.assert_allclose(
        to_numpy(head(features(IMAGES))), to_numpy(model(IMAGES)), rtol=1e-5, atol=1e-6
    )
    points = mean_field_net(depth=2, width=5, input_shape=(3,), num_classes=2)
    assert points(np.ones((4, 3), "float32")).shape == (4, 2)


def test_an_activation_layer_is_copied_for_every_block(tmp_path):
    activation = AlphaReLU(0.6, learnable=True)
    model = mean_field_net("frn", activation, depth=3, width=4, input_shape=(6, 4, 2))
    alphas = [w for w in model.trainable_variables if w.name == "alpha"]
    assert len(alphas) == 3
    assert not activation.built
    plain = mean_field_net("frn", "alpha_relu", alpha=0.4, depth=1, width=4)
    assert plain.get_layer("block0").activation.alpha == 0.4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(IMAGES)), to_numpy(model(IMAGES)), atol=1e-6)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kind": "fnr"}, ("`kind`", "'fnr'", "'frn'", "'rrn'")),
        ({"depth": 0}, ("`depth`", "0")),
        ({"width": 2.0}, ("`width`", "2.0")),
        ({"num_classes": -1}, ("`num_classes`", "-1")),
        ({"sigma_w_sq": -1}, ("`sigma_w_sq`", "-1")),
        ({"kind": "rrn", "sigma_v_sq": 2.0}, ("`sigma_v_sq`", "2.0", "'rrn'")),
        ({"kind": "plain", "sigma_b_sq": -1}, ("`sigma_b_sq`", "-1")),
        ({"activation": "alpha_relu", "alpha": 2}, ("`alpha`", "2", "(0, 1]")),
        ({"activation": "tahn"}, ("tahn",)),
        ({"input_shape": (None, 28, 1)}, ("`input_shape`", "None")),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(changed, words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as refused:
        mean_field_net(**changed)
    assert all(word in str(refused.value) for word in words), refused.value
