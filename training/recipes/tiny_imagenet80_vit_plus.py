"""`vit7_rec_plus` on 80 classes of Tiny ImageNet: `vit7_rec`'s computation, spent otherwise.

Paper: Jiang, Cui, Wang, "Residual network with recurrent structures", whose vit7_rec this is with
norms and a learned vector for every step; and for a depth that grows while the network learns Gong
et al., "Efficient training of BERT by progressively stacking", ICML 2019. Blocks run once in the
first 32 epochs and twice, as the network is built, in the last 32: 64 epochs of 28.8 billion
multiply-adds per image forward in all, as `tiny_imagenet80_vit` trains vit7_rec for 50. All else is
as there. On CIFAR-10 it has 2.04 points more than vit7_rec so, see `cifar10_vit_plus`.

    python -m training.fit vit7_rec_plus --recipe tiny_imagenet80_vit_plus --data-dir DIR
    python -m training.pending --names 'vit7_rec_plus.tiny_imagenet80' --data-dir DIR

Hardware: one accelerator. Time and accuracy: not measured yet.
"""

from training.recipes import tiny_imagenet80_vit

NAMES = ("vit7_rec_plus",)
DATASET = "tiny_imagenet80"
SEEDS = 3
SETTINGS = {**tiny_imagenet80_vit.SETTINGS, "epochs": 64, "steps": "progressive(1,2)"}
