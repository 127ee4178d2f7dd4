r"""A trained `vit3` made deeper without parameters, and trained on: each block twice.

Paper: Jiang, Cui, Wang, "Residual network with recurrent structures", whose direction this is, from
trained weights on; the depth grows while the network learns as in Gong et al., "Efficient training
of BERT by progressively stacking", ICML 2019. Blocks run once in the first two epochs, so that
the training begins with the network as it was, and twice in the last two. All else is as in
`cifar10_vit`, whose weights it begins with.

    KERAS_BACKEND=torch python -m training.fit vit3 --recipe deepen --data-dir DIR
    KERAS_BACKEND=torch python -m training.reproduce in_depth --data-dir DIR

Later steps are plain, x ← f(x). A learned scale, 0 at first, would get no farther than the sum of
the learning rates, which is 0.07 in two such epochs. The original teaches nothing here: the
deeper network is to surpass it, which features and answers alike would hold back.

Blocks of a network with ImageNet's weights, which Keras downloads:

    python -m training.fit resnet50 --recipe deepen --deepen 'conv4*=2' --dataset imagenet2012 \
        --data-dir DIR --epochs 10 --batch-size 256 --precise-bn 50

Hardware: any. Time and accuracy: not measured yet.
"""

from training.recipes import cifar10_vit

NAMES = ("vit3",)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 2
WEIGHTS = False
PENDING = False
SETTINGS = {
    **cifar10_vit.SETTINGS,
    "epochs": 4,
    "deepen": "*=2,residual_scale=none",
    "steps": "progressive(1,2)",
    "distillation": 0,
    "features": 0,
}
