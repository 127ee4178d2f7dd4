"""Recurrent, recursive and tensor networks on made trees, at about equal parameters.

Random binary trees of 2 to 10 leaves, each leaf 0, 1 or 2, each node a ∘ b = (2a + b) mod 3 of its
children: ∘ is neither commutative nor associative, so that the root's value depends on the tree.
The recursive and the tensor network are given the tree (Socher et al. 2011 and 2013); one recurrent
network reads the leaves alone, which do not tell the root, another one leaves and merges in postfix
order, which do. The root's class is asked for, of new trees of the same sizes and of 16 leaves.
"""

import numpy as np

from training.ledger.summary import FINAL
from training.studies import drawings, sequences
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

VALUES, LEAVES, LARGE, RATE, TESTED = 3, 10, 16, 3e-3, 2000
# About 2,300 parameters each: a tensor network of 8 features has 2,184 in its merge.
UNITS = {"leaves": 44, "postfix": 44, "recursive": 32, "tensor": 8}
KINDS = {
    "leaves": "recurrent, leaves alone",
    "postfix": "recurrent, in postfix order",
    "recursive": "recursive",
    "tensor": "tensor",
}
LARGER = "larger_accuracy"


class MadeTrees(TrainedHere):
    examples = ("", "--updates 20 --seeds 1 --arms tensor", "--report")
    least = LEAST | {"updates": 1}
    columns = columns(
        "network",
        ("parameters", counted),
        (f"2 to {LEAVES} leaves, %", lambda row: row.measured.text(FINAL)),
        (f"{LARGE} leaves, %", lambda row: row.measured.text(LARGER)),
        ("seconds", lambda row: f"{row.measured.mean('seconds') or 0:.0f}"),
        "seeds",
    )

    def options(self, p):
        told = "training steps of 32 trees (default 4000)"
        p.add_argument("--updates", type=int, default=4000, help=told)

    def title(self, a):
        return "Made trees: the root's value"

    def forms(self, a):
        return [Form(kind, kind, what) for kind, what in KINDS.items()]

    def settings(self, form, a):
        return {"updates": a.updates}

    def learn(self, form, seed, a, path):
        import keras

        kind, places = form.name, LARGE  # Padded to the larger, so that one network reads both.
        model = network(kind, UNITS[kind], places)
        *x, y = trees(a.updates * sequences.BATCH, 2, LEAVES, seed, kind, places)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        found = {"loss": sequences.learn(model, x, y, loss, RATE, 1.0)}
        for key, least, most in ((FINAL, 2, LEAVES), (LARGER, LARGE, LARGE)):
            *x, y = trees(TESTED, least, most, (seed, most, 1), kind, places)
            logits = model.predict(x, batch_size=200, verbose=0)
            found[key] = float(np.mean(logits.argmax(-1) == y))
        return {**found, "parameters": model.count_params()}

    def claims(self, table, a):
        for one, other in (
            ("tensor", "recursive"),
            ("recursive", "leaves"),
            ("recursive", "postfix"),
            ("tensor", "postfix"),
        ):
            what = f"{KINDS[one].capitalize()} against {KINDS[other]}"
            yield from self.compared(table, what, one, other)
        yield f"Guessing is right in {100 / VALUES:.1f} %."

    def draw(self, table, path, a):
        """Accuracy on trees of the sizes that were learnt and on larger ones, each seed."""
        with drawings.figure(path, (7, 1.6 + 0.5 * len(table))) as (_, axes):
            for key, mark, what in (
                (FINAL, "o", f"2 to {LEAVES} leaves"),
                (LARGER, "^", f"{LARGE} leaves"),
            ):
                points = [
                    (value, place)
                    for place, row in enumerate(reversed(table.values()))
                    for value in row.measured.values(key).values()
                ]
                axes.plot(*zip(*points, strict=True), mark, alpha=0.7, label=what)
            axes.axvline(100 / VALUES, color="grey", linewidth=0.8)
            axes.set_yticks(range(len(table)), [row.form.what for row in reversed(table.values())])
            axes.set(xlabel="the root's value right, %: each seed; the line is guessing")
            axes.grid(alpha=0.3)
            axes.legend()


def trees(count, least, most, seed, kind, places):
    """Random trees as a kind of network reads them.

    Args:
        count: how many.
        least: leaves of the smallest.
        most: of the largest.
        seed: of the draws.
        kind: a key of `KINDS`.
        places: how many leaves to pad to.

    Returns:
        The inputs, and the roots' values int32 (count,): of "leaves" one-hot (count, places, 3),
        zeros behind; of "postfix" (count, 2 · places − 1, 4), a merge the fourth; of the others
        leaves, merges and valid as `TreeNet` takes them.
    """
    from keras_recres.layers import tree

    rng = np.random.default_rng(seed)
    made, values = [], np.zeros((count, places), int)
    for row in values:
        size = rng.integers(least, most + 1)
        row[:size] = rng.integers(0, VALUES, size)
        made.append(random_tree(rng, size))
    roots = np.array(
        [evaluate(merges, row) for merges, row in zip(made, values, strict=True)], "int32"
    )
    if kind == "postfix":
        x = np.zeros((count, 2 * places - 1, VALUES + 1), "float32")
        for row, merges, some in zip(x, made, values, strict=True):
            for place, symbol in enumerate(postfix(merges, some)):
                row[place, symbol] = 1
        return x, roots
    x = np.eye(VALUES, dtype="float32")[values]
    for row, merges in zip(x, made, strict=True):
        row[len(merges) + 1 :] = 0
    if kind == "leaves":
        return x, roots
    return x, *tree.batch(made, places), roots


def random_tree(rng, leaves):
    """Merges (leaves − 1, 2) of neighbours, drawn until one node is left."""
    nodes, rows = list(range(leaves)), []
    while len(nodes) > 1:
        i = rng.integers(len(nodes) - 1)
        rows.append(nodes[i : i + 2])
        nodes[i : i + 2] = [leaves + len(rows) - 1]
    return np.array(rows, "int32")


def evaluate(merges, values):
    """The root's value of a tree whose leaves have these values."""
    known = list(values[: len(merges) + 1])
    for left, right in merges:
        known.append((2 * known[left] + known[right]) % VALUES)
    return known[-1]


def postfix(merges, values):
    """The leaves' values and, for a merge, the number of values, children before parents."""
    leaves = len(merges) + 1

    def walk(node):
        if node < leaves:
            return [values[node]]
        left, right = merges[node - leaves]
        return [*walk(left), *walk(right), VALUES]

    return walk(leaves + len(merges) - 1)


def network(kind, units, places):
    """Logits (batch, 3) of a tree's root."""
    import keras

    from keras_recres import layers

    if kind in ("leaves", "postfix"):
        shape = (places, VALUES) if kind == "leaves" else (2 * places - 1, VALUES + 1)
        inputs = keras.Input(shape)
        x = keras.layers.Masking()(inputs)
        x = layers.Recurrent(keras.layers.SimpleRNNCell(units), name="run")(x)
    else:
        inputs = [
            keras.Input((places, VALUES)),
            keras.Input((places - 1, 2), dtype="int32"),
            keras.Input((places - 1,), dtype="bool"),
        ]
        x = keras.layers.Dense(units, name="features")(inputs[0])
        x = layers.TreeNet(units, kind == "tensor", name="tree")([x, *inputs[1:]])[:, -1]
    return keras.Model(inputs, keras.layers.Dense(VALUES, name="logits")(x))


STUDY = MadeTrees()
