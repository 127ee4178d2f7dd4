"""GoogLeNet: torchvision's and the paper's against plain PyTorch, with their heads."""

import pytest

from keras_recres import models, zoo
from keras_recres.models.families import family_of
from tests.models.convnets import plain_torch

# Filters of the branches, in the order of the paper's table.
WIDTHS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def plain(paper, flat, classes=7):
    """The network of torchvision's file; with `paper` the paper's, whose heads see `flat` cells."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Conv(nn.Module):
        def __init__(self, inputs, outputs, size, stride=1):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=paper)
            self.bn = nn.Identity() if paper else nn.BatchNorm2d(outputs, eps=0.001)

        def forward(self, x):
            return self.bn(self.conv(x)).relu()

    class Module(nn.Module):
        def __init__(self, inputs, one, before_three, three, before_five, five, pooled):
            super().__init__()
            self.branch1 = Conv(inputs, one, 1)
            self.branch2 = nn.Sequential(
                Conv(inputs, before_three, 1), Conv(before_three, three, 3)
            )
            self.branch3 = nn.Sequential(
                Conv(inputs, before_five, 1), Conv(before_five, five, 5 if paper else 3)
            )
            self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Conv(inputs, pooled, 1))

        def forward(self, x):
            branches = (self.branch1, self.branch2, self.branch3, self.branch4)
            return torch.cat([branch(x) for branch in branches], 1)

    class Head(nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.conv = Conv(inputs, 128, 1)
            self.fc1, self.fc2 = nn.Linear(128 * flat, 1024), nn.Linear(1024, classes)

        def forward(self, x):
            pool = functional.avg_pool2d(x, 5, 3) if paper else functional.adaptive_avg_pool2d(x, 4)
            return self.fc2(self.fc1(self.conv(pool).flatten(1)).relu())

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = Conv(3, 64, 7, 2), Conv(64, 64, 1)
            self.conv3 = Conv(64, 192, 3)
            for name, widths in WIDTHS.items():
                setattr(self, f"inception{name}", Module(*widths))
            self.aux1, self.aux2 = Head(512), Head(528)
            self.fc = nn.Linear(1024, classes)

        def forward(self, x):
            def pool(x, size=3):
                return functional.max_pool2d(x, size, 2, ceil_mode=True)

            def norm(x):
                # Caffe's α, which PyTorch divides as Caffe does.
                return functional.local_response_norm(x, 5, 1e-4, 0.75, 1.0) if paper else x

            if not paper:
                # From ImageNet's statistics to [−1, 1].
                mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
                std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
                x = ((x * std + mean) - 0.5) / 0.5
            x = norm(pool(self.conv1(x)))
            x = pool(norm(self.conv3(self.conv2(x))))
            x = pool(self.inception3b(self.inception3a(x)))
            x = self.inception4a(x)
            first = self.aux1(x)
            x = self.inception4d(self.inception4c(self.inception4b(x)))
            second = self.aux2(x)
            x = pool(self.inception4e(x), 3 if paper else 2)
            x = self.inception5b(self.inception5a(x))
            return self.fc(x.mean((2, 3))), first, second

    return Network()


@plain_torch.only_torch
def test_torchvisions_checkpoint():
    module = plain_torch.filled(lambda: plain(False, 16))
    # The maps of 5 × 5 are averaged into 4 × 4 windows that overlap.
    model = plain_torch.assert_same_function("googlenet", module, (79, 79, 3), num_classes=7)
    assert model.get_layer("inception4a").output.shape[1] == 5
    # Of seven classes nobody knows which pictures they are of.
    assert model.preprocess is None


@plain_torch.only_torch
def test_the_papers_network_is_that_of_plain_pytorch(monkeypatch):
    from keras_recres.zoo.convert import googlenet, layout, networks

    keys = {key.replace(".", "_"): f"{key}.conv" for key in googlenet.CONVOLUTIONS}
    keys |= {key.replace(".", "_"): key for key in googlenet.KEYS if ".fc" in key}
    own = {"googlenet_paper": [layout.Layout("a test", keys | {"logits": "fc"})]}
    monkeypatch.setattr(networks, "LAYOUTS", own)
    module = plain_torch.filled(lambda: plain(True, 4))
    # The heads see 2 × 2 cells, whose order counts.
    plain_torch.assert_same_function("googlenet_paper", module, (127, 127, 3), num_classes=7)


@pytest.mark.neutral
def test_the_heads_are_for_training_alone():
    with plain_torch.without_initial_values():
        model = models.googlenet(input_shape=(32, 32, 3), num_classes=3)
    assert [x.shape for x in model.outputs] == [(None, 3)] * 3
    auxiliary = family_of("googlenet").auxiliary
    assert auxiliary(zoo.info("googlenet").arguments) == (0.3, 0.3)
    assert auxiliary({"auxiliary": False}) == auxiliary({"features_only": True}) == ()


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("build", "arguments", "words"),
    [
        (models.googlenet, {"input_shape": (31, 224, 3)}, r"sides of at least 32 .*\(31"),
        (models.googlenet_paper, {"input_shape": (78, 79, 3)}, r"sides of at least 79 .*\(78"),
        (
            models.googlenet,
            {"input_shape": (32, 32, 1), "transform_input": True},
            "`transform_input` is for images of 3 channels",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(build, arguments, words):
    with pytest.raises(ValueError, match=words):
        build(**arguments)
