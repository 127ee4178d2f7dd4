"""Table 2 of the recurrent residual networks, at a scale that one accelerator does in minutes.

Paper: Jiang, Cui, Wang, "Residual network with recurrent structures", table 2: T2T-ViT
(arXiv 2101.11986) of 3 and 7 blocks on ImageNet, 61.53 → 67.16 % and 71.63 → 74.57 % top-1 when
the blocks run several times, with no parameter added. Here on 80 classes of Tiny ImageNet, 64 x 64
pixels, 40,000 images: the same recipe and the same number of epochs for the four networks. A fifth,
`vit7_rec_plus`, is ours and has a recipe of its own, `tiny_imagenet80_vit_plus`.

After the official recipe (AdamW, warm-up, cosine, smoothing, mixup, erasing), shortened: 50 epochs
instead of 310, a warm-up of 5; flip and crop in place of RandAugment; mixup's α is 0.2 instead of
0.8, since a short training gains less from strong augmentation; weight decay 0.05 on kernels only.
The learning rate is the official one for each image, 1e-3 · 256 / 512: on CIFAR-10 four times that
rate kept seven blocks far behind three.

    python -m training.pending --names 'vit*.tiny_imagenet80' --data-dir DIR
    python -m training.reproduce t2t_vit
    python -m training.fit vit3_rec --recipe tiny_imagenet80_vit --data-dir DIR --seed 0

Multiply-adds of one image: 178, 359, 323 and 577 million for vit3, vit3_rec, vit7 and vit7_rec:
one seed of the four is 17 · 10^15 floating-point operations, forward and backward. Hardware: one
accelerator; two processor cores would take days. Time and accuracy: not measured yet.
"""

NAMES = ("vit3_rec", "vit3", "vit7_rec", "vit7")
DATASET = "tiny_imagenet80"
SEEDS = 3
SETTINGS = {
    "epochs": 50,
    "batch-size": 256,
    "learning-rate": 5e-4,
    "schedule": "cosine",
    "warmup-epochs": 5,
    "weight-decay": 0.05,
    "epsilon": 1e-7,
    "label-smoothing": 0.1,
    "augment": "flip,crop,erase",
    "mixup": 0.2,
    "precision": "auto",
}
