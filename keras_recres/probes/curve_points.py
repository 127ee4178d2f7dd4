"""NumPy behind the curves: cubic splines, principal axes, an order of points."""

import numpy as np


def orthonormal(u, w):
    """Gram and Schmidt for two vectors of any shape."""
    lengths = np.linalg.norm(u), np.linalg.norm(w)
    if min(lengths) > 0:
        u, w = u / lengths[0], w / lengths[1]
        w = w - np.sum(u * w) * u
        if (left := np.linalg.norm(w)) > 1e-8:
            w = w / left
            w = w - np.sum(u * w) * u  # Once more, for what rounding left over.
            return u, w / np.linalg.norm(w)
    raise ValueError("a plane needs two directions, but one is zero or a multiple of the other.")


def orthonormal_rows(rows):
    """An orthonormal basis (k, features) of what k rows span."""
    _, sigma, axes = np.linalg.svd(rows, full_matrices=False)
    if len(rows) > rows.shape[1] or sigma[-1] <= 1e-10 * sigma[0]:
        raise ValueError("`directions` must be linearly independent, but they are not.")
    return axes


def cubics(points, widths, closed):
    """Coefficients (4, pieces, …) of c₀ + c₁ t + c₂ t² + c₃ t³, t = θ − start of the piece."""
    slopes = np.diff(points, axis=0) / widths[:, None]
    pieces = len(widths)
    count = pieces if closed else pieces + 1
    # For the second derivatives m at the inputs: the first derivative has no jumps.
    matrix, right = np.eye(count), np.zeros((count, points.shape[1]))
    for i in range(0 if closed else 1, pieces):
        before, after = widths[i - 1], widths[i]
        matrix[i] = 0
        matrix[i, i] = 2 * (before + after)
        matrix[i, i - 1] += before
        matrix[i, (i + 1) % count] += after
        right[i] = 6 * (slopes[i] - slopes[i - 1])
    m = np.linalg.solve(matrix, right)
    m = np.concatenate([m, m[:1]]) if closed else m
    h = widths[:, None]
    first = slopes - h * (2 * m[:-1] + m[1:]) / 6
    return np.stack([points[:-1], first, m[:-1] / 2, np.diff(m, axis=0) / (6 * h)])


def principal(flat, count):
    """Mean, the first principal axes (count, features) and the deviations along them."""
    mean = flat.mean(axis=0)
    centred = flat - mean
    # The smaller of the two Gram matrices has the same spectrum.
    wide = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if wide else centred.T @ centred
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count].T
    if len(values) < count or values[-1] <= 1e-12 * values[0]:
        raise ValueError("`images` must vary in at least 2 directions, but they do not.")
    axes = vectors @ centred if wide else vectors
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return mean, axes, np.sqrt(values / len(flat))


def nearest_order(x):
    """The inputs, each followed by the nearest of those not yet taken, from the first one on."""
    flat = x.reshape(len(x), -1)
    order, left = [0], list(range(1, len(x)))
    while left:
        distances = np.linalg.norm(flat[left] - flat[order[-1]], axis=1)
        order.append(left.pop(int(np.argmin(distances))))
    return x[order]
