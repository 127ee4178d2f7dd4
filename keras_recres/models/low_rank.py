"""Kernels that are near several others: shared ones, and factors of low rank for what is left."""

import numpy as np

# Rounds of "least_squares", which nears its end by a constant factor each.
ROUNDS = 10


def shared(matrices, init, rank):
    """The matrix W that T matrices share, as `fold` describes `init`.

    Args:
        matrices: T arrays (m, n), float64.
        init: "first", "last", "average" or "least_squares".
        rank: Of the changes that each gets beside.
    """
    if init == "first":
        return matrices[0]
    if init == "last":
        return matrices[-1]
    w = np.mean(matrices, axis=0)
    for _ in range(ROUNDS if init == "least_squares" and rank else 0):
        w = np.mean([m - np.matmul(*factors(m - w, rank)) for m in matrices], axis=0)
    return w


def factors(change, rank, moment=None):
    """The product of factors of a rank that is nearest to a matrix.

    With V the first eigenvectors of DᵀCD, the best D V Vᵀ, for the norm |C^½ (D − A B)|: by a Gram
    matrix of the smaller side, which is many times faster than singular values.

    Args:
        change: D, (m, n), float64.
        rank: r ≥ 0.
        moment: Dᵀ C D, (n, n), of the second moments C of what D multiplies; None for C = 1.

    Returns:
        Arrays A (m, r) and B (r, n); columns and rows beyond the rank of D are zero.
    """
    m, n = change.shape
    if moment is None and m < n:
        b, a = factors(change.T, rank)
        return a.T, b.T
    vectors = np.linalg.eigh(change.T @ change if moment is None else moment)[1][:, ::-1][:, :rank]
    a, b = change @ vectors, vectors.T
    size = np.linalg.norm(a, axis=0)
    small = size <= 1e-10 * max(size.max(initial=0), 1e-30)
    root = np.sqrt(np.where(small, 1, size))
    a, b = np.where(small, 0, a / root), np.where(small[:, None], 0, b * root[:, None])
    missing = [(0, 0), (0, rank - len(size))]
    return np.pad(a, missing), np.pad(b.T, missing).T
