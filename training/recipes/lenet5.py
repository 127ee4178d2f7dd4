"""LeNet-5 as it is built today, on MNIST.

Paper: LeCun et al., "Gradient-based learning applied to document recognition", 1998, whose network
has other averages, connections, nonlinearities and outputs: see `lenet5_original`. This one has no
recipe of its own; AdamW with a cosine, no augmentation.

    KERAS_BACKEND=torch python -m training.fit lenet5 --recipe lenet5 --data-dir DIR

Hardware: any; 4 minutes a training on one processor core. Top-1 after the last epoch, two seeds:

    lenet5          99.17 ± 0.01 %
"""

NAMES = ("lenet5",)
DATASET = "mnist"
SEEDS = 2
SETTINGS = {
    "epochs": 10,
    "batch-size": 128,
    "learning-rate": 2e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.5,
    "weight-decay": 0.05,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
