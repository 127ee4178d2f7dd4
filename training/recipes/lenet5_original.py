"""LeNet-5 of 1998 on MNIST, with the loss of its paper: 20 passes, no distortions.

Paper: LeCun et al., "Gradient-based learning applied to document recognition", 1998, section III.B:
20 passes through 60,000 images by a stochastic diagonal Levenberg-Marquardt method. The loss is the
paper's, with its class of images of nothing (`--rubbish`, whose j it does not print); Adam with
a cosine takes that method's place. The codes of the classes are not the paper's pictures.

    python -m training.fit lenet5_original --recipe lenet5_original --data-dir DIR

Hardware: any; 9 minutes a training on one processor core. Top-1 after the last epoch, two seeds
(the paper's error of 0.95 % is an accuracy of 99.05 %):

    lenet5_original 98.87 ± 0.07 %
"""

NAMES = ("lenet5_original",)
DATASET = "mnist"
SEEDS = 2
SETTINGS = {
    "epochs": 20,
    "batch-size": 128,
    "learning-rate": 2e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.5,
    "weight-decay": 0,
    "label-smoothing": 0,
    "rubbish": 40.0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
