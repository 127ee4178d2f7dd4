"""T2T-ViT's recurrence in other forms: what makes it worth more to run a block again.

Jiang, Cui, Wang, "Residual network with recurrent structures", run each block several times and
share all of its weights (table 2). Here, beside the network whose blocks run once and theirs: norms
of their own for every step; a learned vector for every step (Universal Transformers, arXiv
1807.03819); both; a learned factor of what every step adds; a number of steps that is drawn for
each batch; every step supervised; and the network whose blocks run once as the teacher. What is
added in parameters is half a percent at most, and evaluated all run as often as theirs.
"""

import argparse
import dataclasses
import fnmatch
from pathlib import Path

from training import recipes
from training.errors import UserError, nearest
from training.jobs import many_runs
from training.reproduce import cifar_tables

# What trains T2T-ViTs on each data set.
RECIPES = {"cifar10": "cifar10_vit", "tiny_imagenet80": "tiny_imagenet80_vit"}
# Steps drawn, on average 2.5 and 2; of its own a network has 2, 4, 2 and 2 everywhere.
SAMPLED = {3: "uniform(1,4)", 7: "uniform(1,3)"}
ONCE, PLAIN = "once", "recurrent"


@dataclasses.dataclass(frozen=True)
class Form:
    """One form of the comparison.

    Attributes:
        label: what it is called in folders.
        what: what it is, in words.
        arguments: builder arguments that replace the recurrent network's.
        how: options of `training.fit` beside the recipe's.
    """

    label: str
    what: str
    arguments: dict = dataclasses.field(default_factory=dict, hash=False)
    how: dict = dataclasses.field(default_factory=dict, hash=False)

    def name(self, blocks):
        """The network's name in the zoo."""
        return f"vit{blocks}" if self.label == ONCE else f"vit{blocks}_rec"

    def run(self, seed, a):
        """Its training."""
        return many_runs.Run(
            label=self.label,
            name=self.name(a.blocks),
            seed=seed,
            path=a.out / f"vit{a.blocks}.{a.dataset}" / self.label / str(seed),
            arguments=self.arguments,
            module="training.fit",
            dataset=a.dataset,
            recipe=RECIPES[a.dataset],
            how=self.how,
        )


def forms(blocks):
    """The forms of a network with so many blocks."""
    return (
        Form(ONCE, "each block once"),
        Form(PLAIN, "several times, all shared"),
        Form("norms", "norms of every step's own", {"unshare": ["norm"]}),
        Form("embedding", "a learned vector a step", {"step_embedding": True}),
        Form("both", "norms and a vector", {"unshare": ["norm"], "step_embedding": True}),
        Form("scaled", "a learned factor a step", {"residual_scale": "learned"}),
        Form("sampled", f"trained with {SAMPLED[blocks]} steps", how={"steps": SAMPLED[blocks]}),
        Form("supervised", "every step supervised", how={"deep-supervision": 0.5}),
        # The zoo's, where it has weights for the data set.
        Form("distilled", f"taught by vit{blocks}", how={"teacher": f"vit{blocks}"}),
    )


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce recurrent_forms",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  KERAS_BACKEND=torch python -m training.reproduce recurrent_forms --data-dir DIR\n"
        "  python -m training.reproduce recurrent_forms --blocks 7 --dataset tiny_imagenet80 \\\n"
        "    --data-dir DIR --forms norms both\n"
        "  python -m training.reproduce recurrent_forms --report --adopt cifar10_jpeg\n\n"
        "Give the same command again to go on.",
    )
    p.add_argument("--blocks", type=int, choices=tuple(SAMPLED), default=3, help="default 3")
    p.add_argument("--dataset", choices=tuple(RECIPES), default="cifar10", help="default cifar10")
    p.add_argument(
        "--forms",
        nargs="+",
        default=["*"],
        metavar="FORM",
        help="those beside once and recurrent, with which they are compared: wildcards of "
        f"{', '.join(form.label for form in forms(3)[2:])}; default all",
    )
    cifar_tables.add_arguments(p, Path("runs/recurrent_forms"), None, "auto")
    return p


def chosen(patterns, blocks):
    """The networks of table 2, and the other forms that any of the wildcards means."""
    known = [form.label for form in forms(blocks)]
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise UserError(
                f"--forms has {pattern!r}, which is none of {', '.join(known)}."
                f"{nearest(pattern, known)}"
            )
    return [
        form
        for form in forms(blocks)
        if any(fnmatch.fnmatch(form.label, pattern) for pattern in (ONCE, PLAIN, *patterns))
    ]


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    if a.epochs is None:
        a.epochs = recipes.load(RECIPES[a.dataset]).settings["epochs"]
    cifar_tables.check(a)
    wanted = chosen(a.forms, a.blocks)
    # Seed by seed: a part of the trainings is a whole comparison with fewer seeds.
    runs = [form.run(seed, a) for seed in range(a.seeds) for form in wanted]
    failed = cifar_tables.train(runs, a)
    # Matplotlib and rich take seconds to import: after all that may be refused.
    from training.reproduce import recurrent_forms_report

    recurrent_forms_report.show(wanted, runs, a)
    if failed:
        raise UserError(failed)
    return 0
