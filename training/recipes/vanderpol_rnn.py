"""Van der Pol's oscillator, learnt from pieces of its trajectories.

Paper: Trischler and D'Eleuterio, arXiv 1512.05702, who fit the vector field itself. Here a network
of 100 hidden units follows the field for 10 steps of 0.01 by the Runge-Kutta method, and learns
where 50,000 random starts in a box end; the equations are in `keras_recres/zoo/problems.py`. An
answer is right if every number of it is within 0.01.

    KERAS_BACKEND=jax python -m training.fit vanderpol_rnn --recipe vanderpol_rnn

Hardware: any; 7 minutes on one processor core. Right after the last epoch, one seed:

    vanderpol_rnn   99.90 %

For 20 in time instead of 0.1 (`keras-recres evaluate vanderpol_rnn --dataset vanderpol/2000 --steps
2000`): 63.4 % of 1,000 starts within 0.01, the farthest 0.058 away.
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
