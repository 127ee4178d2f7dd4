"""Inception's versions: counts by hand, plain PyTorch with heads, and what is refused."""

import keras
import numpy as np
import pytest

from keras_recres import models, zoo
from keras_recres.models.families import family_of
from tests.models.convnets import by_hand, plain_torch


def of_table_1():
    """The layers of the network of table 1 of arXiv 1512.00567, as `by_hand` takes them."""
    found = [(3, 32, 9, 149), (32, 32, 9, 147), (32, 64, 9, 147), (64, 80, 9, 71)]
    found += [(80, 192, 9, 35), (192, 288, 9, 35)]
    figure_5 = [(288, 64, 1), (288, 48, 1), (48, 64, 9), (288, 64, 1), (64, 96, 9), (96, 96, 9)]
    found += 3 * [(*layer, 35) for layer in (*figure_5, (288, 64, 1))]
    found += [(288, 384, 9, 17), (288, 64, 1, 35), (64, 96, 9, 35), (96, 96, 9, 17)]
    for n in (128, 160, 160, 160, 192):
        short = [(768, n, 1), (n, n, 7), (n, 192, 7)]
        long = [(768, n, 1), (n, n, 7), (n, n, 7), (n, n, 7), (n, 192, 7)]
        found += [(*layer, 17) for layer in (*short, *long, (768, 192, 1), (768, 192, 1))]
    found += [(768, 192, 1, 17), (192, 320, 9, 8), (768, 192, 1, 17), (192, 192, 7, 17)]
    found += [(192, 192, 7, 17), (192, 192, 9, 8)]
    for n in (1280, 2048):
        ends = [(n, 384, 1), (384, 384, 3), (384, 384, 3)]
        longer = [(n, 448, 1), (448, 384, 9), (384, 384, 3), (384, 384, 3)]
        found += [(*layer, 8) for layer in (*ends, *longer, (n, 320, 1), (n, 192, 1))]
    return found


@pytest.mark.neutral
def test_the_second_version_is_counted_by_hand():
    record = zoo.info("inception_v2")
    trainable, moving, products = by_hand.counts(of_table_1(), 2048)
    found = record.parameters.trainable, record.parameters.total, record.multiply_adds
    assert found == (trainable, trainable + moving, products)


@pytest.mark.neutral
@pytest.mark.slow
def test_bn_inception_without_biases():
    with plain_torch.without_initial_values():
        model = models.bn_inception(use_bias=False)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 11285224


def conv_of_torch(epsilon=1e-3, bias=False):
    """A class of convolutions with batch norms and ReLUs, named as in torchvision and timm."""
    from torch import nn

    class Conv(nn.Module):
        def __init__(self, inputs, outputs, size, stride=1, pad=0):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, size, stride, pad, bias=bias)
            self.bn = nn.BatchNorm2d(outputs, eps=epsilon)

        def forward(self, x):
            return self.bn(self.conv(x)).relu()

    return Conv


WIDE, HIGH = {"size": (1, 7), "pad": (0, 3)}, {"size": (7, 1), "pad": (3, 0)}
FLAT, TALL = {"size": (1, 3), "pad": (0, 1)}, {"size": (3, 1), "pad": (1, 0)}
ONE, SAME, HALF = {"size": 1}, {"size": 3, "pad": 1}, {"size": 3, "stride": 2}
FIVE = {"size": 5, "pad": 2}


def version_3(auxiliary, transform, table_1=False, classes=7):
    """torchvision's network, or that of table 1 of arXiv 1512.00567."""
    import torch
    from torch import nn
    from torch.nn import functional

    conv = conv_of_torch()

    def average(x):
        return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=not table_1)

    class A(nn.Module):
        def __init__(self, n, pooled):
            super().__init__()
            self.branch1x1 = conv(n, 64, **ONE)
            self.branch5x5_1 = conv(n, 48, **ONE)
            self.branch5x5_2 = conv(48, 64, **(SAME if table_1 else FIVE))
            self.branch3x3dbl_1 = conv(n, 64, **ONE)
            self.branch3x3dbl_2, self.branch3x3dbl_3 = conv(64, 96, **SAME), conv(96, 96, **SAME)
            self.branch_pool = conv(n, pooled, **ONE)

        def forward(self, x):
            double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
            five = self.branch5x5_2(self.branch5x5_1(x))
            return torch.cat([self.branch1x1(x), five, double, self.branch_pool(average(x))], 1)

    class B(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch3x3, self.branch3x3dbl_1 = conv(288, 384, **HALF), conv(288, 64, **ONE)
            self.branch3x3dbl_2, self.branch3x3dbl_3 = conv(64, 96, **SAME), conv(96, 96, **HALF)

        def forward(self, x):
            double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
            return torch.cat([self.branch3x3(x), double, functional.max_pool2d(x, 3, 2)], 1)

    class C(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.branch1x1, self.branch_pool = conv(768, 192, **ONE), conv(768, 192, **ONE)
            self.branch7x7_1, self.branch7x7_2 = conv(768, n, **ONE), conv(n, n, **WIDE)
            self.branch7x7_3, self.branch7x7dbl_1 = conv(n, 192, **HIGH), conv(768, n, **ONE)
            self.branch7x7dbl_2, self.branch7x7dbl_3 = conv(n, n, **HIGH), conv(n, n, **WIDE)
            self.branch7x7dbl_4, self.branch7x7dbl_5 = conv(n, n, **HIGH), conv(n, 192, **WIDE)

        def forward(self, x):
            seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
            y = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
            y = self.branch7x7dbl_5(self.branch7x7dbl_4(y))
            return torch.cat([self.branch1x1(x), seven, y, self.branch_pool(average(x))], 1)

    class D(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch3x3_1, self.branch3x3_2 = conv(768, 192, **ONE), conv(192, 320, **HALF)
            self.branch7x7x3_1, self.branch7x7x3_2 = conv(768, 192, **ONE), conv(192, 192, **WIDE)
            self.branch7x7x3_3, self.branch7x7x3_4 = conv(192, 192, **HIGH), conv(192, 192, **HALF)

        def forward(self, x):
            seven = self.branch7x7x3_2(self.branch7x7x3_1(x))
            seven = self.branch7x7x3_4(self.branch7x7x3_3(seven))
            three = self.branch3x3_2(self.branch3x3_1(x))
            return torch.cat([three, seven, functional.max_pool2d(x, 3, 2)], 1)

    class E(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.branch1x1, self.branch_pool = conv(n, 320, **ONE), conv(n, 192, **ONE)
            self.branch3x3_1, self.branch3x3_2a = conv(n, 384, **ONE), conv(384, 384, **FLAT)
            self.branch3x3_2b, self.branch3x3dbl_1 = conv(384, 384, **TALL), conv(n, 448, **ONE)
            self.branch3x3dbl_2, self.branch3x3dbl_3a = (
                conv(448, 384, **SAME),
                conv(384, 384, **FLAT),
            )
            self.branch3x3dbl_3b = conv(384, 384, **TALL)

        def forward(self, x):
            three, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
            ends = [self.branch3x3_2a(three), self.branch3x3_2b(three)]
            ends += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)]
            return torch.cat([self.branch1x1(x), *ends, self.branch_pool(average(x))], 1)

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv0, self.conv1 = conv(768, 128, **ONE), conv(128, 768, 5)
            self.fc = nn.Linear(768, classes)

        def forward(self, x):
            x = self.conv1(self.conv0(functional.avg_pool2d(x, 5, 3)))
            return self.fc(x.mean((2, 3)))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = conv(3, 32, **HALF), conv(32, 32, 3)
            self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = conv(32, 64, **SAME), conv(64, 80, **ONE)
            self.Conv2d_4a_3x3 = conv(80, 192, 3)
            self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = A(192, 32), A(256, 64), A(288, 64)
            self.Mixed_6a, self.Mixed_6b, self.Mixed_6c = B(), C(128), C(160)
            self.Mixed_6d, self.Mixed_6e = C(160), C(192)
            self.AuxLogits = Head()
            self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = D(), E(1280), E(2048)
            self.fc = nn.Linear(2048, classes)

        def forward(self, x):
            if transform:
                # From ImageNet's statistics to [−1, 1].
                mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
                std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
                x = ((x * std + mean) - 0.5) / 0.5
            x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
            x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
            x = self.Mixed_5b(functional.max_pool2d(x, 3, 2))
            x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(x)))
            x = between = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
            logits = self.fc(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3)))
            return (logits, self.AuxLogits(between)) if auxiliary else logits

    class Second(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem1, self.stem2 = conv(3, 32, **HALF), conv(32, 32, 3)
            self.stem3, self.stem4 = conv(32, 64, **SAME), conv(64, 80, 3)
            self.stem5, self.stem6 = conv(80, 192, **HALF), conv(192, 288, **SAME)
            parts = [A(288, 64), A(288, 64), A(288, 64), B()]
            parts += [C(n) for n in (128, 160, 160, 160, 192)]
            parts += [D(), E(1280), E(2048)]
            keys = {5: "bcd", 6: "abcdef", 7: "abc"}
            self.names = [f"mixed_{i}{key}" for i, letters in keys.items() for key in letters]
            for key, part in zip(self.names, parts, strict=True):
                setattr(self, key, part)
            self.fc = nn.Linear(2048, classes)

        def forward(self, x):
            x = functional.max_pool2d(self.stem3(self.stem2(self.stem1(x))), 3, 2)
            x = self.stem6(self.stem5(self.stem4(x)))
            for key in self.names:
                x = getattr(self, key)(x)
            return self.fc(x.mean((2, 3)))

    return Second() if table_1 else Network()


def with_bn(classes=7):
    """BN-Inception."""
    import torch
    from torch import nn
    from torch.nn import functional

    conv, stride_2 = conv_of_torch(1e-5, True), {"size": 3, "stride": 2, "pad": 1}
    # Maps that come in; 1 × 1; 3 × 3 with its reduction; the double with its own; the pooling's.
    widths = {
        "3a": (192, 64, 64, 64, 64, 96, 32),
        "3b": (256, 64, 64, 96, 64, 96, 64),
        "3c": (320, None, 128, 160, 64, 96, None),
        "4a": (576, 224, 64, 96, 96, 128, 128),
        "4b": (576, 192, 96, 128, 96, 128, 128),
        "4c": (576, 160, 128, 160, 128, 160, 128),
        "4d": (608, 96, 128, 192, 160, 192, 128),
        "4e": (608, None, 128, 192, 192, 256, None),
        "5a": (1056, 352, 192, 320, 160, 224, 128),
        "5b": (1024, 352, 192, 320, 192, 224, 128),
    }

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2_reduce = conv(3, 64, 7, 2, 3), conv(64, 64, **ONE)
            self.conv2, self.fc = conv(64, 192, **SAME), nn.Linear(1024, classes)
            for key, (n, one, before, three, before_double, double, pooled) in widths.items():
                last = SAME if one else stride_2
                parts = {
                    "3x3_reduce": conv(n, before, **ONE),
                    "3x3": conv(before, three, **last),
                    "double_3x3_reduce": conv(n, before_double, **ONE),
                    "double_3x3_1": conv(before_double, double, **SAME),
                    "double_3x3_2": conv(double, double, **last),
                }
                if one:
                    parts |= {"1x1": conv(n, one, **ONE), "pool_proj": conv(n, pooled, **ONE)}
                for part, module in parts.items():
                    self.add_module(f"inception_{key}_{part}", module)

        def forward(self, x):
            def pool(x):
                return functional.max_pool2d(x, 3, 2, ceil_mode=True)

            x = pool(self.conv2(self.conv2_reduce(pool(self.conv1(x)))))
            for key, (_, one, *_) in widths.items():

                def run(part, y, key=key):
                    return getattr(self, f"inception_{key}_{part}")(y)

                double = run("double_3x3_1", run("double_3x3_reduce", x))
                ends = [run("3x3", run("3x3_reduce", x)), run("double_3x3_2", double)]
                if one:
                    last = functional.max_pool2d if key == "5b" else functional.avg_pool2d
                    ends = [run("1x1", x), *ends, run("pool_proj", last(x, 3, 1, 1))]
                else:
                    ends.append(pool(x))
                x = torch.cat(ends, 1)
            return self.fc(x.mean((2, 3)))

    return Network()


@plain_torch.only_torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "build", "side"),
    [
        ("inception_v2", lambda: version_3(False, False, table_1=True), 107),
        # Odd sides among those that are pooled.
        ("bn_inception", with_bn, 100),
    ],
)
def test_others_are_those_of_plain_pytorch(monkeypatch, name, build, side):
    from keras_recres.zoo.convert import networks
    from keras_recres.zoo.convert.layout import Layout

    module = plain_torch.filled(build)
    prefixes = {key.rpartition(".")[0] for key in module.state_dict()} - {"fc"}
    keys = {prefix.replace(".", "_"): prefix for prefix in prefixes} | {"logits": "fc"}
    monkeypatch.setattr(networks, "LAYOUTS", {name: [Layout("a test", keys)]})
    plain_torch.assert_same_function(name, module, (side, side, 3), num_classes=7)


@plain_torch.only_torch
@pytest.mark.slow
def test_torchvisions_checkpoint_with_its_head():
    module = plain_torch.filled(lambda: version_3(True, True))
    shape = (299, 299, 3)
    model = plain_torch.assert_same_function("inception_v3_aux", module, shape, num_classes=7)
    assert model.preprocess is None


@plain_torch.only_torch
def test_torchvisions_checkpoint_without_its_head():
    module = plain_torch.filled(lambda: version_3(False, False))
    plain_torch.assert_same_function(
        "inception_v3_aux",
        module,
        (75, 75, 3),
        num_classes=7,
        auxiliary=False,
        transform_input=False,
    )


def version_4(classes=7):
    """timm's network."""
    import torch
    from torch import nn

    conv = conv_of_torch()

    class Split(nn.Module):
        """Branches side by side, named as in the file."""

        def __init__(self, **branches):
            super().__init__()
            for name, branch in branches.items():
                setattr(self, name, branch)

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.children()], 1)

    class C(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch0, self.branch1_0 = conv(1536, 256, **ONE), conv(1536, 384, **ONE)
            self.branch1_1a, self.branch1_1b = conv(384, 256, **FLAT), conv(384, 256, **TALL)
            self.branch2_0, self.branch2_1 = conv(1536, 384, **ONE), conv(384, 448, **TALL)
            self.branch2_2, self.branch2_3a = conv(448, 512, **FLAT), conv(512, 256, **FLAT)
            self.branch2_3b = conv(512, 256, **TALL)
            self.branch3 = nn.Sequential(average(), conv(1536, 256, **ONE))

        def forward(self, x):
            one, two = self.branch1_0(x), self.branch2_2(self.branch2_1(self.branch2_0(x)))
            ends = [self.branch1_1a(one), self.branch1_1b(one)]
            ends += [self.branch2_3a(two), self.branch2_3b(two)]
            return torch.cat([self.branch0(x), *ends, self.branch3(x)], 1)

    def average():
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)

    def chain(*parts):
        return nn.Sequential(*parts)

    def a():
        return Split(
            branch0=conv(384, 96, **ONE),
            branch1=chain(conv(384, 64, **ONE), conv(64, 96, **SAME)),
            branch2=chain(conv(384, 64, **ONE), conv(64, 96, **SAME), conv(96, 96, **SAME)),
            branch3=chain(average(), conv(384, 96, **ONE)),
        )

    def b():
        longest = [conv(1024, 192, **ONE), conv(192, 192, **HIGH), conv(192, 224, **WIDE)]
        longest += [conv(224, 224, **HIGH), conv(224, 256, **WIDE)]
        return Split(
            branch0=conv(1024, 384, **ONE),
            branch1=chain(conv(1024, 192, **ONE), conv(192, 224, **WIDE), conv(224, 256, **HIGH)),
            branch2=chain(*longest),
            branch3=chain(average(), conv(1024, 128, **ONE)),
        )

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            longer = [conv(160, 64, **ONE), conv(64, 64, **WIDE), conv(64, 64, **HIGH)]
            self.features = nn.Sequential(
                conv(3, 32, **HALF),
                conv(32, 32, 3),
                conv(32, 64, **SAME),
                Split(maxpool=nn.MaxPool2d(3, 2), conv=conv(64, 96, **HALF)),
                Split(
                    branch0=chain(conv(160, 64, **ONE), conv(64, 96, 3)),
                    branch1=chain(*longer, conv(64, 96, 3)),
                ),
                Split(conv=conv(192, 192, **HALF), maxpool=nn.MaxPool2d(3, 2)),
                *(a() for _ in range(4)),
                Split(
                    branch0=conv(384, 384, **HALF),
                    branch1=chain(
                        conv(384, 192, **ONE), conv(192, 224, **SAME), conv(224, 256, **HALF)
                    ),
                    branch2=nn.MaxPool2d(3, 2),
                ),
                *(b() for _ in range(7)),
                Split(
                    branch0=chain(conv(1024, 192, **ONE), conv(192, 192, **HALF)),
                    branch1=chain(
                        conv(1024, 256, **ONE),
                        conv(256, 256, **WIDE),
                        conv(256, 320, **HIGH),
                        conv(320, 320, **HALF),
                    ),
                    branch2=nn.MaxPool2d(3, 2),
                ),
                *(C() for _ in range(3)),
            )
            self.last_linear = nn.Linear(1536, classes)

        def forward(self, x):
            return self.last_linear(self.features(x).mean((2, 3)))

    return Network()


@plain_torch.only_torch
def test_the_fourth_version_is_that_of_timm():
    # Maps of 2 × 2 at the end, whose borders average poolings leave out.
    module = plain_torch.filled(version_4)
    plain_torch.assert_same_function("inception_v4", module, (107, 107, 3), num_classes=7)


@pytest.mark.neutral
def test_the_head_is_for_training_alone():
    auxiliary = family_of("inception_v3_aux").auxiliary
    assert auxiliary({}) == (0.3,)
    assert auxiliary({"auxiliary": False}) == auxiliary({"features_only": True}) == ()


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("build", "arguments", "words"),
    [
        (models.inception_v3_aux, {"input_shape": (298, 299, 3)}, r"sides of at least 299 .*\(298"),
        (models.inception_v3, {"input_shape": (74, 75, 3)}, r"sides of at least 75 .*\(74"),
        (models.inception_v4, {"input_shape": (74, 75, 3)}, r"sides of at least 75 .*\(74"),
        (models.inception_v3, {"num_classes": 0}, "`num_classes` must be"),
        (models.inception_v2, {"input_shape": (75, 75)}, "`input_shape` must be"),
        (
            models.inception_v3_aux,
            {"input_shape": (299, 299, 1), "transform_input": True},
            "`transform_input` is for images of 3 channels",
        ),
    ],
)
def test_wrong_arguments_are_one_sentence(build, arguments, words):
    with pytest.raises(ValueError, match=words):
        build(**arguments)


def test_modules_join_branches_in_their_order():
    from keras_recres.models.convnets.inception_parts import AVERAGE, MAX, modules

    x = keras.Input((7, 7, 2))
    parts = {"m": [[("a", 3, 1), [("b", 4, (1, 3)), ("c", 5, (3, 1))]], [AVERAGE, ("d", 6, 3)]]}
    y = modules(x, parts)
    assert y.shape == (None, 7, 7, 15)
    assert modules(y, {"n": [[MAX], [("e", 2, 3, 2)]]}).shape == (None, 3, 3, 17)
