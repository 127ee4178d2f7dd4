"""lesion: what a residual network still knows with blocks deleted or in another order."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_recres.backend.types import Data, Path, Rows
from keras_recres.layers.checks import check_count
from keras_recres.probes import residual
from keras_recres.probes.table_file import write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclasses.dataclass(frozen=True)
class Lesion:
    """One change of a network, and what it costs.

    Attributes:
        kind: "none", "delete" or "reorder".
        blocks: Names of the blocks that were deleted or have changed places.
        kendall_tau: Rank correlation of the blocks' order with the network's own, in [−1, 1].
        accuracy: Share of examples whose largest output is the label's, in [0, 1].
    """

    kind: str
    blocks: tuple[str, ...]
    kendall_tau: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class LesionRecord:
    """What `lesion` measured.

    Attributes:
        names: The blocks, in the network's order, "conv4_block[2]".
        examples: How many examples each accuracy is of.
        rows: A `Lesion` each, the network as it is first.
    """

    names: tuple[str, ...]
    examples: int
    rows: tuple[Lesion, ...]

    @property
    def accuracy(self) -> float:
        """Accuracy of the network as it is."""
        return self.rows[0].accuracy

    def table(self) -> Rows:
        """A dict for each row: kind, blocks, their number, Kendall's τ, accuracy, error in %."""
        return [
            {
                **dataclasses.asdict(row),
                "blocks": list(row.blocks),
                "count": len(row.blocks),
                "error_percent": 100 * (1 - row.accuracy),
            }
            for row in self.rows
        ]

    def to_csv(self, path: Path) -> None:
        """Writes the table, a line a row; names of blocks have spaces between."""
        rows = [{**row, "blocks": " ".join(row["blocks"])} for row in self.table()]
        write_csv(path, rows)

    def plot(self, path: Path | None = None, axis: Axes | None = None) -> Axes:
        """Draws error in % against the block that was deleted, their number, or Kendall's τ.

        Needs matplotlib. Lines are medians of what was drawn at random.

        Args:
            path: Where to save the picture; its ending names the format. None saves none.
            axis: Matplotlib axes to draw into; None makes new ones.

        Returns:
            The matplotlib axes.
        """
        rows = self.rows[1:]
        error = np.array([100 * (1 - row.accuracy) for row in rows])
        single = all(row.kind == "delete" and len(row.blocks) == 1 for row in rows)
        if axis is None:
            from matplotlib.figure import Figure

            width = min(14.0, max(6.0, 2.0 + 0.2 * len(rows))) if single else 6.0
            axis = Figure(figsize=(width, 4.2), layout="constrained").subplots()
        if single:
            x = [self.names.index(row.blocks[0]) for row in rows]
            axis.bar(x, error)
            axis.set_xticks(x, [self.names[i] for i in x], rotation=90, fontsize="x-small")
            axis.set_xlabel("block deleted")
        else:
            deleted = all(row.kind == "delete" for row in rows)
            x = np.array([len(row.blocks) if deleted else row.kendall_tau for row in rows])
            axis.plot(x, error, ".", alpha=0.5)
            if deleted:
                counts = np.unique(x)
                axis.plot(counts, [np.median(error[x == n]) for n in counts])
                axis.xaxis.get_major_locator().set_params(integer=True)
            else:
                axis.invert_xaxis()
            axis.set_xlabel("blocks deleted" if deleted else "Kendall τ of the order")
        axis.axhline(100 * (1 - self.accuracy), color="gray", linestyle="--", label="whole network")
        axis.set_ylim(bottom=0)
        axis.set_ylabel("error, %")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
        if path is not None:
            axis.figure.savefig(path, dpi=150)
        return axis


def lesion(
    model: keras.Model,
    x: Data,
    y: Data,
    *,
    blocks: Any = None,
    delete: Sequence[int] | None = None,
    reorder: Sequence[int] | None = None,
    repeats: int = 10,
    seed: int = 0,
    batch_size: int = 256,
) -> LesionRecord:
    """Accuracy of a network whose residual blocks are deleted, or run in another order.

    A deleted block passes its input on, and no weight changes: networks with shortcuts lose little,
    as an ensemble of paths of many lengths would, and those without lose everything (arXiv
    1605.06431, figures 3, 5 and 6). What changes the shape or is not a block stays in place. Each
    part of the network is compiled once, whatever the number of changes.

    Example:
    >>> record = lesion(model, images, labels)  # each block by itself
    >>> record = lesion(model, images, labels, delete=range(1, 20))  # so many at random
    >>> record = lesion(model, images, labels, reorder=range(1, 20))  # so many pairs swapped
    >>> record.plot("reordered.png")

    Args:
        model: A functional or Sequential model of one input; its first output is measured.
        x: Array of examples, as the model takes them.
        y: Integer labels, (examples,).
        blocks: Names of `models.blocks(model)`, or patterns such as "stage1*", one or several; None
            for all residual ones. Those of a network without any, to compare with, must be named.
        delete: Integer k ≥ 1, or several: k blocks at random.
        reorder: Integer k ≥ 1, or several: k times two blocks of one shape change places. Without
            either, each block is deleted by itself.
        repeats: Integer ≥ 1, draws for each k.
        seed: Of the draws.
        batch_size: Integer ≥ 1, examples that are computed at a time.

    Returns:
        A `LesionRecord`.

    Raises:
        ValueError: If there are no such blocks, they lie in a nested model or take tensors from
            aside, or a number is out of its range.
    """
    check_count("repeats", repeats)
    check_count("batch_size", batch_size)
    runs = residual.runs(model, blocks, plain=True)
    x = keras.ops.convert_to_numpy(x)
    labels = np.asarray(keras.ops.convert_to_numpy(y)).ravel()
    if len(labels) != len(x) or not len(x):
        raise ValueError(
            f"`y` must have a label for each example, but there are {len(labels)} for {len(x)}."
        )
    names = residual.names(runs)
    shapes = [run.tensors[0].shape for run in runs for _ in range(run.count)]
    orders = _orders(shapes, delete, reorder, repeats, np.random.default_rng(seed))
    blocks, row = residual.parts(model, runs)
    batch_size = min(batch_size, len(x))
    right = np.zeros(len(orders), int)
    for start in range(0, len(x), batch_size):
        # Always as many, since each number would be compiled anew.
        batch = np.resize(np.arange(start, min(start + batch_size, len(x))), batch_size)
        wanted = labels[batch][: len(x) - start]
        # What the network as it is makes of the batch up to each part.
        states = [x[batch]]
        for part in row:
            states.append(_call(blocks, part, orders[0][1], states[-1]))
        for i, (_, order) in enumerate(orders):
            outputs = _outputs(blocks, row, order, states)
            right[i] += (outputs.argmax(-1)[: len(wanted)] == wanted).sum()
    own = orders[0][1]
    return LesionRecord(
        tuple(names),
        len(x),
        tuple(
            Lesion(
                kind,
                tuple(names[i] for i in own if order[i] != i),
                _kendall_tau([i for i in order if i is not None]),
                float(n / len(x)),
            )
            for (kind, order), n in zip(orders, right, strict=True)
        ),
    )


def _orders(shapes, delete, reorder, repeats, rng):
    """What is measured: (kind, for each place the block that runs there, or None)."""
    own = list(range(len(shapes)))
    pairs = [(a, b) for a, b in itertools.combinations(own, 2) if shapes[a] == shapes[b]]
    orders = [("none", own)]

    def counts(name, given, most):
        numbers = np.atleast_1d([] if given is None else given).tolist()
        if not all(isinstance(k, int) and 1 <= k <= most for k in numbers):
            raise ValueError(
                f"`{name}` must be integers from 1 to {most}, but it is {given!r}."
                if most
                else f"`{name}` needs two blocks of one shape, and there are none."
            )
        return [k for k in numbers for _ in range(repeats)]

    def without(deleted):
        return [None if i in deleted else i for i in own]

    if delete is None and reorder is None:
        return orders + [("delete", without([i])) for i in own]
    for k in counts("delete", delete, len(own)):
        orders.append(("delete", without(rng.choice(own, k, replace=False))))
    for k in counts("reorder", reorder, len(pairs) * len(own)):
        order = list(own)
        for a, b in rng.choice(pairs, k):
            order[a], order[b] = order[b], order[a]
        orders.append(("reorder", order))
    return orders


def _call(blocks, part, order, x):
    """What a part makes of x: a model, or the place of a block, where another or none may be."""
    if isinstance(part, int):
        if order[part] is None:
            return x
        part = blocks[order[part]]
    return part.predict_on_batch(x)


def _outputs(blocks, row, order, states):
    """What the network in another order makes of a batch, from the first change on."""
    changed = (n for n, part in enumerate(row) if isinstance(part, int) and order[part] != part)
    first = next(changed, len(row))
    x = states[first]
    for part in row[first:]:
        x = _call(blocks, part, order, x)
    return x


def _kendall_tau(order):
    signs = [np.sign(b - a) for a, b in itertools.combinations(order, 2)]
    return float(np.mean(signs)) if signs else 1.0
