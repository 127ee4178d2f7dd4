"""Residual and plain networks on CIFAR-10 at 16 x 16 pixels, for studies that compare many.

Paper: He et al., arXiv 1512.03385 and 1603.05027, who train 64,000 batches of 128 with SGD,
momentum 0.9, weight decay 1e-4, and a rate of 0.1 that is cut twice. Here fewer epochs, half the
rate, which rises for one epoch and falls with a cosine. The decay is decoupled: 1e-3 pulls as much
at that momentum.

    python -m training.reproduce degradation --data-dir DIR
    python -m training.fit cifar_plain56 --recipe cifar16 --data-dir DIR --model-arguments \
"input_shape=[16,16,3]" "filters=[8,16,32]"

The studies ask for the size and for 8, 16 and 32 channels, and train `cifar_resnet20`, too.

Hardware: any; on one busy processor core 40 seconds an epoch with 20 layers, 110 with 56. Accuracy:
not measured yet.
"""

NAMES = ("cifar_plain20", "cifar_plain56", "cifar_resnet56", "preact_resnet110")
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 2
WEIGHTS = False
PENDING = False
SETTINGS = {
    "epochs": 12,
    "batch-size": 128,
    "optimizer": "sgd",
    "momentum": 0.9,
    "learning-rate": 0.05,
    "schedule": "cosine",
    "warmup-epochs": 1,
    "weight-decay": 1e-3,
    "label-smoothing": 0,
    "augment": "flip,crop",
    "mixup": 0,
    "precision": "float32",
}
