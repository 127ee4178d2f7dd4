"""Inception-ResNets against plain PyTorch, timm's batch norms among them."""

import keras
import numpy as np
import pytest

from keras_recres import models
from tests.models.convnets import plain_torch
from tests.models.convnets.test_inception import (
    FIVE,
    FLAT,
    HALF,
    HIGH,
    ONE,
    SAME,
    TALL,
    WIDE,
    conv_of_torch,
)


def plain(version, classes=7):
    """timm's network of the second version, or with the same names the paper's of the first."""
    import torch
    from torch import nn

    conv, second = conv_of_torch(), version == 2

    class Branches(nn.Module):
        def __init__(self, *branches):
            super().__init__()
            for i, branch in enumerate(branches):
                setattr(self, f"branch{i}", branch)

        def joined(self, x):
            parts = [part for name, part in self.named_children() if name.startswith("branch")]
            return torch.cat([part(x) for part in parts], 1)

        def forward(self, x):
            return self.joined(x)

    class Unit(Branches):
        def __init__(self, channels, widths, scale, last, *branches):
            super().__init__(*branches)
            self.conv2d = nn.Conv2d(widths, channels, 1)
            self.scale, self.last = scale, last

        def forward(self, x):
            x = x + self.scale * self.conv2d(self.joined(x))
            return x if self.last else x.relu()

    def chain(*parts):
        return nn.Sequential(*parts)

    def a(n):
        wide, wider = (48, 64) if second else (32, 32)
        last = chain(conv(n, 32, **ONE), conv(32, wide, **SAME), conv(wide, wider, **SAME))
        branch1 = chain(conv(n, 32, **ONE), conv(32, 32, **SAME))
        return Unit(n, 64 + wider, 0.17, False, conv(n, 32, **ONE), branch1, last)

    def b(n):
        w = (192, 128, 160, 192) if second else (128,) * 4
        branch1 = chain(conv(n, w[1], **ONE), conv(w[1], w[2], **WIDE), conv(w[2], w[3], **HIGH))
        return Unit(n, w[0] + w[3], 0.1, False, conv(n, w[0], **ONE), branch1)

    def c(n, scale=0.2, last=False):
        w = (192, 224, 256) if second else (192,) * 3
        branch1 = chain(conv(n, 192, **ONE), conv(192, w[1], **FLAT), conv(w[1], w[2], **TALL))
        return Unit(n, 192 + w[2], scale, last, conv(n, 192, **ONE), branch1)

    def pool():
        return nn.MaxPool2d(3, 2)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv2d_1a, self.conv2d_2a = conv(3, 32, **HALF), conv(32, 32, 3)
            self.conv2d_2b, self.maxpool_3a = conv(32, 64, **SAME), pool()
            self.conv2d_3b, self.conv2d_4a = conv(64, 80, **ONE), conv(80, 192, 3)
            if second:
                branch2 = chain(conv(192, 64, **ONE), conv(64, 96, **SAME), conv(96, 96, **SAME))
                average = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
                self.maxpool_5a, self.mixed_5b = (
                    pool(),
                    Branches(
                        conv(192, 96, **ONE),
                        chain(conv(192, 48, **ONE), conv(48, 64, **FIVE)),
                        branch2,
                        chain(average, conv(192, 64, **ONE)),
                    ),
                )
            else:
                self.maxpool_5a, self.mixed_5b = conv(192, 256, **HALF), nn.Identity()
            n, between = (320, (256, 384)) if second else (256, (192, 256))
            self.repeat = chain(*(a(n) for _ in range(10 if second else 5)))
            k, m = between
            first = chain(conv(n, k, **ONE), conv(k, k, **SAME), conv(k, m, **HALF))
            self.mixed_6a = Branches(conv(n, 384, **HALF), first, pool())
            n += 384 + m
            self.repeat_1 = chain(*(b(n) for _ in range(20 if second else 10)))
            k, m = (288, 320) if second else (256, 256)
            longest = chain(conv(n, 256, **ONE), conv(256, k, **SAME), conv(k, m, **HALF))
            self.mixed_7a = Branches(
                chain(conv(n, 256, **ONE), conv(256, 384, **HALF)),
                chain(conv(n, 256, **ONE), conv(256, k, **HALF)),
                longest,
                pool(),
            )
            n += 384 + k + m
            self.repeat_2 = chain(*(c(n) for _ in range(9 if second else 5)))
            if second:
                self.block8, self.conv2d_7b = c(n, 1.0, True), conv(n, 1536, **ONE)
                n = 1536
            self.classif = nn.Linear(n, classes)

        def forward(self, x):
            x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
            x = self.mixed_5b(self.maxpool_5a(self.conv2d_4a(self.conv2d_3b(x))))
            x = self.repeat_1(self.mixed_6a(self.repeat(x)))
            x = self.repeat_2(self.mixed_7a(x))
            x = self.conv2d_7b(self.block8(x)) if second else x
            return self.classif(x.mean((2, 3)))

    return Network()


@plain_torch.only_torch
@pytest.mark.slow
def test_the_second_version_is_that_of_timm():
    module = plain_torch.filled(lambda: plain(2))
    model = plain_torch.assert_same_function(
        "inception_resnet_v2", module, (107, 107, 3), num_classes=7
    )
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert all(norm.scale and norm.epsilon == 1e-3 for norm in norms)


@plain_torch.only_torch
@pytest.mark.slow
def test_the_first_version_is_that_of_plain_pytorch(monkeypatch):
    from keras_recres.zoo.convert import networks
    from keras_recres.zoo.convert.layout import Layout

    stem = ["conv2d_1a", "conv2d_2a", "conv2d_2b", "conv2d_3b", "conv2d_4a", "maxpool_5a"]
    keys = {
        f"stem{i}_{part}": f"{key}.{part}"
        for i, key in enumerate(stem, 1)
        for part in ("conv", "bn")
    }
    prefixes = {f"unit_{x}{i + 1}": f"{key}.{i}" for x, key, n in UNITS for i in range(n)}
    prefixes |= {"reduction_a": "mixed_6a", "reduction_b": "mixed_7a"}
    with plain_torch.without_initial_values():
        layers = [x.name for x in models.inception_resnet_v1(num_classes=7).layers if x.weights]
    for layer in layers:
        prefix = next((p for p in sorted(prefixes, key=len)[::-1] if layer.startswith(f"{p}_")), "")
        if prefix:
            rest = layer.removeprefix(f"{prefix}_")
            rest = "conv2d" if rest == "up" else rest.replace("_", ".")
            keys[layer] = f"{prefixes[prefix]}.{rest}"
    own = {"inception_resnet_v1": [Layout("a test", keys | {"logits": "classif"})]}
    monkeypatch.setattr(networks, "LAYOUTS", own)
    module = plain_torch.filled(lambda: plain(1))
    plain_torch.assert_same_function("inception_resnet_v1", module, (107, 107, 3), num_classes=7)


UNITS = ("a", "repeat", 5), ("b", "repeat_1", 10), ("c", "repeat_2", 5)


def separable(classes=7):
    """timm's Xception."""
    from torch import nn

    class Separable(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, inputs, 3, 1, 1, groups=inputs, bias=False)
            self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)

        def forward(self, x):
            return self.pointwise(self.conv1(x))

    class Block(nn.Module):
        def __init__(self, inputs, widths, stride, first=False):
            super().__init__()
            parts, outputs = [], widths[-1]
            for n, m in zip((inputs, *widths), widths, strict=False):
                parts += [nn.ReLU(), Separable(n, m), nn.BatchNorm2d(m)]
            parts += [nn.MaxPool2d(3, stride, 1)] if stride > 1 else []
            self.rep = nn.Sequential(*parts[1 if first else 0 :])
            if stride > 1:
                self.skip = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.skipbn = nn.BatchNorm2d(outputs)

        def forward(self, x):
            return self.rep(x) + (self.skipbn(self.skip(x)) if hasattr(self, "skip") else x)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32)
            self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64)
            blocks = [Block(64, (128, 128), 2, True), Block(128, (256, 256), 2)]
            blocks += [Block(256, (728, 728), 2), *(Block(728, (728,) * 3, 1) for _ in range(8))]
            for i, block in enumerate([*blocks, Block(728, (728, 1024), 2)], 1):
                setattr(self, f"block{i}", block)
            self.conv3, self.bn3 = Separable(1024, 1536), nn.BatchNorm2d(1536)
            self.conv4, self.bn4 = Separable(1536, 2048), nn.BatchNorm2d(2048)
            self.fc = nn.Linear(2048, classes)

        def forward(self, x):
            x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
            for i in range(1, 13):
                x = getattr(self, f"block{i}")(x)
            x = self.bn4(self.conv4(self.bn3(self.conv3(x)).relu())).relu()
            return self.fc(x.mean((2, 3)))

    return Network()


@plain_torch.only_torch
@pytest.mark.slow
def test_xception_is_that_of_timm(tmp_path):
    module = plain_torch.filled(separable)
    # Maps of 12 and 6 pixels are padded on both sides before they are pooled.
    model = plain_torch.assert_same_function("xception", module, (96, 96, 3), num_classes=7)
    model.save(tmp_path / "xception.keras")
    again = keras.saving.load_model(tmp_path / "xception.keras")
    x = np.random.default_rng(1).normal(size=(1, 96, 96, 3)).astype("float32")
    found = [keras.ops.convert_to_numpy(m(x, training=False)) for m in (model, again)]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("build", "arguments", "words"),
    [
        (models.xception, {"input_shape": (70, 71, 3)}, r"sides of at least 71 .*\(70"),
        (models.xception, {"layout": "torch"}, "`layout` must be one of 'keras', 'timm'"),
        (models.inception_resnet_v2, {"layout": 1}, "`layout` must be one of 'keras', 'timm'"),
        (models.inception_resnet_v1, {"input_shape": (75, 74, 3)}, r"at least 75 .*\(75, 74"),
    ],
)
def test_wrong_arguments_are_one_sentence(build, arguments, words):
    with pytest.raises(ValueError, match=words):
        build(**arguments)
