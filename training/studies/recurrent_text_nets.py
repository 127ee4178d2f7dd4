"""Networks of `recurrent_text` that see how often words and pairs of words stand in either class.

Of a feature j, a word or a pair of neighbours, the log-count ratio of naive Bayes is

    r_j = log (p_j / ‖p‖₁) − log (q_j / ‖q‖₁),  p = 1 + Σ_{positive} f,  q = 1 + Σ_{negative} f

where f says which features a review has (Wang and Manning, "Baselines and bigrams", ACL 2012; no
arXiv number). A recurrent network reads both ratios of a step beside the word's vector, and the sum
of (w_j + 0.4) r_j / 10 over the review, w trained from 0, is added to its logit.
"""

import itertools
import zlib

import keras
import numpy as np
from keras import ops

from keras_recres.zoo.text import words_of

# Features share a number by chance: so many are far more than a review has.
BUCKETS, FOLDS = 2**20, 5
PRIOR, SCALE = 0.4, 10.0


def hashed(texts, length):
    """Numbers of the features of the last words of texts, each where it stands first.

    Args:
        texts: list of str or UTF-8 bytes.
        length: how many words of a text.

    Returns:
        int32 (texts, length, 2): of the word and of the pair that ends with it, 0 for none.
    """
    ids = np.zeros((len(texts), length, 2), "int32")
    for row, text in zip(ids, texts, strict=True):
        words = words_of(text)[-length:]
        pairs = [f"{one} {two}" for one, two in itertools.pairwise(words)]
        for kind, features in enumerate((words, pairs)):
            seen = set()
            for place, feature in enumerate(features, length - len(features)):
                if feature not in seen:
                    seen.add(feature)
                    row[place, kind] = 1 + zlib.crc32(feature.encode()) % (BUCKETS - 1)
    return ids


def log_ratios(ids, labels):
    """The r of every number, float32 (BUCKETS,), of reviews' `hashed` and their labels, 0 or 1."""
    counts = [1.0 + np.bincount(ids[labels == k].ravel(), minlength=BUCKETS) for k in (0, 1)]
    for count in counts:
        count[0] = 1.0
    shares = [np.log(count / count.sum()) for count in counts]
    ratios = (shares[1] - shares[0]).astype("float32")
    ratios[0] = 0.0
    return ratios


def cross_ratios(ids, labels, seed=0):
    """The r of a training review's features, counted in other reviews alone: (reviews, length, 2).

    In its own counts a review would find its label.
    """
    fold = np.random.default_rng(seed).permutation(len(ids)) % FOLDS
    found = np.empty(ids.shape, "float32")
    for k in range(FOLDS):
        found[fold == k] = log_ratios(ids[fold != k], labels[fold != k])[ids[fold == k]]
    return found


def network(recurrent=True, units=64, words=20_000, features=64, length=400):
    """The network of three inputs: words (batch, length), features' numbers and their ratios.

    Args:
        recurrent: whether it has a recurrent network at all, beside the sum.
        units: of an LSTM in either direction.
        words: how many numbers of words there are.
        features: size of a word's vector.
        length: words of a review.
    """
    numbers = keras.Input((length,), dtype="int32", name="words")
    ids = keras.Input((length, 2), dtype="int32", name="ids")
    ratios = keras.Input((length, 2), name="ratios")
    learnt = keras.layers.Embedding(BUCKETS, 1, "zeros", name="w")(ids)[..., 0]
    z = ops.sum((learnt + PRIOR) * ratios, axis=(1, 2))[:, None] / SCALE
    if recurrent:
        x = keras.layers.Embedding(words, features, name="embedding")(numbers)
        x = keras.layers.Dropout(0.1, (None, length, 1), name="word_dropout")(x)
        x = keras.layers.Concatenate(name="read")([x, ratios])
        lstm = keras.layers.LSTM(units, return_sequences=True, dropout=0.4)
        x = keras.layers.Bidirectional(lstm, name="bilstm")(x)
        x = keras.layers.GlobalMaxPooling1D(name="pool")(x)
        x = keras.layers.Dropout(0.5, name="head_dropout")(x)
        z = z + keras.layers.Dense(1, name="logit")(x)
    else:
        z = keras.layers.Dense(1, kernel_initializer="ones", name="logit")(z)
    outputs = ops.pad(z, ((0, 0), (1, 0)))
    return keras.Model([numbers, ids, ratios], outputs, name="nb_bilstm" if recurrent else "sum")
