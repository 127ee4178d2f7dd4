"""`models.elman`, `jordan` and `dense_bilstm`: counts to the unit, and what they compute."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres import models


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(kind, weights, x):
    """Outputs (steps, k) for one sequence (steps, m), in float64."""
    u, w, *others = (np.asarray(weight, "float64") for weight in weights)
    outputs, state = [], np.zeros(len(w))
    for step in x:
        if kind == "elman":
            b, v, c = others
            state = np.tanh(step @ u + state @ w + b)
            outputs.append(sigmoid(state @ v + c))
        else:
            v, b, c = others
            state = sigmoid(np.tanh(step @ u + state @ w + b) @ v + c)
            outputs.append(state)
    return np.array(outputs)


@pytest.mark.parametrize("kind", ["elman", "jordan"])
def test_each_is_the_equation(kind):
    m, n, k = 3, 5, 2
    more = {"classifier_activation": "sigmoid"} if kind == "elman" else {}
    model = getattr(models, kind)(n, input_shape=(None, m), num_classes=k, **more)
    state = n if kind == "elman" else k
    assert model.count_params() == m * n + state * n + n + n * k + k
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    x = rng.normal(size=(1, 4, m)).astype("float32")
    found = ops.convert_to_numpy(model(x))[0]
    np.testing.assert_allclose(found, by_hand(kind, model.get_weights(), x[0]), atol=1e-5)


@pytest.mark.neutral
def test_densely_connected_layers_have_their_papers_counts():
    def count(sizes, m):
        total = 0
        for u in sizes:
            total, m = total + 8 * (u * u + m * u + u), m + 2 * u
        return total

    small = {"vocabulary_size": 7, "embedding_dim": 6, "length": 4}
    model = models.dense_bilstm((4, 3, 5), **small)
    assert model.count_params() - 7 * 6 - 11 == count((4, 3, 5), 6)
    assert count([13] * 14 + [100], 300) == 1_315_248
    assert model.get_layer("bilstm2").input.shape[-1] == 6 + 2 * (4 + 3)


def test_a_densely_connected_network_is_saved_and_gives_features(tmp_path):
    how = {"units": (2, 3), "vocabulary_size": 7, "embedding_dim": 4, "length": 4}
    model, features = models.dense_bilstm(**how), models.dense_bilstm(**how, features_only=True)
    *own, kernel, bias = model.get_weights()
    features.set_weights(own)
    model.save(tmp_path / "model.keras")
    words = np.array([[0, 0, 3, 5], [2, 6, 1, 4]], "int32")
    logits = model.predict(words, verbose=0)
    again = keras.models.load_model(tmp_path / "model.keras").predict(words, verbose=0)
    np.testing.assert_allclose(again, logits, atol=1e-6)
    found = features.predict(words, verbose=0)
    np.testing.assert_allclose(found @ kernel + bias, logits[:, 1:], atol=1e-5)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("builder", "arguments", "sentence"),
    [
        ("elman", {"input_shape": (3,)}, r"`input_shape` must be \(steps, features\), but it is"),
        ("jordan", {"num_classes": 0}, "`num_classes` must be"),
        ("dense_bilstm", {"units": ()}, "`units` must be a list of integers, one a layer"),
        ("dense_bilstm", {"pooling": "last"}, "`pooling` must be one of 'max', 'average', but"),
        ("text_classifier", {"attention": 2}, "`pooling` must be one of 'max', 'average', but"),
    ],
)
def test_arguments_out_of_range_are_one_sentence(builder, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        getattr(models, builder)(**arguments)
