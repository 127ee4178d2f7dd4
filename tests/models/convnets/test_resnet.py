"""ResNets for ImageNet against plain PyTorch, and what is refused."""

import pytest

from keras_recres import models, zoo
from tests.models.convnets import plain_torch

STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


def plain(depth, residual=True, classes=7):
    """torchvision's network; without shortcuts the plain one."""
    from torch import nn

    class Unit(nn.Module):
        def __init__(self, inputs, filters, stride):
            super().__init__()
            self.wide = depth >= 50
            outputs = 4 * filters if self.wide else filters
            first = (1, 1, 0) if self.wide else (3, stride, 1)
            second = (3, stride, 1) if self.wide else (3, 1, 1)
            self.conv1 = nn.Conv2d(inputs, filters, *first, bias=False)
            self.bn1 = nn.BatchNorm2d(filters)
            self.conv2 = nn.Conv2d(filters, filters, *second, bias=False)
            self.bn2 = nn.BatchNorm2d(filters)
            if self.wide:
                self.conv3 = nn.Conv2d(filters, outputs, 1, bias=False)
                self.bn3 = nn.BatchNorm2d(outputs)
            self.downsample = None
            if residual and (inputs != outputs or stride > 1):
                shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
            if self.wide:
                y = self.bn3(self.conv3(y.relu()))
            if residual:
                y = y + (x if self.downsample is None else self.downsample(x))
            return y.relu()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1, self.maxpool = nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
            width = 64
            for stage, units in enumerate(STAGES[depth], 1):
                filters, parts = 32 * 2**stage, []
                for i in range(units):
                    parts.append(Unit(width, filters, 2 if stage > 1 and i == 0 else 1))
                    width = 4 * filters if depth >= 50 else filters
                setattr(self, f"layer{stage}", nn.Sequential(*parts))
            self.fc = nn.Linear(width, classes)

        def forward(self, x):
            x = self.maxpool(self.bn1(self.conv1(x)).relu())
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(x.mean((2, 3)))

    return Network()


@plain_torch.only_torch
@pytest.mark.parametrize(("name", "depth"), [("resnet18", 18), ("resnet50_v1_5", 50)])
def test_torchvisions_checkpoints(name, depth):
    module = plain_torch.filled(lambda: plain(depth))
    plain_torch.assert_same_function(name, module, (64, 64, 3), num_classes=7)
    if depth == 50:
        # The same shapes, another function.
        with pytest.raises(ValueError, match=r"'resnet50_v1_5' and not of 'resnet50'.* pass that"):
            zoo.convert.checkpoint("resnet50", module.state_dict(), num_classes=7)


@plain_torch.only_torch
@pytest.mark.slow
def test_the_plain_network_is_that_of_plain_pytorch(monkeypatch):
    from keras_recres.zoo.convert import networks, resnet
    from keras_recres.zoo.convert.layout import Layout

    (of_34,) = resnet.LAYOUTS["resnet34"]
    keys = {layer: key for layer, key in of_34.keys.items() if "downsample" not in key}
    monkeypatch.setattr(networks, "LAYOUTS", {"plain34": [Layout("a test", keys)]})
    module = plain_torch.filled(lambda: plain(34, residual=False))
    plain_torch.assert_same_function("plain34", module, (64, 64, 3), num_classes=7)


def test_deeper_ones_read_the_keys_of_torchvision():
    from keras_recres.zoo.convert import resnet

    for name, units in (("resnet101_v1_5", 23), ("resnet152_v1_5", 36)):
        (layout,) = resnet.LAYOUTS[name]
        keys = set(layout.keys.values())
        assert f"layer3.{units - 1}.bn3" in keys
        assert f"layer3.{units}.bn3" not in keys
        blocks = sum((3, 4 if units == 23 else 8, units, 3))
        assert len(keys) == 2 + 6 * blocks + 8 + 1


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("build", "arguments", "words"),
    [
        (models.resnet, {"depth": 20}, r"`depth` must be one of \(18, 34, 50, .* it is 20"),
        (models.resnet, {"input_shape": (31, 32, 3)}, r"sides of at least 32 .*\(31"),
        (models.keras_resnet, {"depth": 18}, "`depth` must be 50, 101 or 152 .* are 18 and 1"),
        (models.keras_resnet, {"version": 3}, "`version` 1 or 2, but they are 50 and 3"),
        (models.keras_resnet, {"num_classes": 0}, "`num_classes` must be"),
    ],
)
def test_wrong_arguments_are_one_sentence(build, arguments, words):
    with pytest.raises(ValueError, match=words):
        build(**arguments)
