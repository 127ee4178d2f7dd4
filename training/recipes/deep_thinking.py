"""Prefix sums of 32 bits, learnt so that more steps solve longer strings.

Paper: Bansal et al., arXiv 2202.05826: the problem is seen again at each step ("recall"), and a
number of steps without gradients comes before those with. The state is divided by its norm and the
step damped, which is this project's.

    KERAS_BACKEND=torch python -m training.fit prefix_sum_rec --recipe deep_thinking

Hardware, time, and how many of 1,000 strings of 32 bits are wholly right, one thread of an AMD
EPYC, other work beside it, PyTorch (the others compile a training step for each pair of numbers of
steps that is drawn), mean ± standard deviation of 3 seeds:

    prefix_sum_rec   100.00 ± 0.00 %   27 min

Longer strings: `python -m training.reproduce deep_thinking`, or `keras-recres evaluate
prefix_sum_rec --dataset prefix_sums/512 --steps 400`.
"""

NAMES = ("prefix_sum_rec",)
DATASET = "prefix_sums/32"
TAG = "prefix_sums_32"
SEEDS = 3
SETTINGS = {
    "epochs": 3,
    "batch-size": 100,
    "steps": "incremental(30)",
    "learning-rate": 1e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.1,
    "weight-decay": 2e-4,
    "clip-norm": 1.0,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
