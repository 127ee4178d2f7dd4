"""torchvision's VGGs, and timm's, whose dense layers are convolutions."""

from keras_recres.models.convnets.vgg import CONFIGURATIONS
from keras_recres.zoo.convert.layout import Layout


def _layouts(configuration, head):
    features, n = {}, 0
    for block, convolutions in enumerate(CONFIGURATIONS[configuration], 1):
        for i in range(1, convolutions + 1):
            # Convolution and ReLU have a number each, and so has the pooling behind them.
            features[f"block{block}_conv{i}"] = f"features.{n}"
            n += 2
        n += 1
    dense = {"fc1": "classifier.0", "fc2": "classifier.3", head: "classifier.6"}
    timms = {"fc1": "pre_logits.fc1", "fc2": "pre_logits.fc2", head: "head.fc"}
    return [Layout("torchvision", features | dense), Layout("timm", features | timms)]


LAYOUTS = {
    "vgg11": _layouts("A", "logits"),
    "vgg13": _layouts("B", "logits"),
    # Keras' own networks call the last layer otherwise.
    "vgg16": _layouts("D", "predictions"),
    "vgg19": _layouts("E", "predictions"),
}
