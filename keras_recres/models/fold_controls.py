"""Rules that give what folding is to be compared with once both are trained on."""

import dataclasses

import numpy as np

from keras_recres.backend.keras_private import function_of
from keras_recres.layers import RecurrentResidual
from keras_recres.models.fold import Fold, FoldedRun
from keras_recres.models.recurrent_parts import branch_of


@dataclasses.dataclass(frozen=True)
class Dropped(Fold):
    """Of the blocks that a `Fold` would join the first one remains."""

    def __str__(self):
        return "dropped"

    def plans(self, run):
        """What becomes of a run: one layer, which runs once."""
        return [DroppedRun(self, run)]


class DroppedRun(FoldedRun):
    """Blocks of which one remains; see `FoldedRun`."""

    control = True

    def layer(self, copies):
        """A recurrent layer of one step, made of copies of the first block's layers."""
        function = function_of(self.run.model)
        branch, policy = branch_of(function, *self.tensors[:2], copies, self.name)
        self.made = RecurrentResidual(branch, shortcut="none", name=self.name, dtype=policy)
        return self.made

    def begin(self, moments=None):
        """All weights are there already."""

    def changes(self):
        """Nothing."""
        return {}


@dataclasses.dataclass(frozen=True)
class LowRank(Fold):
    """The first of the blocks that a `Fold` would join, and others without a whole kernel.

    These have kernels W_t = A_t B_t of a rank by which all have as many factors as the steps of
    the folded blocks: T r = (T − 1) r'.
    """

    def __str__(self):
        return f"low rank({self.rank})"

    def why_not(self, run):
        """Why a run cannot be such, or None."""
        fewest = 3 + 2 * bool(self.keep)
        if run.count < fewest:
            return f"has {run.count} blocks, and low rank takes {fewest}"
        return super().why_not(run)

    def plans(self, run):
        """What becomes of a run: its first block and a recurrent layer."""
        return [LowRankRun(self, run)]


class LowRankRun(FoldedRun):
    """Blocks that become one whose kernels are factors alone; see `FoldedRun`."""

    control, factored = True, "whole"

    def __init__(self, rule, run):
        super().__init__(rule, run)
        steps = self.count
        self.ranks = {
            pattern: rank if rank == "exact" else round(rank * steps / (steps - 1))
            for pattern, rank in self.ranks.items()
        }
        self.tensors, self.blocks, self.count = self.tensors[1:], self.blocks[1:], steps - 1

    def shared(self, matrices, rank):
        """Zero where there are factors."""
        return np.zeros_like(matrices[0]) if rank else super().shared(matrices, rank)

    def begin(self, moments=None):
        """As `FoldedRun.begin`; what is zero stays so in training."""
        super().begin(moments)
        for correction in self.made.own_corrections:
            correction.variable.trainable = False
