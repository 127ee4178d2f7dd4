"""Van der Pol's oscillator, learnt from pieces of its trajectories.

Paper: Trischler and D'Eleuterio, arXiv 1512.05702, who fit the vector field itself. Here a network
of 100 hidden units follows the field for 10 steps of 0.01 by the Runge-Kutta method, and learns
where 50,000 random starts in a box end; the equations are in `keras_recres/zoo/problems.py`. An
answer is right if every number of it is within 0.01.

    KERAS_BACKEND=jax python -m training.fit vanderpol_rnn --recipe vanderpol_rnn

Hardware, time and share of right answers: not measured yet. For 20 in time instead of 0.1:
`keras-recres evaluate vanderpol_rnn --dataset vanderpol/2000 --steps 2000`.
"""

NAMES = ("vanderpol_rnn",)
DATASET = "vanderpol/10"
TAG = "vanderpol_10"
SEEDS = 1
SETTINGS = {
    "epochs": 250,
    "batch-size": 250,
    "learning-rate": 3e-2,
    "schedule": "cosine",
    "warmup-epochs": 1,
    "weight-decay": 0,
    "label-smoothing": 0,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
