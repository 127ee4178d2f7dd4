"""fold: a rule by which a run of equal blocks becomes one block, run several times."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_recres.backend.keras_private import function_of, sublayers
from keras_recres.layers import RecurrentResidual, corrections
from keras_recres.layers.checks import check_choice, check_from_zero, check_patterns
from keras_recres.layers.dropping import RATES
from keras_recres.layers.unsharing import kind_of
from keras_recres.models.low_rank import factors, shared
from keras_recres.models.recurrent_parts import (
    branch_of,
    nodes_between,
    obstacle,
    operations_of,
    weights_of,
)

INITS = ("first", "last", "average", "least_squares")
KINDS = ("norm", "bias", "scale", "depthwise")


def fold(
    *, init: str = "first", rank: int = 0, own: Sequence[str] = KINDS, keep: Any = None
) -> "Fold":
    """A rule of `recurrent` by which a run of equal blocks becomes one block with as many steps.

    The steps share their kernels W, W_t = W + A_t B_t if they have a rank, and differ in what is
    their own, exactly as the blocks did. Of blocks that were trained apart hardly anything remains
    before the folded model is trained on, so that the table has two controls at hand: the blocks
    dropped, and low rank without a shared kernel. What drops at random has each block's rates.

    Example:
    >>> from keras_recres.models import recurrent, rules
    >>> model = keras_recres.models.cifar_resnet(depth=20)
    >>> folded, table = recurrent(model, rules.fold(rank=4), verbose=False)
    >>> folded.count_params() < model.count_params()
    True

    Args:
        init: W: "first" or "last" for that block's kernel, "average" of all, or "least_squares",
            with which all W_t together are nearest, the ranks considered.
        rank: Integer r ≥ 0; "exact" for kernels of every step's own, by which nothing is saved and
            the outputs remain; or a dict {pattern: one of the two} by names such as
            "conv1/kernel", with wildcards, of the last block's layers and weights. A kernel is a
            matrix of m rows, what the layer sums over, and n columns; from
            (steps − 1) / steps · m n / (m + n) on each step has its own kernel, which is fewer
            numbers than the factors.
        own: What every step keeps: some of "norm" for normalisation with its statistics, "bias",
            "scale" for other vectors, "depthwise" for depthwise kernels.
        keep: None, or "ends" to leave the first and the last block of a run as they are.

    Returns:
        The rule.

    Raises:
        ValueError: For arguments out of their range.
    """
    return Fold(init, rank, tuple(own), keep)


@dataclasses.dataclass(frozen=True)
class Fold:
    """See `fold`."""

    init: str
    rank: int | str | dict
    own: tuple
    keep: str | None

    def __post_init__(self):
        check_choice("init", self.init, INITS)
        for kind in self.own:
            check_choice("own", kind, KINDS)
        check_choice("keep", self.keep, (None, "ends"))
        check_patterns("rank", self.ranks)
        for rank in self.ranks.values():
            if rank != "exact":
                check_from_zero("rank", rank)

    @property
    def ranks(self):
        """{pattern: rank} for all."""
        return self.rank if isinstance(self.rank, dict) else {"*": self.rank}

    def __str__(self):
        return f"fold({self.init}, {self.rank})"

    def why_not(self, run):
        """Why a run cannot be folded, or None."""
        fewest, why = 4 if self.keep else 2, obstacle(run)
        if why is None and run.count < fewest:
            why = f"has {run.count} block{'s' * (run.count > 1)}, and folding takes {fewest}"
        return why

    def plans(self, run):
        """What becomes of a run: one recurrent layer."""
        return [FoldedRun(self, run)]


class FoldedRun:
    """Blocks that become one.

    Attributes:
        rule: The `Fold`.
        run: Their `BlockRun`.
        tensors: From what enters the first of them to what leaves the last.
        count: How many blocks.
        made: The recurrent layer, once it is made.
        folds: True, since the outputs change.
        kernels: (weight, rank, relative error in every step) of each kernel that is shared.
        errors: Of the features after every step, once they are known.
        control: Whether it is what folding is compared with.
    """

    folds, errors, control = True, None, False
    # What of a kernel the factors are of, see `changes`.
    factored = "change"

    def __init__(self, rule, run):
        first, end = (1, run.count - 1) if rule.keep else (0, run.count)
        self.rule, self.run, self.kernels = rule, run, ()
        self.tensors = run.tensors[first : end + 1]
        self.count = end - first
        self.blocks = operations_of(run)[first:end]
        self.name = f"{run.name.split('/')[-1].rstrip('_')}_recurrent"
        self.ranks = rule.ranks

    def layer(self, copies):
        """The recurrent layer, made of copies of the last block's layers, which `copies` gets."""
        function = function_of(self.run.model)
        branch, policy = branch_of(function, *self.tensors[-2:], copies, self.name)
        self.made = RecurrentResidual(
            branch,
            self.count,
            shortcut="none",
            unshare=[kind for kind in self.rule.own if kind in self._kinds()],
            corrections=self.ranks,
            drop_rates=self._drop_rates(function),
            name=self.name,
            dtype=policy,
        )
        # What the blocks hold, and the last block's copy.
        self.weights = [
            (weights_of(copies[id(last)]), [weights_of(block[i]) for block in self.blocks])
            for i, last in enumerate(self.blocks[-1])
        ]
        return self.made

    def _kinds(self):
        kinds = set()
        for operation in self.blocks[-1]:
            owners = corrections.owners(operation)
            kinds |= {kind_of(w, owners[id(w)]) for w in operation.weights}
        return kinds

    def _drop_rates(self, function):
        """{sub-layer of the last block: every block's rate} where they differ."""
        blocks = []
        for start, end in zip(self.tensors, self.tensors[1:], strict=False):
            nodes = nodes_between(function, start, end, self.run.name)
            operations = {id(node.operation): node.operation for node in nodes}.values()
            parts = [
                p for x in operations if isinstance(x, keras.layers.Layer) for p in sublayers(x)
            ]
            blocks.append([(p, name) for p in parts for name in RATES if hasattr(p, name)])
        *_, last = blocks
        # A block without any, as the first of a stage has it, drops nothing.
        if any(len(block) not in (0, len(last)) for block in blocks):
            return None
        rates = {}
        for i, (part, name) in enumerate(last):
            own = [float(getattr(*block[i])) if block else 0.0 for block in blocks]
            if len(set(own)) > 1 and getattr(part, name):
                rates[part.name] = own
        return rates or None

    def _weights(self):
        """Each weight of the branch with the weights of the blocks that it stands for."""
        for weights, blocks in self.weights:
            for weight, *originals in zip(weights, *blocks, strict=True):
                yield weight, originals

    def begin(self, moments=None):
        """Gives the layer the weights that the rule says.

        Args:
            moments: None, or what `recurrent_data.moments` found of `changes`.
        """
        layer, kernels, moments = self.made, [], moments or {}
        own = {id(steps[0]): steps for steps in layer.own_per_step}
        changed = {id(c.variable): c for c in layer.own_corrections}
        owners = corrections.owners(layer.branch)
        for weight, originals in self._weights():
            values = [keras.ops.convert_to_numpy(w) for w in originals]
            if id(weight) in own:
                for variable, value in zip(own[id(weight)], values, strict=True):
                    variable.assign(value)
                continue
            correction = changed.get(id(weight))
            rank = correction.a.shape[-1] if correction else 0
            form = correction or corrections.matrix_of(weight, owners[id(weight)])
            matrices = [form.matrix(value) for value in values]
            w, errors = self.shared(matrices, rank), []
            for t, (matrix, original) in enumerate(zip(matrices, originals, strict=True)):
                a, b = factors(matrix - w, rank, moments.get((id(original), self.factored)))
                if correction:
                    _set_factors(correction, t, a, b)
                rest = np.linalg.norm(matrix - w - a @ b)
                errors.append(float(rest / max(np.linalg.norm(matrix), 1e-30)))
            weight.assign(form.values(w).astype(weight.dtype))
            kernels.append((corrections.name_of(weight, owners), rank, tuple(errors)))
        self.kernels = tuple(kernels)

    def shared(self, matrices, rank):
        """The matrix of the kernel that the steps share, of theirs and the rank."""
        return shared(matrices, self.rule.init, rank)

    def changes(self):
        """What each kernel with a rank lacks to the shared one, and the kernel itself.

        Returns:
            {id of a block's layer: list of (key, weight, form of its matrix, matrix)}, the keys
            being (id of the weight, "change" or "whole").
        """
        owners = {}
        for block in self.blocks:
            for operation in block:
                owners |= corrections.owners(operation)
        parts = {id(part): part for part in owners.values()}
        changed, found = (
            {id(c.variable): c for c in self.made.own_corrections},
            {key: [] for key in parts},
        )
        for weight, originals in self._weights():
            form = changed.get(id(weight))
            if form is None:
                continue
            matrices = [form.matrix(keras.ops.convert_to_numpy(w)) for w in originals]
            w = self.shared(matrices, form.a.shape[-1])
            for original, matrix in zip(originals, matrices, strict=True):
                for what, change in (("change", matrix - w), ("whole", matrix)):
                    key = (id(original), what)
                    found[id(owners[id(original)])].append((key, original, form, change))
        return found

    def approximate(self, other, moments):
        """Gives steps after the first kernels of low rank: as many numbers as another plan's have.

        Args:
            other: The plan, whose kernels share one, of the same run.
            moments: What `recurrent_data.moments` found of its `changes`.
        """
        own = {id(steps[0]): steps for steps in self.made.own_per_step}
        ranks = {id(c.variable): (c, c.a.shape[-1]) for c in other.made.own_corrections}
        for (weight, originals), (theirs, _) in zip(self._weights(), other._weights(), strict=True):
            if id(theirs) not in ranks:
                continue
            form, rank = ranks[id(theirs)]
            # As many factors, and no whole kernel but the first step's: T r = (T − 1) r'.
            rank = round(rank * self.count / (self.count - 1))
            for variable, original in list(zip(own[id(weight)], originals, strict=True))[1:]:
                matrix = form.matrix(keras.ops.convert_to_numpy(original))
                a, b = factors(matrix, rank, moments.get((id(original), "whole")))
                variable.assign(form.values(a @ b).astype(weight.dtype))


def _set_factors(correction, step, a, b):
    """Assigns the factors of one step; a pair that is zero keeps a first factor that learns."""
    both = [np.array(keras.ops.convert_to_numpy(v)) for v in (correction.a, correction.b)]
    both[0][step] = np.where(np.any(a, axis=0), a, both[0][step])
    both[1][step] = b
    correction.a.assign(both[0])
    correction.b.assign(both[1])
