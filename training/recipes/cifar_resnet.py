"""A ResNet of 20 layers on CIFAR-10: a training that a processor core does within two hours.

Paper: He et al., arXiv 1512.03385, section 4.2, who train 64,000 batches of 128 with SGD, momentum,
and a rate cut twice: 164 epochs of 45,000 images. Here AdamW with a cosine, their shifts and flips,
and fewer epochs.

    KERAS_BACKEND=torch python -m training.fit cifar_resnet20 --recipe cifar_resnet --data-dir DIR

Hardware: any; 44 minutes on one processor core. Top-1 after the last epoch, one seed, on CIFAR-10
re-encoded as JPEG, which are not the original pixels (the paper has 91.25 % on those, after 164):

    cifar_resnet20  78.09 %
"""

NAMES = ("cifar_resnet20",)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 1
SETTINGS = {
    "epochs": 11,
    "batch-size": 128,
    "learning-rate": 3e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.5,
    "weight-decay": 0.05,
    "label-smoothing": 0,
    "augment": "flip,crop",
    "mixup": 0,
    "precision": "float32",
}
