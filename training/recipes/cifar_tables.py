"""The two CIFAR-10 tables of networks with fewer parameters.

Paper: K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of parameters of a neural
network for image classification" (in Russian), sections 2.3 and 3.2: Adam 1e-3 at a constant
rate, batch 128, 20 epochs, pixels in [-1, 1], no augmentation. The paper prints the best test
accuracy of the 20 epochs. Adam's ε is PyTorch's, with which its networks were trained.

    python -m training.reproduce cifar_tables --data-dir DIR        all of them, with the tables
    python -m training.pending --names 'cifar_*' --data-dir DIR     those that are missing
    python -m training.fit cifar_medium --recipe cifar_tables --data-dir DIR

Hardware, time and accuracy after the last epoch, on CIFAR-10 re-encoded as JPEG (these are not
the original pixels), mean ± standard deviation of 3 seeds, or of 1 seed, beside other work on two
cores of an AMD EPYC, TensorFlow:

    cifar_small            70.01 ± 0.19 %   18 min
    cifar_small_conv3d     66.34 ± 0.85 %   25 min
    cifar_small_meta       68.10 ± 0.16 %   31 min
    cifar_small_metahead   69.49 ± 0.21 %   20 min
    cifar_medium           79.25 %          113 min
    cifar_medium_conv3d    77.95 %          138 min
    cifar_medium_metahead  80.81 %           89 min
    cifar_medium_meta      74.69 %          105 min
    cifar_residual*        not measured yet
"""

NAMES = (
    "cifar_medium",
    "cifar_medium_metahead",
    "cifar_medium_conv3d",
    "cifar_medium_meta",
    "cifar_residual",
    "cifar_residual_metahead",
    "cifar_residual_conv3d",
    "cifar_residual_meta",
    "cifar_small",
    "cifar_small_metahead",
    "cifar_small_conv3d",
    "cifar_small_meta",
)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 3
BEST_EPOCH = True
CALLBACKS = ("training.fit.watchers.WholeTrainingSet",)
SETTINGS = {
    "epochs": 20,
    "batch-size": 128,
    "keep-last": True,
    "learning-rate": 1e-3,
    "schedule": "constant",
    "warmup-epochs": 0,
    "weight-decay": 0,
    "epsilon": 1e-8,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
