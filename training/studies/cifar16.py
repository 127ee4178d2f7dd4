"""Narrow networks on CIFAR-10 at 16 x 16 pixels, which several studies train alike and measure."""

from training import data
from training.studies.effects import Cells
from training.studies.forms import Form
from training.studies.study import Study

SIZE = (16, 16)
SMALL = {"input_shape": (*SIZE, 3), "filters": (8, 16, 32)}
MEANS = data.Resizing(SIZE, interpolation="mean")
FEWER = 6  # Epochs of the networks of 56 layers where there are many of them.
IMAGES = 1000  # Of the test set, that networks are measured on.
LOSS = "train_loss"
LOSSES = "training loss", lambda row: row.measured.text(LOSS)


def form(label, name, what, seeds=None, folder=None, **arguments):
    """A `Form` of such a network."""
    return Form(label, name, what, {**SMALL, **arguments}, seeds=seeds, folder=folder)


def preact(label, what, shortcut="identity", placement="full", seeds=None, folder=None):
    """A `Form` of a pre-activation ResNet of 56 layers."""
    how = {"depth": 56, "shortcut": shortcut, "placement": placement}
    return form(label, "preact_resnet110", what, seeds, folder, **how)


def cells(table, key):
    """The `Cells` of another number that the trainings of a table measured."""
    return Cells({label: row.measured.values(key) for label, row in table.items()})


class Probed(Study):
    """Each network is measured once, after its training, into the folder of that.

    Attributes:
        kept: name of the file that a measurement ends with.
    """

    recipe, choose, seeds = "cifar16", "arms", 2
    kept = ""

    def measure(self, model, x, labels, path):
        """Measures a trained network on test images, as it takes them, and writes into a folder."""
        raise NotImplementedError

    def train(self, runs, a):
        failed = super().train(runs, a)
        for run in runs:
            # Those that were adopted have no weights.
            if run.metrics and _weights(run).exists() and not (run.path / self.kept).exists():
                model, x, labels = _trained(run, a)
                self.measure(model, x, labels, run.path)
        return failed


def _weights(run):
    return run.path / f"{run.name}.{run.metrics['settings']['tag']}.weights.h5"


def _trained(run, a):
    """A finished training's network, and test images as it takes them, with their labels."""
    from keras_recres import zoo

    model = zoo.build(run.name, tag=run.metrics["settings"]["tag"], **run.arguments)
    model.load_weights(_weights(run))
    limit = min(IMAGES, a.limit or IMAGES)
    part = data.load(run.dataset, "evaluation", a.data_dir, limit, MEANS)
    return model, model.preprocess.normalize(part.images), part.labels
