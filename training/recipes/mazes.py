"""Mazes of 11 x 11 pixels, learnt so that more steps find the path through larger ones.

Paper: Bansal et al., arXiv 2202.05826, as in the recipe `deep_thinking`. Start and end are random
cells, not dead ends as theirs are.

    KERAS_BACKEND=torch python -m training.fit maze_rec --recipe mazes

Hardware: any, with PyTorch. Results: not measured yet.
"""

NAMES = ("maze_rec",)
DATASET = "mazes/11"
TAG = "mazes_11"
SEEDS = 1
SETTINGS = {
    "epochs": 6,
    "batch-size": 50,
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
