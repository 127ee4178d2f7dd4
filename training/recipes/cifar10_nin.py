"""Network in network on CIFAR-10, with the flips and crops of its paper's second row.

Paper: Lin, Chen and Yan, arXiv 1312.4400, table 1: 10.41 % errors, 8.81 % with augmentation, on
whitened images; SGD with momentum, its rate cut by hand. Here the rate falls with a cosine and the
images are normalised only.

    python -m training.fit nin_cifar10 --recipe cifar10_nin --data-dir DIR

Hardware: one accelerator. Time and accuracy: not measured yet.
"""

NAMES = ("nin_cifar10",)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 1
# Too long for a processor.
PENDING = False
SETTINGS = {
    "optimizer": "sgd",
    "epochs": 200,
    "batch-size": 128,
    "learning-rate": 0.01,
    "schedule": "cosine",
    "warmup-epochs": 1,
    "weight-decay": 1e-3,
    "label-smoothing": 0,
    "augment": "flip,crop",
    "mixup": 0,
    "precision": "float32",
}
