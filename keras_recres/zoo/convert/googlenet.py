"""torchvision's GoogLeNet."""

from keras_recres.models.convnets.googlenet import HEADS, MODULES
from keras_recres.zoo.convert.layout import Layout

CONVOLUTIONS = [
    *("conv1", "conv2", "conv3"),
    *(
        f"inception{module}.branch{branch}"
        for module in MODULES
        for branch in ("1", "2.0", "2.1", "3.0", "3.1", "4.1")
    ),
    *(f"{head}.conv" for head in HEADS.values()),
]
KEYS = [f"{conv}.{part}" for conv in CONVOLUTIONS for part in ("conv", "bn")]
KEYS += [f"{head}.fc{i}" for head in HEADS.values() for i in (1, 2)]
LAYOUTS = {
    "googlenet": [
        Layout(
            "torchvision",
            {key.replace(".", "_"): key for key in KEYS} | {"logits": "fc"},
            # What torchvision does whenever it loads its weights, which came from TensorFlow.
            {"transform_input": True},
        )
    ]
}
