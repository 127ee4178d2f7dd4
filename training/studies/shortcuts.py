"""What stands beside the branch of a residual unit, and in which order: 56 layers on CIFAR-10.

The six shortcuts of table 1 of arXiv 1603.05027, in units with a ReLU after the sum as there, and
the five places of norms and ReLUs of its table 2. The networks have 8, 16 and 32 channels and see
images of 16 x 16 pixels, means over 2 x 2. Gates begin nearly shut, with a bias of -6: the branch
of the exclusive gate is then nearly off, too. The paper's numbers are of 110 layers and 164 epochs
on the original images, and not to be set beside these.
"""

from training.studies import cifar16, drawings
from training.studies.forms import columns
from training.studies.study import Study

IDENTITY, DROPOUT, FULL = "identity", "dropout", "full"
SHORTCUTS = {
    IDENTITY: "identity",
    "scaling": "x / 2 beside F / 2",
    "exclusive_gate": "exclusive gate",
    "shortcut_gate": "gate on the shortcut alone",
    "conv": "1 x 1 convolution",
    DROPOUT: "dropout of a half",
}
PLACEMENTS = {
    IDENTITY: "original: ReLU after the sum",
    "bn_after_add": "batch normalisation after the sum",
    "relu_before_add": "ReLU before the sum",
    "relu_only": "ReLU alone before the convolutions",
    FULL: "full pre-activation",
}
AGAINST = "against the identity, points", lambda row: str(row.against(IDENTITY))


class Shortcuts(Study):
    examples = ("--data-dir DIR", "--data-dir DIR --arms full --seeds 1", "--report")
    recipe, choose, always, seeds = "cifar16", "arms", (IDENTITY,), 2
    epochs = cifar16.FEWER
    columns = columns("unit", "parameters", cifar16.LOSSES, "top-1, %", AGAINST, "seeds")
    note = (
        "A claim rests on two seeds of identity, dropout and full pre-activation; the others have "
        "one seed, and the spread of these."
    )

    def title(self, a):
        return f"Units of 56 layers, CIFAR-10 at 16 x 16 pixels, {a.epochs} epochs"

    def groups(self, table, a):
        titles = "shortcuts, with a ReLU after the sum", "norms and ReLUs, beside the identity"
        kinds = zip(titles, (SHORTCUTS, PLACEMENTS), strict=True)
        return {
            f"{self.title(a)}: {title}": [table[label] for label in known if label in table]
            for title, known in kinds
        }

    def forms(self, a):
        twice = IDENTITY, DROPOUT, FULL
        whats = {**PLACEMENTS, **SHORTCUTS, IDENTITY: "identity, ReLU after the sum"}
        return [
            cifar16.preact(
                label,
                whats[label],
                shortcut=label if label in SHORTCUTS else IDENTITY,
                placement="original" if label in SHORTCUTS else label,
                seeds=None if label in twice else 1,
            )
            for label in {**SHORTCUTS, **PLACEMENTS}
        ]

    def claims(self, table, a):
        losses = cifar16.cells(table, cifar16.LOSS)
        for label in list(table)[1:]:
            what = f"{table[label].form.what.capitalize()} against the identity"
            yield f"{what}, test accuracy", table[label].against(IDENTITY)
            effect = losses.difference(label, IDENTITY)
            yield f"{what}, training loss", effect, "nats", "higher", "lower"

    def draw(self, table, path, a):
        """Test accuracy and training loss of each seed, and their means."""
        with drawings.figure(path, (12, 1.2 + 0.4 * len(table)), 1, 2, sharey=True) as (_, panels):
            drawings.lines(panels[0], table)
            drawings.lines(panels[1], table, cifar16.LOSS)
            panels[0].set(xlabel="top-1 after the last epoch, %", title=self.title(a))
            panels[1].set(xlabel="training loss, nats")


STUDY = Shortcuts()
