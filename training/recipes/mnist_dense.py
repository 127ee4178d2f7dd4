"""Dense residual networks on MNIST whose initial variances come from mean-field theory.

Paper: arXiv 1712.08969 and the slides after it: residual networks x + φ(Wx + b) (RRN) and
x + Vφ(Wx + b) + a (FRN), no batch norm. Neither says how its networks were trained to the end, so
this is not a published recipe: Adam 1e-4 at a constant rate, batch 128, 10 epochs, no augmentation.

    python -m training.pending --names '?rn_*' --data-dir DIR
    python -m training.fit frn_tanh --recipe mnist_dense --data-dir DIR

Hardware: any; 3 to 11 minutes a training on two processor cores. Top-1 after the last epoch,
three seeds:

    frn_tanh        96.81 ± 0.22 %
    rrn_tanh        97.17 ± 0.15 %
    frn_relu        97.35 ± 0.17 %
    frn_alpha_relu  96.98 ± 0.16 %
"""

NAMES = ("frn_tanh", "rrn_tanh", "frn_relu", "frn_alpha_relu")
DATASET = "mnist"
SEEDS = 3
SETTINGS = {
    "epochs": 10,
    "batch-size": 128,
    "keep-last": True,
    "learning-rate": 1e-4,
    "schedule": "constant",
    "warmup-epochs": 0,
    "weight-decay": 0,
    "epsilon": 1e-7,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
