"""Recurrent networks on IMDB reviews: 10,000 words of 64 numbers, the last 400 words of a review.

Paper: each network's is in its record; the reviews are those of Maas et al., "Learning word vectors
for sentiment analysis" (2011). The networks have one layer of 64 units, the densely connected one
four narrow ones; the training is this project's: Adam with a cosine, dropout of the words' vectors
and of the pooled states.

    KERAS_BACKEND=jax python -m training.fit bilstm_imdb --recipe imdb --data-dir DIR

Hardware: any; 16 minutes on one processor core (JAX). Top-1 after the last epoch, one seed:

    bilstm_imdb     88.92 %

A linear model of pairs of words, NB-SVM, has 91.6 %, with its constant chosen on the test set.
"""

NAMES = (
    "bilstm_imdb",
    "lstm_imdb",
    "gru_imdb",
    "elman_imdb",
    "peephole_lstm_imdb",
    "dense_bilstm_imdb",
    "array_lstm_imdb",
    "attention_imdb",
)
DATASET = "imdb_reviews"
SEEDS = 1
SETTINGS = {
    "epochs": 4,
    "batch-size": 64,
    "learning-rate": 2e-3,
    "schedule": "cosine",
    "warmup-epochs": 0.1,
    "weight-decay": 0,
    "label-smoothing": 0,
    "clip-norm": 1,
    "augment": "",
    "mixup": 0,
    "precision": "float32",
}
