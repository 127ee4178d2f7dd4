"""Weights to start from: the zoo's most accurate small convolutional network, 64 x 64 pixels.

Paper: that of `cifar_tables`, whose medium network with a grouped head it is. On half of Tiny
ImageNet's first 80 classes, as in `tiny_imagenet40_vit`, with the options of `cifar_tables`, but
pictures mirrored and cropped, a cosine and smoothed labels: 20,000 images would else be learnt by
heart in a few epochs. The pictures are ImageNet's, for non-commercial research and education.

    KERAS_BACKEND=torch python -m training.fit cifar_medium_metahead \
        --recipe tiny_imagenet40_cifar_net --data-dir DIR

Hardware: two processor cores. Time and accuracy: not measured yet.
"""

from training.recipes import cifar_tables

NAMES = ("cifar_medium_metahead",)
DATASET = "tiny_imagenet40"
SEEDS = 1
SETTINGS = cifar_tables.SETTINGS | {
    "schedule": "cosine",
    "warmup-epochs": 1,
    "label-smoothing": 0.1,
    "augment": "flip,crop",
}
