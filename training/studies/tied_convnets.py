"""Whether convolutional networks with shortcuts suit recurrence more than plain ones.

Three stages of one block that runs five times, on CIFAR-10 at 16 x 16 pixels, means of four each:
x ← x + f(x), or x ← f(x), with f two pre-activation convolutions of `shared_resnet` and norms of
every step's own. The steps share their convolutions (tied), or have their own in stages half as
wide (untied): 0.13 million parameters both, and four times the computation for the tied. Two
controls for each: tied in stages as narrow as the untied, and the wide block run once.
"""

from training.studies import tying
from training.studies.forms import Form, columns
from training.studies.study import Study

NAME, STEPS = "shared_resnet", 5
NARROW, WIDE = {"filters": [8, 16, 32]}, {"filters": [16, 32, 65]}
ARMS = {
    tying.TIED: {**WIDE, "steps": STEPS},
    tying.UNTIED: {**NARROW, "steps": STEPS, "unshare": ["norm", "conv1", "conv2"]},
    tying.NARROW: {**NARROW, "steps": STEPS},
    tying.ONCE: {**WIDE, "steps": 1},
}
SHORTCUTS = {"residual": {}, "plain": {"shortcut": "none"}}
SMALL = {"input_shape": [16, 16, 3]}


class TiedConvnets(Study):
    examples = ("--data-dir DIR", "--data-dir DIR --arms 'tied*' 'untied*' --seeds 3", "--report")
    recipe, choose, seeds, epochs = NAME, "arms", 2, 5
    columns = columns("network", "parameters", "multiply-adds", "top-1, %", "seeds")

    def title(self, a):
        return f"{NAME} on CIFAR-10 at 16 × 16 pixels, {a.epochs} epochs"

    def forms(self, a):
        return [
            Form(tying.label(arm, net), NAME, f"{arm}, {told}", ARMS[arm] | SHORTCUTS[net] | SMALL)
            for net, told in tying.NETS.items()
            for arm in ARMS
        ]

    def claims(self, table, a):
        return tying.claims(table)

    def notes(self, table, a):
        return [tying.NOTE, *super().notes(table, a)[1:]]


STUDY = TiedConvnets()
