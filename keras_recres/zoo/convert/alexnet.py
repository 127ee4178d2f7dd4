"""torchvision's AlexNet."""

from keras_recres.zoo.convert.layout import Layout

FEATURES = {f"conv{i}": f"features.{n}" for i, n in enumerate((0, 3, 6, 8, 10), 1)}
DENSE = {"fc6": "classifier.1", "fc7": "classifier.4", "logits": "classifier.6"}
LAYOUTS = {"alexnet": [Layout("torchvision", FEATURES | DENSE)]}
