"""Deeper plain networks train worse, and residual ones do not: 20 and 56 layers on CIFAR-10.

The networks of arXiv 1512.03385, section 4.2, with 8, 16 and 32 channels, on images of 16 x 16
pixels, means over 2 x 2. The loss is that of the last epoch's training batches, in nats: it is
optimisation that fails, not generalisation. The picture has it epoch by epoch, and the standard
deviations of the responses of all 3 x 3 convolutions, after batch normalisation and before the sum
(the paper's figure 7), on a thousand test images: those of residual networks are smaller, and the
smaller the deeper the network.
"""

import csv
import statistics

import numpy as np

from training.fit.run_folder import read_log
from training.studies import cifar16, drawings
from training.studies.effects import Cells
from training.studies.forms import columns

NETWORKS = {
    "plain20": ("cifar_plain20", "plain, 20 layers"),
    "plain56": ("cifar_plain56", "plain, 56 layers"),
    "resnet20": ("cifar_resnet20", "residual, 20 layers"),
    "resnet56": ("cifar_resnet56", "residual, 56 layers"),
}
RESPONSES = "responses.csv"


class Degradation(cifar16.Probed):
    examples = ("--data-dir DIR", "--data-dir DIR --arms 'plain*' --seeds 1", "--report")
    kept = RESPONSES
    columns = columns(
        "network",
        *("parameters", "multiply-adds", cifar16.LOSSES, "top-1, %"),
        ("mean deviation of responses", lambda row: _text(strengths(row))),
        "seeds",
    )

    def title(self, a):
        return f"CIFAR-10 at 16 x 16 pixels, {a.epochs} epochs"

    def forms(self, a):
        return [cifar16.form(label, *network) for label, network in NETWORKS.items()]

    def measure(self, model, x, labels, path):
        from keras_recres.probes import layer_responses

        layer_responses(model, x).to_csv(path / RESPONSES)

    def claims(self, table, a):
        losses = cifar16.cells(table, cifar16.LOSS)
        told = "nats", "higher", "lower"
        for kind, word in (("plain", "plain"), ("resnet", "residual")):
            what = f"Training loss of {word} networks, 56 layers against 20"
            yield what, losses.difference(f"{kind}56", f"{kind}20"), *told
        what = "Training loss at 56 layers, plain against residual"
        yield what, losses.difference("plain56", "resnet56"), *told
        for kind, word in (("plain", "plain"), ("resnet", "residual")):
            what = f"Test accuracy of {word} networks, 56 layers against 20"
            yield what, table.difference(f"{kind}56", f"{kind}20")
        spread = Cells({label: strengths(row) for label, row in table.items()})
        told = "units of the response", "larger", "smaller"
        for what, one, other in (
            ("Responses at 56 layers, residual against plain", "resnet56", "plain56"),
            ("Responses of residual networks, 56 layers against 20", "resnet56", "resnet20"),
        ):
            yield what, spread.difference(one, other), *told

    def draw(self, table, path, a):
        """The training loss by epoch, a line a training, and the responses of the first seed."""
        from keras_recres.probes import ResponsesRecord

        with drawings.figure(path, (14, 4), 1, 3) as (_, (by_epoch, *panels)):
            for colour, row in enumerate(table.values()):
                for run in row.runs:
                    losses = [line["loss"] for line in read_log(run.path / "log.csv")]
                    label = None if run.seed else row.form.what
                    epochs = range(1, len(losses) + 1)
                    by_epoch.plot(epochs, losses, ".-", color=f"C{colour}", label=label)
                if found := responses(row.runs[0]):
                    names, std = zip(*found.items(), strict=True)
                    record = ResponsesRecord(names, np.array(std), cifar16.IMAGES)
                    record.plot(axes=panels, label=row.form.what)
            # The record leaves the label to a column that is the first.
            panels[0].tick_params(labelleft=True)
            panels[0].set_ylabel("standard deviation of the responses")
            by_epoch.set(xlabel="epoch", ylabel="training loss, nats")
            by_epoch.grid(alpha=0.3)
            by_epoch.legend(frameon=False)


def responses(run):
    """{layer: standard deviation of its responses} of a training, {} where it was not measured."""
    if not (run.path / RESPONSES).exists():
        return {}
    with open(run.path / RESPONSES, newline="", encoding="utf-8") as file:
        return {line["layer"]: float(line["std"]) for line in csv.DictReader(file)}


def strengths(row):
    """{seed: the mean over the layers of what `responses` gives}."""
    found = {run.seed: responses(run) for run in row.runs}
    return {seed: statistics.mean(std.values()) for seed, std in found.items() if std}


def _text(values):
    return f"{statistics.mean(values.values()):.3f}" if values else ""


STUDY = Degradation()
