"""NB-SVM with bigrams, a linear model of texts (Wang and Manning, ACL 2012; no arXiv number)."""

import itertools

import numpy as np

from keras_recres.zoo.text import words_of
from training.errors import UserError

# Of the squared hinge loss, beside ‖w‖² / 2.
CONSTANTS = (0.001, 0.003, 0.01, 0.03, 0.1)
FOLDS = 5


def features(text):
    """The words of a text, and its pairs of neighbours."""
    words = words_of(text)
    return words + [f"{one} {two}" for one, two in itertools.pairwise(words)]


def presence(texts, others=(), min_texts=2):
    """Which features texts have, as sparse matrices: those in at least `min_texts` of the first.

    Args:
        texts: list of texts that the features are of.
        others: list of further texts.
        min_texts: in how many texts a feature must be.

    Returns:
        Two sparse matrices, a row a text; the second is None without `others`.
    """
    try:
        from sklearn.feature_extraction.text import CountVectorizer
    except ImportError:
        raise UserError(
            "NB-SVM needs scikit-learn: `pip install 'keras-recres[train]'` installs it."
        ) from None
    counter = CountVectorizer(analyzer=features, binary=True, min_df=min_texts, dtype=np.float32)
    return counter.fit_transform(texts), counter.transform(others) if len(others) else None


def decide(x, labels, new, constant):
    """Decision values of new texts, above 0 for the label 1.

    Args:
        x: sparse matrix, which features the texts have that are learnt.
        labels: array of 0 and 1.
        new: the same matrix of the new texts.
        constant: C.
    """
    from sklearn.svm import LinearSVC

    p, q = (1.0 + np.asarray(x[labels == k].sum(axis=0)).ravel() for k in (1, 0))
    ratios = np.log(p / p.sum()) - np.log(q / q.sum())
    svm = LinearSVC(C=constant, random_state=0).fit(x.multiply(ratios).tocsr(), labels)
    return svm.decision_function(new.multiply(ratios).tocsr())


def cross_validate(x, labels, seed=0):
    """Which share is right of each fold, by what was learnt of the others.

    Args:
        x: as for `decide`.
        labels: array of 0 and 1.
        seed: of the folds.

    Returns:
        {C: (share, its standard error over the folds)}.
    """
    fold = np.random.default_rng(seed).permutation(len(labels)) % FOLDS
    found = {}
    for constant in CONSTANTS:
        right = []
        for k in range(FOLDS):
            learnt, new = fold != k, fold == k
            decided = decide(x[learnt], labels[learnt], x[new], constant) > 0
            right.append(np.mean(decided == labels[new]))
        found[constant] = float(np.mean(right)), float(np.std(right, ddof=1) / FOLDS**0.5)
    return found
