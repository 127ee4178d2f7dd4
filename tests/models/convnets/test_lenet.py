"""LeNet-5: both forms against plain PyTorch, and the original's parameters and codes."""

import keras
import numpy as np
import pytest

from keras_recres import models
from keras_recres.models.convnets import lenet
from tests.models.convnets import plain_torch


def in_plain_pytorch(model, x, original):
    """The same network of `torch.nn.functional`, with the weights found by their layers' names."""
    import torch
    from torch.nn import functional

    def weights(name):
        return [w.value for w in model.get_layer(name).weights]

    def squash(x):
        return 1.7159 * torch.tanh(2 / 3 * x) if original else torch.tanh(x)

    def conv(x, name):
        kernel, bias = weights(name)
        return squash(functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias))

    def pool(x, name):
        mean = functional.avg_pool2d(x, 2)
        if not original:
            return mean
        coefficient, bias = weights(name)
        return squash(4 * mean * coefficient[:, None, None] + bias[:, None, None])

    x = torch.tensor(x).permute(0, 3, 1, 2)
    x = functional.pad(x, (2, 2, 2, 2), value=-0.1 if original else 0.0)
    x = pool(conv(x, "c1"), "s2")
    if original:
        kernel, bias = weights("c3")
        # The weights of the connections stand by map, and of each map by filter.
        table = [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5]]
        table += [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5]]
        table += [[0, 1, 2, 5], [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5]]
        rows = [(f, c) for f, seen in enumerate(table) for c in seen]
        whole = torch.zeros(16, 6, 5, 5)
        for place, (f, c) in enumerate(rows):
            whole[f, c] = kernel[:, :, place]
        x = squash(functional.conv2d(x, whole, bias))
    else:
        x = conv(x, "c3")
    x = conv(pool(x, "s4"), "c5").permute(0, 2, 3, 1).flatten(1)
    kernel, bias = weights("f6")
    x = squash(x @ kernel + bias)
    if original:
        return -((x[:, None] - weights("logits")[0]) ** 2).sum(-1)
    kernel, bias = weights("logits")
    return x @ kernel + bias


@plain_torch.only_torch
@pytest.mark.parametrize("original", [True, False])
def test_it_is_that_of_plain_pytorch(original):
    model = models.lenet5(original=original, input_shape=(30, 32, 2), num_classes=7)
    rng = np.random.default_rng(0)
    for w in model.trainable_weights:
        fan_in = np.prod(w.shape[:-1]) if len(w.shape) > 1 else 1
        w.assign(rng.normal(size=w.shape) / fan_in**0.5)
    x = rng.normal(size=(2, 30, 32, 2)).astype("float32")
    wanted = in_plain_pytorch(model, x, original).detach().numpy()
    assert np.abs(wanted[0] - wanted[1]).max() > 0.1 * wanted.std()
    got = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(got, wanted, atol=1e-4 * wanted.std())


@pytest.mark.neutral
def test_the_original_has_the_papers_60000_parameters():
    model = models.lenet5(original=True)
    counts = {layer.name: layer.count_params() for layer in model.layers if layer.weights}
    wanted = {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48120, "f6": 10164, "logits": 840}
    assert counts == wanted
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 60000
    # Uniform in ±2.4 / fan-in.
    for name, fan_in in (("c1", 25), ("c5", 400), ("f6", 120)):
        largest = np.abs(keras.ops.convert_to_numpy(model.get_layer(name).kernel)).max()
        assert 0.9 * 2.4 / fan_in < largest <= 2.4001 / fan_in


@pytest.mark.neutral
def test_the_class_whose_code_the_features_are_has_the_largest_logit():
    codes = lenet.codes(200)
    assert codes.shape == (200, 84)
    assert set(np.unique(codes)) == {-1, 1}
    assert (codes[:10] == lenet.codes(10)).all()
    same = codes @ codes.T - 84 * np.eye(200)
    assert same.max() < 50, "classes have codes of their own"
    head = models.lenet5(original=True).get_layer("logits")
    logits = keras.ops.convert_to_numpy(head(codes[:10]))
    assert (logits.argmax(-1) == np.arange(10)).all()
    np.testing.assert_allclose(np.diag(logits), 0, atol=1e-6)


@pytest.mark.neutral
def test_squashing_keeps_plus_and_minus_one():
    values = keras.ops.convert_to_numpy(lenet.scaled_tanh(np.array([-1.0, 0.0, 1.0])))
    np.testing.assert_allclose(values, [-1, 0, 1], atol=1e-4)


@pytest.mark.neutral
def test_an_image_that_is_too_small_is_one_sentence():
    with pytest.raises(ValueError, match=r"sides of at least 28 .* \(27, 28, 1\)"):
        models.lenet5(input_shape=(27, 28, 1))
