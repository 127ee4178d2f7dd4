"""Small ResNets with one block a stage on CIFAR-10: what recurrence is worth to convolutions.

Paper: Liao and Poggio, arXiv 1604.03640, with a shorter training and a smaller network than theirs.

    python -m training.fit shared_resnet --recipe shared_resnet --data-dir DIR

Hardware: any. Results: not measured yet.
"""

NAMES = ("shared_resnet",)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 2
SETTINGS = {
    "epochs": 10,
    "batch-size": 128,
    "learning-rate": 3e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.5,
    "weight-decay": 0.01,
    "label-smoothing": 0,
    "augment": "flip,crop",
    "mixup": 0,
    "precision": "float32",
    "curvature": 64,
}
