"""Seven ResNet-50s on MNIST: activation and initialisation of a network with batch norm.

Paper: the slides after arXiv 1712.08969 on residual networks initialised by theory; ResNet-50
(arXiv 1512.03385) on 28 x 28 x 1 with tanh, ReLU or α-ReLU, He or Xavier initialisation: SGD 0.01,
batch 32, 5 epochs, pixels in [0, 1], no augmentation. Xavier is that of the authors' notebook,
uniform with variance 2 / (fan-in + fan-out); the slide's is normal with 1 / (fan-in + fan-out).

    python -m training.pending --names 'mnist_resnet50*' --data-dir DIR
    python -m training.fit mnist_resnet50_relu_he --recipe mnist_resnet50 --data-dir DIR

Results and logs only: the weights are 94 MB a network. Hardware: one accelerator. Time and
accuracy: not measured yet; for one epoch on a part of the images see
`training.reproduce mnist_resnet50 --help`.
"""

NAMES = (
    "mnist_resnet50_alpha_relu_he",
    "mnist_resnet50_relu_he",
    "mnist_resnet50_tanh_xavier",
    "mnist_resnet50_alpha_relu_xavier",
    "mnist_resnet50_relu_xavier",
    "mnist_resnet50_tanh_he",
    "mnist_resnet50_relu_he_uniform",
)
DATASET = "mnist"
SEEDS = 1
WEIGHTS = False
CALLBACKS = ("training.fit.watchers.StepLog", "training.fit.watchers.KernelVariances")
SETTINGS = {
    "optimizer": "sgd",
    "epochs": 5,
    "batch-size": 32,
    "keep-last": True,
    "learning-rate": 0.01,
    "schedule": "constant",
    "warmup-epochs": 0,
    "weight-decay": 0,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
