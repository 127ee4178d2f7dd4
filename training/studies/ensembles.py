"""Three seeds of one network as one, against one network of three times the parameters, on MNIST.

The network is dense, a highway network of 10 layers of 50 units. Its rivals: three of it, trained
apart and averaged by `models.ensemble`; the same three trained together, as one network whose
logits are the mean of three; and one whose layers have 99 units, as many parameters as the three.
All are trained alike, by Adam, and see each digit as often.
"""

import numpy as np

from training.ledger.summary import FINAL
from training.studies import sequences
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

DEPTH, UNITS, WIDE, MEMBERS = 10, 50, 99, 3
BATCH, RATE = 100, 1e-3
LOGITS = "logits_accuracy"
ONE, APART, TOGETHER, WIDER = "one", "apart", "together", "wide"


class Ensembles(TrainedHere):
    examples = ("--data-dir DIR", "--data-dir DIR --limit 2000 --epochs 1", "--report")
    common, epochs = ("seeds", "epochs", "data-dir", "limit", "report", "out"), 5
    least = LEAST | {"limit": BATCH}
    columns = columns(
        "network",
        ("parameters", counted),
        "top-1, %",
        ("averaged as logits, %", lambda row: row.measured.text(LOGITS)),
        "seeds",
    )

    def title(self, a):
        return f"Highway networks of {DEPTH} dense layers on MNIST, {a.epochs} epochs"

    def forms(self, a):
        return [
            Form(ONE, "", "one network"),
            Form(APART, "", f"{MEMBERS} seeds of it, averaged"),
            Form(TOGETHER, "", f"{MEMBERS} of it, trained together"),
            Form(WIDER, "", f"one of {WIDE} units a layer"),
        ]

    def learn(self, form, seed, a, path):
        import keras

        from keras_recres import models

        x, y = digits("train", a)
        whole = len(x) // BATCH * BATCH

        def trained(model):
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            sequences.learn(model, x[:whole], y[:whole], loss, RATE, batch=BATCH, epochs=a.epochs)
            return model

        new, labels = digits("test", a)

        def right(model):
            answers = model.predict(new, batch_size=500, verbose=0).argmax(-1)
            return float((answers == labels).mean())

        found = {}
        if form.label == APART:
            members = []
            for k in range(MEMBERS):
                keras.utils.set_random_seed(MEMBERS * seed + k)
                members.append(trained(network(UNITS)))
            model = models.ensemble(members)
            found[LOGITS] = right(models.ensemble(members, "logits"))
        elif form.label == TOGETHER:
            members = [network(UNITS) for _ in range(MEMBERS)]
            model = trained(models.ensemble(members, "logits"))
        else:
            model = trained(network(WIDE if form.label == WIDER else UNITS))
        return {**found, FINAL: right(model), "parameters": model.count_params()}

    def claims(self, table, a):
        yield from self.compared(table, f"{MEMBERS} seeds, averaged, against one", APART, ONE)
        what = "against one network of as many parameters"
        yield from self.compared(table, f"{MEMBERS} seeds, averaged, {what}", APART, WIDER)
        what = f"{MEMBERS} seeds trained apart against the same trained together"
        yield from self.compared(table, what, APART, TOGETHER)


def digits(split, a):
    """Images of MNIST, float32 (N, 28, 28, 1) of 0 to 1, and their classes."""
    from training import data

    found = data.load("mnist", split, a.data_dir, limit=a.limit)
    return found.images.astype("float32") / 255, np.asarray(found.labels, "int32")


def network(units):
    """Logits (batch, 10) of images (batch, 28, 28, 1)."""
    from keras_recres import models

    return models.highway(DEPTH, units, dense=True, gate_bias=-2.0)


STUDY = Ensembles()
