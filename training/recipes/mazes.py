"""Mazes of 11 x 11 pixels, learnt so that more steps find the path through larger ones.

Paper: Bansal et al., arXiv 2202.05826, as in the recipe `deep_thinking`. Start and end are random
cells.

    KERAS_BACKEND=torch python -m training.fit maze_rec --recipe mazes

Hardware: any, with PyTorch; 34 minutes on one processor core. Mazes of 11 x 11 pixels whose path is
wholly right, of 1,000, one seed:

    maze_rec         100.00 %

Larger ones: `python -m training.reproduce deep_thinking --problem mazes`.
"""

from training.recipes import deep_thinking

NAMES = ("maze_rec",)
DATASET = "mazes/11"
TAG = "mazes_11"
SEEDS = 1
SETTINGS = {**deep_thinking.SETTINGS, "epochs": 6, "batch-size": 50}
