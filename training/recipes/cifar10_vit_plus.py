"""`vit7_rec_plus` on CIFAR-10: taught, in the recipe of the networks of table 2.

Paper: Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531, and
for a convolutional teacher of vision transformers Touvron et al., arXiv 2012.12877. The network
is vit7_rec of Jiang, Cui, Wang, "Residual network with recurrent structures", with norms and a
learned vector for every step. The teacher is the zoo's best on CIFAR-10, whose blocks do not
recur: a convolutional network with 294,000 parameters, which gets 80.81 % of the test images right.
All else is as in `cifar10_vit`.

    export KERAS_BACKEND=torch
    python -m training.fit vit7_rec_plus --recipe cifar10_vit_plus --data-dir DIR
    python -m training.pending --names 'vit7_rec_plus.cifar10_jpeg' --data-dir DIR

Hardware, time and accuracy: not measured yet.
"""

from training.recipes import cifar10_vit

NAMES = ("vit7_rec_plus",)
DATASET = "cifar10"
TAG = "cifar10_jpeg"
SEEDS = 2
SETTINGS = {
    **cifar10_vit.SETTINGS,
    "teacher": "cifar_medium_metahead",
    "distillation": 0.5,
    "temperature": 4.0,
}
