"""The networks of table 2 on CIFAR-10: a training that two processor cores can do.

Paper: Jiang, Cui, Wang, "Residual network with recurrent structures", table 2, whose networks
(T2T-ViT, arXiv 2101.11986) were trained on ImageNet. Here on CIFAR-10, 32 x 32 pixels: AdamW,
half an epoch of warm-up and a cosine, flip and crop, label smoothing. The learning rate is the
official one for each image, 1e-3 · 128 / 512. What is told below was trained at 1e-3, at which
seven blocks learn hardly at all: 41 % after two epochs of ten, and 52 % after two of two at 3e-4.

    KERAS_BACKEND=torch python -m training.fit vit3_rec --recipe cifar10_vit --data-dir DIR
    python -m training.pending --names 'vit*.cifar10_jpeg' --data-dir DIR

Hardware, time and accuracy after the last epoch, on CIFAR-10 re-encoded as JPEG (these are not
the original pixels), mean ± standard deviation of 2 seeds (vit3, vit3_rec) or 1 seed, one thread of
an Intel Xeon with AMX, other work beside it, PyTorch:

    vit3       65.62 ± 0.15 %   40 min
    vit3_rec   66.28 ± 0.79 %   57 min
    vit7       57.61 %          54 min
    vit7_rec   57.81 %          73 min

The last two are filed in float16, and have 57.72 and 57.84 % so, computed in float32. Recurrence
adds 0.66 ± 0.66 points to three blocks and 0.2 to seven, which nobody can tell from nothing.
"""

NAMES = ("vit7_rec", "vit7", "vit3_rec", "vit3", "vit7_rec_plus")
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 2
SETTINGS = {
    "epochs": 10,
    "batch-size": 128,
    "learning-rate": 2.5e-4,
    "schedule": "cosine",
    "warmup-epochs": 0.5,
    "weight-decay": 0.05,
    "epsilon": 1e-7,
    "label-smoothing": 0.1,
    "augment": "flip,crop",
    "mixup": 0,
    "precision": "mixed_bfloat16",
}
