"""torchvision's third Inception, and timm's fourth, Inception-ResNet and Xception."""

import dataclasses

from keras_recres.models.convnets import inception_v4
from keras_recres.zoo.convert.layout import IMAGENET, Layout

SIZE = (299, 299)
TORCHVISION = dataclasses.replace(IMAGENET, size=SIZE, crop=299 / 342)


def _timms(crop):
    return dataclasses.replace(
        IMAGENET, size=SIZE, crop=crop, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3
    )


def _both(layer, key):
    """A convolution and its batch norm."""
    return {f"{layer}_{part}": f"{key}.{part}" for part in ("conv", "bn")}


def _version_3():
    modules = {
        **{f"5{key}": ("branch5x5_1", "branch5x5_2", *_double(3), "branch_pool") for key in "bcd"},
        "6a": ("branch3x3", *_double(3)),
        **{
            f"6{key}": (
                *(f"branch7x7_{i}" for i in (1, 2, 3)),
                *(f"branch7x7dbl_{i}" for i in range(1, 6)),
                "branch_pool",
            )
            for key in "bcde"
        },
        "7a": ("branch3x3_1", "branch3x3_2", *(f"branch7x7x3_{i}" for i in range(1, 5))),
        **{
            f"7{key}": (
                *("branch3x3_1", "branch3x3_2a", "branch3x3_2b"),
                *(*_double(2), "branch3x3dbl_3a", "branch3x3dbl_3b", "branch_pool"),
            )
            for key in "bc"
        },
    }
    keys = {}
    for layer in ("1a_3x3", "2a_3x3", "2b_3x3", "3b_1x1", "4a_3x3"):
        keys |= _both(f"Conv2d_{layer}", f"Conv2d_{layer}")
    for module, branches in modules.items():
        one = () if module.endswith("a") else ("branch1x1",)
        for branch in (*one, *branches):
            keys |= _both(f"Mixed_{module}_{branch}", f"Mixed_{module}.{branch}")
    for i in (0, 1):
        keys |= _both(f"AuxLogits_conv{i}", f"AuxLogits.conv{i}")
    return keys | {"AuxLogits_fc": "AuxLogits.fc", "logits": "fc"}


def _double(count):
    return [f"branch3x3dbl_{i}" for i in range(1, count + 1)]


def _version_4():
    keys = {}
    for i in range(3):
        keys |= _both(f"features_{i}", f"features.{i}")
    parts = {f"features_{i}": part for i, part in enumerate(inception_v4.MODULES, 6)}
    for module, branches in {**inception_v4.STEM, **parts}.items():
        for part in _parts(branches):
            # The files have underscores in the last modules, whose branches end in two.
            ends = branches is inception_v4.MODULE_C and not part.startswith("branch3")
            key = part if ends else part.replace("_", ".")
            keys |= _both(f"{module}_{part}", f"{module.replace('_', '.')}.{key}")
    return keys | {"logits": "last_linear"}


def _parts(branches):
    """Names of the convolutions of a module."""
    for branch in branches:
        for part in branch:
            if isinstance(part, list):
                yield from _parts([part])
            elif isinstance(part, tuple):
                yield part[0]


def _numbered(keys, conv, norm):
    """Layers without names of their own, which Keras numbers in the order of their making."""
    found = {}
    for i, key in enumerate(keys):
        number = f"_{i}" if i else ""
        found |= {
            f"conv2d{number}": f"{key}{conv}",
            f"batch_normalization{number}": f"{key}{norm}",
        }
    return found


def _inception_resnet():
    two, three = ("branch1.0", "branch1.1"), ("branch1.0", "branch1.1", "branch1.2")
    units = {"repeat": 10, "repeat_1": 20, "repeat_2": 9}
    keys = [f"conv2d_{key}" for key in ("1a", "2a", "2b", "3b", "4a")]
    of_branch2 = ("branch2.0", "branch2.1", "branch2.2")
    keys += [f"mixed_5b.{key}" for key in ("branch0", *two, *of_branch2, "branch3.1")]
    last = {}
    for (stage, count), block in zip(units.items(), ("block35", "block17", "block8"), strict=True):
        branches = ("branch0", *two, *of_branch2) if stage == "repeat" else ("branch0", *three)
        if stage == "repeat_1":
            keys += [f"mixed_6a.{key}" for key in ("branch0", *three)]
        if stage == "repeat_2":
            keys += [f"mixed_7a.{key}" for key in ("branch0.0", "branch0.1", *two, *of_branch2)]
        keys += [f"{stage}.{i}.{key}" for i in range(count) for key in branches]
        last |= {f"{block}_{i + 1}_conv": f"{stage}.{i}.conv2d" for i in range(count)}
    keys += [f"block8.{key}" for key in ("branch0", *three)]
    last |= {"block8_10_conv": "block8.conv2d", "conv_7b": "conv2d_7b.conv"}
    last |= {"conv_7b_bn": "conv2d_7b.bn", "predictions": "classif"}
    return _numbered(keys, ".conv", ".bn") | last


def _xception():
    keys = {f"block1_conv{i}": f"conv{i}" for i in (1, 2)}
    keys |= {f"block1_conv{i}_bn": f"bn{i}" for i in (1, 2)}
    for block in range(1, 13):
        for i in range(2 if block in (1, 2, 3, 12) else 3):
            # A ReLU comes before each, but before the first of all.
            place = 3 * i + (block > 1)
            layer = f"block{block + 1}_sepconv{i + 1}"
            keys |= {layer: f"block{block}.rep.{place}"}
            keys |= {f"{layer}_bn": f"block{block}.rep.{place + 1}"}
    keys |= {f"block14_sepconv{i}": f"conv{i + 2}" for i in (1, 2)}
    keys |= {f"block14_sepconv{i}_bn": f"bn{i + 2}" for i in (1, 2)}
    skips = [f"block{block}.skip" for block in (1, 2, 3, 12)]
    return keys | _numbered(skips, "", "bn") | {"predictions": "fc"}


AS_TIMM = {"layout": "timm"}
LAYOUTS = {
    "inception_v3_aux": [
        # What torchvision does whenever it loads its weights, which came from TensorFlow.
        Layout("torchvision", _version_3(), {"transform_input": True}, TORCHVISION)
    ],
    "inception_v4": [Layout("timm", _version_4(), {}, _timms(0.875))],
    "inception_resnet_v2": [Layout("timm", _inception_resnet(), AS_TIMM, _timms(0.8975))],
    "xception": [Layout("timm", _xception(), AS_TIMM, _timms(0.8975))],
}
