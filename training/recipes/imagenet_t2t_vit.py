r"""The official recipe of T2T-ViT on ImageNet-1k, for T2T-ViT-7 and what recurrence makes of it.

Paper: Yuan et al., "Tokens-to-Token ViT", arXiv 2101.11986, section 4.1, and the command of its
published code; the networks are those of table 2 of Jiang, Cui, Wang, "Residual network with
recurrent structures", which prints 61.53, 67.16, 71.63 and 74.57 % top-1.

    python -m training.fit vit7 --recipe imagenet_t2t_vit --data-dir DIR
    python -m training.fit vit7 --recipe imagenet_t2t_vit --data-dir DIR --batch-size 128 \
        --accumulate 4 --groups 2

AdamW 1e-3 at batch 512, weight decay 0.03, 10 epochs of warm-up, a cosine to 1e-5 at epoch 300 and
10 more at that rate; RandAugment of two operations at magnitude 9, mixup 0.8 or CutMix 1.0 for
each 64 images (the official eight devices have 64 each), label smoothing 0.1, random erasing 0.25,
averaged weights 0.99996, drop path 0.1 (the networks' default). The official colour jitter of 0.4
acts only without RandAugment.

Where it is not the official one: RandAugment's operations on colours draw their strength evenly
up to magnitude 9 instead of N(9, 0.5) with a random sign; brightness is added, not multiplied;
mixup and CutMix draw a weight for each image and not for each 64; an erased rectangle's sides
are drawn each for itself, and its noise is clipped at one standard deviation; the warm-up begins
at 0 instead of 1e-6, and the cosine after it instead of beneath it; crops are not rounded to whole
pixels.

Hardware: as many accelerators as there are. Images are decoded batch by batch. After ``python -m
training.data download imagenet2012 --array-record`` their files stay on the disk; TFDS' default
format is read into memory, 150 GB. Time and accuracy: not measured yet. What was tested is that it
runs: a few steps on small data.
"""

NAMES = ("vit7_rec", "vit7", "vit3_rec", "vit3", "vit7_rec_plus")
DATASET = "imagenet2012"
SEEDS = 1
PENDING = False
SETTINGS = {
    "model-arguments": ["input_shape=[224,224,3]"],
    "epochs": 310,
    "batch-size": 512,
    "learning-rate": 1e-3,
    "schedule": "cosine",
    "warmup-epochs": 10,
    "cooldown-epochs": 10,
    "weight-decay": 0.03,
    "epsilon": 1e-8,
    "label-smoothing": 0.1,
    "augment": "flip,resized_crop",
    "randaugment": 9,
    "erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
    "ema": 0.99996,
    "precision": "auto",
    "stream": True,
    "groups": 8,
}
