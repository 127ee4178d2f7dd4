"""Binary trees for `TreeNet`: who is merged with whom, batches of them, drawings."""

import keras
import numpy as np

from keras_recres.layers.checks import check_count


def left_branching(leaves):
    """The tree of a sequence: the first two leaves are merged, then each next one with the rest.

    Example:
    >>> keras_recres.layers.tree.left_branching(4).tolist()
    [[0, 1], [4, 2], [5, 3]]

    Args:
        leaves: Integer ≥ 1, number of leaves.

    Returns:
        Merges (leaves − 1, 2): nodes 0, 1, … are the leaves, and the j-th merge makes node
        leaves + j, so that the last one is the root.
    """
    check_count("leaves", leaves)
    rows = [(leaves + j - 1 if j else 0, j + 1) for j in range(leaves - 1)]
    return np.array(rows, "int32").reshape(-1, 2)


def balanced(leaves):
    """The tree in which neighbours are merged, then neighbours of what that makes, and so on.

    Example:
    >>> keras_recres.layers.tree.balanced(5).tolist()
    [[0, 1], [2, 3], [5, 6], [7, 4]]

    Args:
        leaves: Integer ≥ 1, number of leaves.

    Returns:
        Merges (leaves − 1, 2) as those of `left_branching`; no leaf lies deeper than
        log2(leaves), rounded up.
    """
    check_count("leaves", leaves)
    level, rows = list(range(leaves)), []
    while len(level) > 1:
        pairs = list(zip(level[::2], level[1::2], strict=False))
        made = range(leaves + len(rows), leaves + len(rows) + len(pairs))
        level = [*made, *level[2 * len(pairs) :]]
        rows += pairs
    return np.array(rows, "int32").reshape(-1, 2)


def batch(trees, leaves=None):
    """Trees of different sizes as one batch for `TreeNet`.

    Example:
    >>> merges, valid = keras_recres.layers.tree.batch([left_branching(2), balanced(4)])
    >>> valid.tolist()
    [[True, False, False], [True, True, True]]

    Args:
        trees: A list of merges, each (its leaves − 1, 2).
        leaves: Number of leaves to pad to; None for that of the largest tree.

    Returns:
        merges (batch, leaves − 1, 2), in which a tree's merges make nodes from `leaves` on, and
        valid (batch, leaves − 1), which of them are its own.

    Raises:
        ValueError: If there is no tree, one is too large, or one refers to a node that is not made
            before, or twice to one.
    """
    trees = [np.asarray(merges).reshape(-1, 2) for merges in trees]
    if not trees:
        raise ValueError("`trees` must have at least one tree, but it is empty.")
    sizes = [len(merges) + 1 for merges in trees]
    leaves = max(sizes) if leaves is None else leaves
    if max(sizes) > leaves:
        raise ValueError(f"`leaves` is {leaves}, but the largest tree has {max(sizes)}.")
    padded = np.zeros((len(trees), leaves - 1, 2), "int32")
    valid = np.zeros((len(trees), leaves - 1), bool)
    for row, (merges, size) in enumerate(zip(trees, sizes, strict=True)):
        check(merges)
        padded[row, : size - 1] = np.where(merges >= size, merges + leaves - size, merges)
        valid[row, : size - 1] = True
    return padded, valid


def check(merges, valid=None):
    """Raises a ValueError unless merges (…, n, 2) refer to leaves and to nodes made before them.

    Args:
        merges: Array of merges of trees of n + 1 leaves.
        valid: Boolean array (…, n), which merges count; None for all.
    """
    merges = np.asarray(merges)
    n = merges.shape[-2]
    wrong = (merges < 0) | (merges >= n + 1 + np.arange(n)[:, None])
    if valid is not None:
        wrong &= np.asarray(valid).astype(bool)[..., None]
    if wrong.any():
        *_, j, side = place = tuple(map(int, np.argwhere(wrong)[0]))
        raise ValueError(
            f"Merge {j} of a tree of {n + 1} leaves makes node {n + 1 + j} and must refer to nodes "
            f"made before it, from 0 to {n + j}, but its side {side} is {int(merges[place])}."
        )
    if merges.ndim == 2 and len(np.unique(merges)) < merges.size:
        nodes, counts = np.unique(merges, return_counts=True)
        raise ValueError(
            f"A node of a tree has one parent, but node {int(nodes[counts > 1][0])} has "
            f"{int(counts.max())}."
        )


def plot(merges, values=None, labels=None, to_file="tree.png"):
    """Draws one tree, its root on top, with what its nodes are or have: as `plot_model` does.

    Example:
    >>> merges = keras_recres.layers.tree.left_branching(3)
    >>> nodes = keras_recres.layers.TreeNet(4)(keras.ops.ones((1, 3, 4)))
    >>> keras_recres.layers.tree.plot(merges, nodes[0], labels=["a", "red", "fox"])
    'tree.png'

    Args:
        merges: (leaves − 1, 2), of a tree without padding.
        values: None, or (2 · leaves − 1, units), what `TreeNet` makes of the tree: a node is the
            row of its values, red above 0 and blue below.
        labels: None, or a text for each leaf, or for each node.
        to_file: Name of the picture, whose ending says its kind.

    Returns:
        `to_file`.

    Raises:
        ValueError: If the merges are not a tree, or the number of values or labels is wrong.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    merges = np.asarray(merges)
    check(merges)
    leaves, nodes = len(merges) + 1, 2 * len(merges) + 1
    values = None if values is None else keras.ops.convert_to_numpy(values).astype("float64")
    if values is not None and len(values) != nodes:
        raise ValueError(f"`values` must be of {nodes} nodes, but it is of {len(values)}.")
    if labels is not None and len(labels) not in (leaves, nodes):
        raise ValueError(f"`labels` must be {leaves} or {nodes}, but there are {len(labels)}.")
    x, y = _places(merges, leaves)
    figure = Figure(figsize=(max(3, 0.9 * leaves), 1 + 0.8 * (1 + max(y))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for j, pair in enumerate(merges):
        for child in pair:
            axes.plot([x[leaves + j], x[child]], [y[leaves + j], y[child]], "0.6", zorder=1)
    for node in range(nodes):
        text = labels[node] if labels is not None and node < len(labels) else str(node)
        if values is not None:
            limit = np.abs(values).max() or 1
            axes.imshow(
                values[node][None],
                extent=(x[node] - 0.38, x[node] + 0.38, y[node] - 0.13, y[node] + 0.13),
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                aspect="auto",
                zorder=2,
            )
        axes.text(
            x[node],
            y[node] - (0.18 if values is not None else 0),
            text,
            ha="center",
            va="top" if values is not None else "center",
            bbox=None if values is not None else {"boxstyle": "round", "facecolor": "white"},
        )
    axes.set_xlim(-0.6, leaves - 0.4)
    axes.set_ylim(-0.6, max(y) + 0.4)
    axes.set_axis_off()
    figure.savefig(to_file, dpi=120)
    return to_file


def _places(merges, leaves):
    """Where the nodes stand: leaves in the tree's order, a parent above and between its two."""
    order, stack = [], [leaves + len(merges) - 1]
    while stack:
        node = stack.pop()
        if node < leaves:
            order.append(node)
        else:
            left, right = merges[node - leaves]
            stack += [int(right), int(left)]
    x, y = np.zeros(leaves + len(merges)), np.zeros(leaves + len(merges))
    x[order] = np.arange(len(order))
    for j, (left, right) in enumerate(merges):
        x[leaves + j] = (x[left] + x[right]) / 2
        y[leaves + j] = max(y[left], y[right]) + 1
    return x, y
