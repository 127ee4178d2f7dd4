"""Network in network: both forms against plain PyTorch."""

import keras
import numpy as np
import pytest

from keras_recres import models
from tests.models.convnets import plain_torch

# Kernel size, strides and margin of each layer's first convolution, and all its filters.
CIFAR = [((5, 1, 2), (192, 160, 96)), ((5, 1, 2), (192, 192, 192)), ((3, 1, 1), (192, 192, 7))]
IMAGENET = [((11, 4, 0), (96, 96, 96)), ((5, 1, 2), (256,) * 3), ((3, 1, 1), (384,) * 3)]
IMAGENET.append(((3, 1, 1), (1024, 1024, 7)))


def plain(stack):
    from torch import nn

    layers, inputs = [], 3
    for i, ((size, stride, margin), (first, *others)) in enumerate(stack):
        if i:
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers += [nn.Conv2d(inputs, first, size, stride, margin), nn.ReLU()]
        inputs = first
        for outputs in others:
            layers += [nn.Conv2d(inputs, outputs, 1), nn.ReLU()]
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


@plain_torch.only_torch
@pytest.mark.parametrize(
    ("build", "stack", "side"),
    [(models.nin_cifar, CIFAR, 13), (models.nin_imagenet, IMAGENET, 75)],
)
def test_it_is_that_of_plain_pytorch(build, stack, side):
    import torch

    module = plain_torch.filled(lambda: plain(stack))
    with plain_torch.without_initial_values():
        model = build(input_shape=(side, side, 3), num_classes=7)
    state = [value.numpy() for value in module.state_dict().values()]
    assert len(model.weights) == len(state)
    for weight, value in zip(model.weights, state, strict=True):
        weight.assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
    x = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype("float32")
    with torch.no_grad():
        wanted = module(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
    assert np.abs(wanted[0] - wanted[1]).max() > 0.1 * wanted.std()
    # The last ReLU makes some logits zero, as the authors' files have it.
    assert wanted.min() >= 0
    got = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(got, wanted, atol=1e-4 * wanted.std())


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("build", "shape"), [(models.nin_cifar, (7, 8, 3)), (models.nin_imagenet, (66, 67, 3))]
)
def test_an_image_that_is_too_small_is_one_sentence(build, shape):
    with pytest.raises(ValueError, match=rf"at least {shape[1]} pixels, but it is \({shape[0]}"):
        build(input_shape=shape)
