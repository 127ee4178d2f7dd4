"""VGG: its columns against plain PyTorch, in torchvision's and timm's layouts."""

import keras
import pytest

from keras_recres import models
from tests.models.convnets import plain_torch

BLOCKS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


def torchvision(name, side):
    """The stack of torchvision's file, for images of 64 or 32 pixels."""
    from torch import nn

    features, inputs = [], 3
    for outputs, convolutions in zip((64, 128, 256, 512, 512), BLOCKS[name], strict=True):
        for _ in range(convolutions):
            features += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            inputs = outputs
        features.append(nn.MaxPool2d(2, 2))
    dense = [nn.Linear(512 * (side // 32) ** 2, 4096), nn.ReLU(), nn.Dropout()]
    dense += [nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 7)]
    network = nn.Sequential()
    network.features = nn.Sequential(*features)
    network.flatten = nn.Flatten()
    network.classifier = nn.Sequential(*dense)
    return network


def as_timm(state, side):
    """The same weights as timm's files have them, whose dense layers are convolutions."""
    side //= 32
    new = {
        "classifier.0": ("pre_logits.fc1", (4096, 512, side, side)),
        "classifier.3": ("pre_logits.fc2", (4096, 4096, 1, 1)),
        "classifier.6": ("head.fc", (7, 4096)),
    }
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        name, shape = new.get(layer, (layer, None))
        renamed[f"{name}.{kind}"] = value.reshape(shape) if kind == "weight" and shape else value
    return renamed


@plain_torch.only_torch
@pytest.mark.parametrize(
    ("name", "side"), [("vgg11", 64), pytest.param("vgg16", 32, marks=pytest.mark.slow)]
)
def test_checkpoints_of_torchvision_and_timm(name, side):
    module = plain_torch.filled(lambda: torchvision(name, side))
    for state in (None, as_timm(module.state_dict(), side)):
        plain_torch.assert_same_function(name, module, (side, side, 3), state, num_classes=7)


@plain_torch.only_torch
@pytest.mark.parametrize("name", BLOCKS)
def test_the_keys_are_those_of_the_stack(name):
    """Those of a checkpoint that is converted above stand for themselves."""
    import torch

    from keras_recres.zoo.convert import networks

    with torch.device("meta"):
        state = torchvision(name, 224).state_dict()
    theirs, timms = networks.LAYOUTS[name]
    assert theirs.beginnings == {key.rpartition(".")[0] for key in state}
    assert timms.beginnings == {key.rpartition(".")[0] for key in as_timm(state, 224)}


@pytest.mark.neutral
@pytest.mark.slow
def test_the_columns_of_the_papers_table():
    def layers(configuration):
        model = models.vgg(configuration, input_shape=(32, 32, 3), num_classes=2)
        kinds = keras.layers.Conv2D, keras.layers.Dense
        return [layer for layer in model.layers if isinstance(layer, kinds)], model

    depths = {}
    with plain_torch.without_initial_values():
        for configuration in ("A", "A-LRN", "B", "C", "D", "E"):
            weighted, model = layers(configuration)
            depths[configuration] = len(weighted)
            pointwise = [x.name for x in weighted if getattr(x, "kernel_size", 0) == (1, 1)]
            third = [f"block{i}_conv3" for i in (3, 4, 5)]
            assert pointwise == (third if configuration == "C" else [])
            names = [layer.name for layer in model.layers]
            assert ("block1_norm" in names) == (configuration == "A-LRN")
            dropped = [x for x in model.layers if isinstance(x, keras.layers.Dropout)]
            assert len(dropped) == (0 if configuration in "DE" else 2)
    assert depths == {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19}


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"configuration": "16"}, "`configuration` must be one of .*'D'.* it is '16'"),
        ({"input_shape": (31, 32, 3)}, r"`input_shape` must have sides of at least 32 .*\(31"),
        ({"num_classes": None}, "`num_classes` must be an integer"),
        (
            {"configuration": "A", "weights": "imagenet"},
            r"`weights` of the configuration 'A' must be None, .* Keras has those of 'D' and 'E'",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        models.vgg(**arguments)
