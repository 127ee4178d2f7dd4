"""The convolutional highway network of 10 layers on MNIST, 39 thousand parameters.

Paper: Srivastava et al., arXiv 1507.06228, table 1, and the authors' Caffe files: 180,000 batches
of 100 with SGD, Nesterov momentum 0.9, rate 0.01 cut twice, weight decay 1e-3; 300 epochs. Here
AdamW with a cosine and fewer epochs; dropout as theirs, no augmentation.

    KERAS_BACKEND=torch python -m training.fit highway_mnist --recipe highway_mnist --data-dir DIR

Hardware: any; 23 minutes on one processor core. Top-1 after the last epoch, one seed (the paper has
99.4 % after 300):

    highway_mnist   98.98 %
"""

NAMES = ("highway_mnist",)
DATASET = "mnist"
SEEDS = 1
SETTINGS = {
    "epochs": 8,
    "batch-size": 128,
    "learning-rate": 4e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.5,
    "weight-decay": 0.01,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
