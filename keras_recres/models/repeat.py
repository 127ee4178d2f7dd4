"""repeat: a rule by which residual blocks run several times."""

import dataclasses

from keras_recres.backend.keras_private import function_of
from keras_recres.layers import RecurrentResidual
from keras_recres.layers.checks import check_choice, check_count
from keras_recres.models.recurrent_parts import branch_of, obstacle


def repeat(steps: int, *, residual_scale: float | str | None = "learned") -> "Repeat":
    """A rule of `recurrent` by which every residual block runs `steps` times.

    With f the whole block, x ← f(x) first and x ← x + s_t (f(x) − x) in each later step t, s_t = 0
    at first: the model begins as it was, and may learn to use the steps. All weights are shared by
    the steps, also the moving statistics of batch norms, which the features of all steps enter in
    training: estimate them anew before an evaluation, as `--precise-bn` of the trainings does.

    Example:
    >>> from keras_recres.models import recurrent, rules
    >>> model = keras_recres.models.cifar_resnet(depth=8)
    >>> deeper, table = recurrent(model, rules.repeat(3), verbose=False)

    Args:
        steps: Integer ≥ 1.
        residual_scale: "learned" for the s_t, or None for x ← f(x) in every step, which has no
            parameters and computes something else than the model from the start.

    Returns:
        The rule.

    Raises:
        ValueError: For arguments out of their range.
    """
    return Repeat(steps, residual_scale)


@dataclasses.dataclass(frozen=True)
class Repeat:
    """See `repeat`."""

    steps: int
    residual_scale: str | None

    def __post_init__(self):
        check_count("steps", self.steps)
        check_choice("residual_scale", self.residual_scale, ("learned", None))

    def __str__(self):
        return f"repeat({self.steps})"

    def why_not(self, run):
        """Why a run cannot be repeated, or None."""
        return obstacle(run) or (None if run.residual else "has no shortcut past its weights")

    def plans(self, run):
        """What becomes of a run: every block a recurrent layer."""
        names = [f"{run.name.split('/')[-1].rstrip('_')}_recurrent"] * run.count
        if run.count > 1:
            names = [f"{name}{i}" for i, name in enumerate(names, 1)]
        return [RepeatedBlock(self, run, i, name) for i, name in enumerate(names)]


class RepeatedBlock:
    """One block that becomes recurrent.

    Attributes:
        rule: The `Repeat`.
        run: Its `BlockRun`.
        tensors: The two between which it lies.
        count: 1, how many blocks of the run it stands for.
        made: The recurrent layer, once it is made.
        kernels, folds, errors: Empty, False and None, since no weight changes.
    """

    count, folds, errors = 1, False, None
    kernels = ()

    def __init__(self, rule, run, place, name):
        self.rule, self.run, self.name = rule, run, name
        self.tensors = run.tensors[place : place + 2]

    def layer(self, copies):
        """The recurrent layer, made of copies of layers, which `copies` gets."""
        branch, policy = branch_of(function_of(self.run.model), *self.tensors, copies, self.name)
        self.made = RecurrentResidual(
            branch,
            self.rule.steps,
            shortcut="none",
            residual_scale=self.rule.residual_scale and "grown",
            name=self.name,
            dtype=policy,
        )
        return self.made

    def begin(self, moments=None):
        """All weights are there already."""
