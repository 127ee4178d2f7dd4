"""AlexNet: torchvision's against plain PyTorch, the paper's too, and what differs of the two."""

import keras
import numpy as np
import pytest

from keras_recres import models
from tests.models.convnets import plain_torch


def torchvision():
    """The stack of torchvision's file, for images of 95 pixels, whose last maps are 2 × 2."""
    from torch import nn

    features = [nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    features += [nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        features += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU()]
    features.append(nn.MaxPool2d(3, 2))
    classifier = [nn.Dropout(), nn.Linear(4 * 256, 4096), nn.ReLU()]
    classifier += [nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 7)]
    network = nn.Sequential()
    network.features = nn.Sequential(*features)
    network.flatten = nn.Flatten()
    network.classifier = nn.Sequential(*classifier)
    return network


def two_towers():
    from torch import nn

    def norm():
        # PyTorch divides α by the size.
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    return nn.Sequential(
        *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), norm(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(96, 256, 5, 1, 2, groups=2), nn.ReLU(), norm(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU()),
        *(nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Flatten(), nn.Linear(4 * 256, 4096), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 7)),
    )


@plain_torch.only_torch
def test_torchvisions_checkpoint():
    module = plain_torch.filled(torchvision)
    plain_torch.assert_same_function("alexnet", module, (95, 95, 3), num_classes=7)


@plain_torch.only_torch
def test_the_papers_network_is_that_of_plain_pytorch(monkeypatch):
    from keras_recres.zoo.convert import layout, networks

    numbers = (0, 4, 8, 10, 12, 16, 19, 22)
    names = [*(f"conv{i}" for i in range(1, 6)), "fc6", "fc7", "logits"]
    keys = {name: str(n) for name, n in zip(names, numbers, strict=True)}
    own = {"alexnet_two_tower": [layout.Layout("a test", keys)]}
    monkeypatch.setattr(networks, "LAYOUTS", own)
    module = plain_torch.filled(two_towers)
    plain_torch.assert_same_function("alexnet_two_tower", module, (99, 99, 3), num_classes=7)


@pytest.mark.neutral
def test_what_the_two_networks_are_made_of():
    with plain_torch.without_initial_values():
        paper, one = (
            models.alexnet(two_tower=two, input_shape=(227, 227, 3), num_classes=2)
            for two in (True, False)
        )
    assert [paper.get_layer(f"conv{i}").groups for i in range(1, 6)] == [1, 2, 1, 2, 2]
    assert [paper.get_layer(f"pool{i}").output.shape[1] for i in (1, 2, 5)] == [27, 13, 6]
    # Dropped are the paper's hidden units, and torchvision's inputs of the dense layers.
    kinds = {"fc6": 0, "drop6": 1}
    order = [[kinds[x.name] for x in model.layers if x.name in kinds] for model in (paper, one)]
    assert order == [[0, 1], [1, 0]]
    biases = [np.mean(keras.ops.convert_to_numpy(paper.get_layer(f"conv{i}").bias)) for i in (1, 2)]
    assert biases == [0, 1]


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (66, 227, 3)}, r"`input_shape` must have sides of at least 67 .*\(66"),
        ({"input_shape": (227, 227)}, r"`input_shape` must be \(height, width, channels\)"),
        (
            {"num_classes": 0, "input_shape": (67, 67, 3)},
            "`num_classes` must be an integer of at least 1",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, words):
    with plain_torch.without_initial_values(), pytest.raises(ValueError, match=words):
        models.alexnet(**arguments)
