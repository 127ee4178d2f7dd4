"""Kernels in parts, a head of averages, units that widen slowly: claims of papers on CIFAR-10.

Three groups of networks see images of 16 x 16 pixels, means over 2 x 2. In the first the 5 x 5
convolutions of a network of four become two of 3 x 3 (VGG, arXiv 1409.1556), bottlenecks
(1512.03385), or separable ones (1610.02357), by `models.rules.factorize`, where that is smaller: as
pairs two of them. In the second network in network (1312.4400) ends in the means of its last maps,
as in its paper, or in a dense layer, with and without dropout before it. The third compares ResNet,
PyramidNet (1610.02915) and ResNet in ResNet (1603.08029) of about 270,000 parameters; of the first
two each unit that halves the sides is deleted, so that its shortcut is left, and the accuracy lost
is measured.

All are trained alike, by AdamW with a cosine, shifts and flips, but for network in network: without
norms it learns at a third of the rate, and for half of the epochs, each of which costs three times
as much.
"""

import statistics

from training.ledger.summary import FINAL
from training.studies.cifar16 import MEANS, SIZE, cells
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

SHAPE, BATCH, TESTED = (*SIZE, 3), 128, 2000
DECAY, RATE, NIN_RATE = 0.01, 3e-3, 1e-3
KERNELS, HEADS, UNITS = "kernels", "heads", "units"
TITLES = {
    KERNELS: "kernels of 5 x 5 and their parts",
    HEADS: "heads of network in network",
    UNITS: "units of equal parameters",
}
HALVING = {"resnet": "stage{}_unit0_norm2", "pyramid": "stage{}_unit0_norm3"}
# For which ResNet's parameters are as many, to 3 %.
ALPHA, RIR_WIDTH = 43, 8
LOST = "lost_halving"


class Factorisation(TrainedHere):
    examples = ("--data-dir DIR", "--data-dir DIR --arms 'nin_*' --epochs 4", "--report")
    common, epochs = ("seeds", "epochs", "data-dir", "limit", "report", "out"), 7
    seeds = 2
    least = LEAST | {"limit": BATCH}
    columns = columns(
        "network",
        ("parameters", counted),
        "top-1, %",
        ("lost without a halving unit, points", lambda row: row.measured.text(LOST)),
        "seeds",
    )

    def title(self, a):
        return "CIFAR-10 at 16 x 16 pixels"

    def groups(self, table, a):
        found = {}
        for row in table.values():
            title = f"{TITLES[row.form.name]}, {epochs_of(row.form, a)} epochs"
            found.setdefault(title, []).append(row)
        return found

    def forms(self, a):
        return [
            Form("whole", KERNELS, "four convolutions, 5 x 5"),
            Form("stacked", KERNELS, "pairs of 3 x 3"),
            Form("bottleneck", KERNELS, "bottlenecks", seeds=1),
            Form("separable", KERNELS, "separable", seeds=1),
            Form("nin_mean", HEADS, "means of the last maps"),
            Form("nin_dense", HEADS, "a dense layer", seeds=1),
            Form("nin_dropout", HEADS, "dropout and a dense layer"),
            Form("resnet", UNITS, "ResNet-20"),
            Form("pyramid", UNITS, f"PyramidNet-20, α = {ALPHA}"),
            Form("rir", UNITS, f"ResNet in ResNet, width {RIR_WIDTH}"),
        ]

    def settings(self, form, a):
        return {"epochs": epochs_of(form, a), "limit": a.limit}

    def learn(self, form, seed, a, path):
        import keras

        from training import data
        from training.fit import optimizers
        from training.fit.models import jit_compile

        how = a.data_dir, a.limit, MEANS
        seen, new = (data.load("cifar10", s, *how) for s in ("train", "evaluation"))
        model, mean = network(form.label), pixels()
        options = {"training": True, "augment": ("flip", "crop"), "seed": seed}
        batches = data.Batches(seen, BATCH, mean, **options)
        peak = NIN_RATE if form.name == HEADS else RATE
        steps, epochs = len(batches), epochs_of(form, a)
        rate = optimizers.schedule(epochs * steps, steps // 2, peak, 0.01)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = optimizers.make(model, "adamw", rate, DECAY, 1e-8)
        model.compile(
            optimizer, loss, metrics=["accuracy"], jit_compile=jit_compile(convolutions=True)
        )
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        test = data.Batches(new, 500, mean)
        accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
        found = {FINAL: accuracy, "parameters": model.count_params()}
        if form.label in HALVING:
            x, labels = mean.normalize(new.images[:TESTED]), new.labels[:TESTED]
            lost = without_halving(model, HALVING[form.label], x, labels)
            found[LOST] = statistics.mean(lost)
        return found

    def claims(self, table, a):
        for label, other in (
            ("stacked", "whole"),
            ("bottleneck", "whole"),
            ("separable", "whole"),
            ("nin_mean", "nin_dense"),
            ("nin_mean", "nin_dropout"),
            ("pyramid", "resnet"),
            ("rir", "resnet"),
        ):
            whats = {form.label: form.what for form in self.forms(a)}
            what = f"{whats[label][0].upper()}{whats[label][1:]} against {whats[other]}"
            yield from self.compared(table, what, label, other)
        if HALVING.keys() <= table.keys():
            lost = cells(table, LOST).difference("pyramid", "resnet")
            what = "A unit that halves the sides deleted, PyramidNet against ResNet"
            yield what, lost, "points of accuracy lost", "costlier", "cheaper"


def epochs_of(form, a):
    """Those of a form's trainings."""
    return max(1, a.epochs // 2) if form.name == HEADS else a.epochs


def pixels():
    """How networks take images of CIFAR-10."""
    from keras_recres.zoo.preprocessing import Preprocessing

    mean, std = (0.4913, 0.4821, 0.4465), (0.2452, 0.2428, 0.2606)
    return Preprocessing(size=SIZE, scale=1 / 255, mean=mean, std=std)


def network(label):
    """Logits (batch, 10) of images (batch, 16, 16, 3), of the form with this label."""
    import keras

    from keras_recres import models

    if label == "resnet":
        return models.cifar_resnet(20, input_shape=SHAPE)
    if label == "pyramid":
        return models.pyramidnet(20, ALPHA, input_shape=SHAPE)
    if label == "rir":
        return models.rir(RIR_WIDTH, input_shape=SHAPE)
    if label == "nin_mean":
        return models.nin_cifar(input_shape=SHAPE)
    if label.startswith("nin"):
        body = models.nin_cifar(input_shape=SHAPE, features_only=True)
        x = keras.layers.Flatten(name="flat")(body.output)
        if label == "nin_dropout":
            x = keras.layers.Dropout(0.5, name="dropout")(x)
        return keras.Model(body.input, keras.layers.Dense(10, name="logits")(x))
    x = inputs = keras.Input(SHAPE)
    for i, filters in enumerate((32, 32, 64, 64), 1):
        x = keras.layers.Conv2D(filters, 5, padding="same", use_bias=False, name=f"conv{i}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm{i}")(x)
        x = keras.layers.ReLU(name=f"relu{i}")(x)
        if i % 2 == 0:
            x = keras.layers.MaxPooling2D(2, name=f"pool{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    whole = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
    if label == "whole":
        return whole
    between = None if label == "separable" else "relu"
    rule = models.rules.factorize(label, activation=between)
    return models.substitute(whole, rule, verbose=False)[0]


def without_halving(model, norm, x, labels):
    """Points of accuracy lost without the branch of each unit that halves the sides.

    Args:
        model: the network.
        norm: name of the last norm of such a branch, with {} for the number of the stage; at a
            scale and a shift of 0 nothing is added to the shortcut.
        x: images as it takes them.
        labels: their classes.
    """

    def points():
        answers = model.predict(x, batch_size=500, verbose=0)
        return 100 * (answers.argmax(-1) == labels).mean()

    whole, lost = points(), []
    for stage in (1, 2):
        layer = model.get_layer(norm.format(stage))
        kept = layer.get_weights()
        layer.set_weights([0 * kept[0], 0 * kept[1], *kept[2:]])
        lost.append(float(whole - points()))
        layer.set_weights(kept)
    return lost


STUDY = Factorisation()
