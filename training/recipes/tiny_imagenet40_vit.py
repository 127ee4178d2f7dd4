"""Weights to start from: T2T-ViTs on half of Tiny ImageNet's first 80 classes, 64 x 64 pixels.

Paper: that of `tiny_imagenet80_vit`. What the zoo has else is of 32 x 32 pixels. The other half of
the classes measures what these weights are worth where they were not trained (`python -m
training.reproduce transfer`); vit3, whose blocks run once, is the control of vit3_rec. The options
are those of `cifar10_vit`. The pictures are ImageNet's, for non-commercial research and education.

    KERAS_BACKEND=torch python -m training.fit vit3_rec --recipe tiny_imagenet40_vit --data-dir DIR

Multiply-adds of one image: 359 and 178 million. Hardware: two processor cores.
Time and accuracy: not measured yet.
"""

from training.recipes import cifar10_vit

NAMES = ("vit3_rec", "vit3")
DATASET = "tiny_imagenet40"
SEEDS = 1
SETTINGS = cifar10_vit.SETTINGS
