"""Duffing's oscillator under a periodic force, learnt from pieces of its trajectories.

Paper: Trischler and D'Eleuterio, arXiv 1512.05702, who fit the vector field itself. Here a network
of 100 hidden units follows the field for 10 steps of 0.01 by the Runge-Kutta method, and learns
where 50,000 random starts in a box end; the equations are in `keras_recres/zoo/problems.py`. An
answer is right if every number of it is within 0.01.

    KERAS_BACKEND=jax python -m training.fit duffing_rnn --recipe duffing_rnn

Hardware, time and share of right answers: not measured yet. For 20 in time instead of 0.1:
`keras-recres evaluate duffing_rnn --dataset duffing/2000 --steps 2000`.
"""

from training.recipes import vanderpol_rnn

NAMES = ("duffing_rnn",)
DATASET = "duffing/10"
TAG = "duffing_10"
SEEDS = 1
SETTINGS = vanderpol_rnn.SETTINGS
