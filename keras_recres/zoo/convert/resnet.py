"""torchvision's ResNets, whose strides are in 3 × 3 convolutions, and timm's with the same keys."""

from keras_recres.models.convnets.resnet import UNITS
from keras_recres.zoo.convert.layout import Layout


def _layouts(depth):
    convolutions = 3 if depth >= 50 else 2
    keys = ["conv1", "bn1"]
    for stage, units in enumerate(UNITS[depth], 1):
        for i in range(units):
            unit = f"layer{stage}.{i}"
            keys += [
                f"{unit}.{kind}{j + 1}" for j in range(convolutions) for kind in ("conv", "bn")
            ]
            # Basic units keep the 64 channels of the stem.
            if i == 0 and (stage > 1 or depth >= 50):
                keys += [f"{unit}.downsample.0", f"{unit}.downsample.1"]
    return [Layout("torchvision", {key.replace(".", "_"): key for key in keys} | {"logits": "fc"})]


LAYOUTS = {
    "resnet18": _layouts(18),
    "resnet34": _layouts(34),
    "resnet50_v1_5": _layouts(50),
    "resnet101_v1_5": _layouts(101),
    "resnet152_v1_5": _layouts(152),
}
