r"""A trained `vit7` with half of its kernels: blocks 2 to 6 become one, and it is trained on.

Paper: Bae et al., "Relaxed Recursive Transformers", arXiv 2410.20672, for language models: steps
share kernels and differ by low ranks, and learn from the original. Here ranks are 16 and fitted to
256 training images, norms and biases are every step's own, and the first and the last block stay
as they are. The original teaches its answers, and the features after each of its blocks
(arXiv 1412.6550). All steps run from the first epoch on: the blocks after them know the features
of the last one only.

    KERAS_BACKEND=torch python -m training.fit vit7 --recipe fold --data-dir DIR
    KERAS_BACKEND=torch python -m training.fit vit7 --recipe fold --control low_rank --data-dir DIR
    KERAS_BACKEND=torch python -m training.reproduce in_depth --data-dir DIR

A network with ImageNet's weights, which Keras downloads:

    python -m training.fit resnet50 --recipe fold --fold 'conv4*=64' --dataset imagenet2012 \
        --data-dir DIR --epochs 10 --batch-size 256 --precise-bn 50

Hardware: any. Time and accuracy: not measured yet.
"""

from training.recipes import cifar10_vit

NAMES = ("vit7",)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 1
WEIGHTS = False
PENDING = False
SETTINGS = {
    **cifar10_vit.SETTINGS,
    "epochs": 2,
    "fold": "*=16,keep=ends",
    "distillation": 0.5,
    "temperature": 2,
    "features": 1,
}
