"""Seven ResNet-50s on MNIST: tanh, ReLU and α-ReLU, initialised by He and by Xavier.

Trains the networks of G. Borin Macedo's slides on FRN and RRN (Unicamp, 2020, after arXiv
1712.08969) with their recipe: SGD 0.01, batch 32, 5 epochs, pixels in [0, 1], no augmentation. In
the authors' notebook, not on the slides, the two with α-ReLU, α = 0.1, gave a NaN from the first
batch on, and 9.80 %. Here they are trained with α = 0.75, and with the slides' α beside. Xavier is
the notebook's, uniform with variance 2 / (fan-in + fan-out), not the slide's, normal with
1 / (fan-in + fan-out). Beside them `cifar_plain20`, a plain convolutional network, shows what an
epoch costs without shortcuts: the slides do not tell which network their 1 minute was of.

`--side 14` is for processors: images of 14 x 14 pixels, each the mean of four, and α = 0.75 alone.
On one core a ResNet-50's epoch takes 18 minutes, that of the plain network 2.

They want an accelerator, and their whole recipe was not run yet. On two cores, one epoch and seed,
test accuracy: ReLU He 75.2 %, He uniform 81.4, tanh He 74.3, Xavier 77.6 (6,400 images), ReLU
Xavier 86.7 (12,800); α-ReLU He and Xavier, 22,400 images, 85.5 and 86.7 with statistics of batch
normalization that are averaged anew (`--precise-bn 60`), and 9.7 and 10.1 with its moving averages,
which trail behind. The loss of α-ReLU falls from 2.7 to 0.5 and from 2.9 to 0.6. About 45 images a
second on one core. Their weights, 94 MB each, stay in --out: --record files results and logs.
"""

import statistics

import numpy as np

from keras_recres import zoo
from training.errors import UserError
from training.fit.watchers import read_kernels, read_steps
from training.ledger import recording
from training.ledger.filing import SUBSET
from training.ledger.summary import FINAL
from training.studies import drawings
from training.studies.forms import Form, columns
from training.studies.study import LEAST, Study

PREFIX = "mnist_resnet50_"
NETWORKS = ("relu_he", "relu_he_uniform", "relu_xavier", "tanh_he", "tanh_xavier")
ALPHAS = ("alpha_relu_he", "alpha_relu_xavier")
NAMES = tuple(f"{PREFIX}{kind}" for kind in (*NETWORKS, *ALPHAS))
SLIDES_ALPHA = 0.1
# Steps at either end of a training whose losses are averaged for "first" and "last".
ENDS = 20
# What the slides plot and don't print.
PLOTTED = "98.5 to 98.7, off a plot"
PLAIN, SIDES = "cifar_plain20", (14, 28)
# What the slides compare, by the ends of the names; He's σ they follow in the first.
FOLLOWED = "relu_he"
COMPARED = {
    "He against Xavier, tanh": ("tanh_he", "tanh_xavier"),
    "He against Xavier, ReLU": ("relu_he", "relu_xavier"),
    "He against Xavier, α-ReLU": ("alpha_relu_he", "alpha_relu_xavier"),
    "He normal against He uniform, ReLU": ("relu_he", "relu_he_uniform"),
}
# Colours apart for every kind of colour vision; lines differ by initialiser too.
COLOURS = {"relu": "#000000", "tanh": "#0072B2", "alpha_relu": "#D55E00", SLIDES_ALPHA: "#CC79A7"}
LINES = {"he_normal": "-", "he_uniform": ":", "glorot_uniform": "--"}


def ends(losses):
    """Mean losses of the first and of the last steps of trainings; (None, None) without any."""
    losses = [found for found in losses if found]
    if not losses:
        return None, None
    return tuple(
        statistics.mean(statistics.mean(found[part]) for found in losses)
        for part in (slice(ENDS), slice(-ENDS, None))
    )


def _losses(runs):
    return [read_steps(run.path / "steps.csv") for run in runs]


def _argument(row, key):
    record = zoo.info(row.form.name)
    return {**record.arguments_of(record.default_tag), **row.form.arguments}.get(key)


def _activation(row):
    if row.form.name == PLAIN:
        return "relu"
    alpha = _argument(row, "alpha")
    return _argument(row, "activation") + ("" if alpha is None else f" {alpha:g}")


def _initializer(row):
    return "he_normal" if row.form.name == PLAIN else _argument(row, "initializer")


def _printed(row):
    if row.form.name == PLAIN:
        return ""
    printed = zoo.info(row.form.name).paper.printed
    if printed is None:
        return PLOTTED
    nan = "" if _argument(row, "alpha") is None else ", loss NaN (α = 0.1; the notebook's)"
    return f"{printed:.2f}{nan}"


def _end(which, digits=3):
    def text(row):
        loss = ends(_losses(row.runs))[which]
        return "" if loss is None else f"{loss:.{digits}f}"

    return text


def _rate(row):
    """Images a second in training, the mean over the seeds; None without any."""
    rates = [m["images_per_second"] for m in row.measured.metrics.values()]
    return statistics.mean(rates) if rates else None


class MnistResnet50(Study):
    examples = (
        "--data-dir DIR",
        "--data-dir DIR --epochs 1 --limit 12800 --precise-bn 60",
        "--names '*alpha*' --report",
    )
    recipe, choose, seeds, first_seed = "mnist_resnet50", "names", 1, 42  # The slides' own seed.
    words, width, endings = 3, 160, (".png", ".svg")
    least = LEAST | {"precise-bn": 0}
    columns = columns(
        "network",
        ("activation", _activation),
        ("initialiser", _initializer),
        ("in the slides, %", _printed),
        ("measured, %", lambda row: row.measured.text(FINAL) or "pending"),
        ("loss of the first steps", _end(0)),
        ("of the last", _end(-1)),
        ("images/s", lambda row: "" if _rate(row) is None else f"{_rate(row):,.0f}"),
        "seeds",
    )
    facts = (
        ("name", lambda row: row.form.label),
        ("activation", lambda row: _activation(row).split()[0]),
        ("alpha", lambda row: str(_argument(row, "alpha") or "")),
        ("initializer", _initializer),
        ("printed_percent", lambda row: str(zoo.info(row.form.name).paper.printed or "")),
        ("first_loss", _end(0, 4)),
        ("last_loss", _end(-1, 4)),
        ("images_per_second", _rate),
    )
    accuracies = (("", FINAL),)

    def options(self, p):
        told = "train nothing: what a linear classifier reads off the untrained networks' features"
        p.add_argument("--memory", action="store_true", help=told)
        told = "as in training.fit: for short trainings, whose moving averages trail behind"
        p.add_argument("--precise-bn", type=int, default=0, metavar="BATCHES", help=told)
        told = "of the images, in pixels (default 28)"
        p.add_argument("--side", type=int, choices=SIDES, default=SIDES[-1], help=told)

    def check(self, a):
        super().check(a)
        if a.memory and a.side != SIDES[-1]:
            raise UserError(f"--memory reads images of 28 pixels, found --side {a.side}.")

    def stem(self, a):
        return "table"

    def picture(self, a):
        return "losses"

    def title(self, a):
        return f"mnist_resnet50, {a.side} × {a.side} pixels: top-1 accuracy on the test set"

    def forms(self, a):
        shape = {"input_shape": [a.side, a.side, 1]}
        whole = a.side == SIDES[-1]
        return [
            *(Form(n, n, n.removeprefix(PREFIX), {} if whole else shape) for n in NAMES),
            *(
                Form(f"{PREFIX}{kind}, alpha {SLIDES_ALPHA}", f"{PREFIX}{kind}",
                     f"{kind}, alpha {SLIDES_ALPHA}", {"alpha": SLIDES_ALPHA})
                for kind in ALPHAS
                if whole
            ),
            # With its shape at 28 pixels, too: on MNIST it has no row of results.
            Form(PLAIN, PLAIN, "plain, 20 layers", shape),
        ]  # fmt: skip

    def claims(self, table, a):
        for what, pair in COMPARED.items():
            labels = [f"{PREFIX}{kind}" for kind in pair]
            if all(label in table for label in labels):
                yield what, table.difference(*labels)
        rates = {label: _rate(row) for label, row in table.items()}
        residual, plain = (rates.get(label) for label in (f"{PREFIX}{FOLLOWED}", PLAIN))
        if residual and plain:
            yield (
                f"An epoch of {FOLLOWED} takes {plain / residual:.1f} times as long as one of "
                f"{PLAIN}; in the slides 24 minutes against 1, on a GPU."
            )
        for seed, epochs in _kernels(table).items():
            first, last = (np.array(list(epochs[e].values())) / 2 for e in (0, max(epochs)))
            low, high = (last / first).min(), (last / first).max()
            yield (
                f"Over He's 2 / fan-in the kernels' variances in {FOLLOWED}, seed {seed}, are "
                f"{first.min():.3f} to {first.max():.3f} before training, and with "
                f"{max(epochs)} epochs done {low:.3f} to {high:.3f} times what they were."
            )

    def main(self, argv=None):
        a = self.parse(argv)
        if not a.memory:
            return super().main(argv)
        from training.studies import mnist_resnet50_memory as memory

        memory.show([run for run in self.runs(a) if run.name != PLAIN], a)
        return 0

    def file(self, runs, a):
        """Files results and logs of finished trainings in the zoo, without weights.

        A training with a limit on the images is filed as another metric, beside which that of a
        whole training finds its place.
        """
        super().file(runs, a)
        said = []
        if not any(run.metrics for run in runs):
            raise UserError("no training is finished: nothing is filed.")
        # A network with other arguments than the zoo's has no name there.
        for label in dict.fromkeys(run.label for run in runs if not run.arguments):
            finished = [run for run in runs if run.label == label and run.metrics]
            if not finished:
                continue
            part = finished[0].metrics["settings"]["limit"] is not None
            metric = f"{SUBSET if part else ''}top1_percent"
            paths = [run.path for run in finished]
            row = recording.record(paths, _note(finished, part), weights=False, metric=metric)
            told = f"{row['value']} {row['metric']}, {row['budget']}"
            said.append(f"filed {row['name']}.{row['tag']}: {told}")
        return said

    def notes(self, table, a):
        said = ["SGD 0.01, batch 32, pixels in [0, 1]."]
        measured = [m for row in table.values() for m in row.measured.metrics.values()]
        if measured:
            first = measured[0]
            count = "1 epoch" if first["epochs"] == 1 else f"{first['epochs']} epochs"
            said.append(
                f"Measured after {count} of {first['train_images']:,} images on "
                f"{first['eval_images']:,} test images; the slides' are after 5 epochs of 60,000."
            )
            if first["settings"]["limit"] is not None:
                said.append("It tells that all of these train, and does not rank them.")
        said.append(
            f"The losses are those of training batches, means of the first and of the last {ENDS} "
            "steps. In the authors' notebook that of α-ReLU was NaN from the first batch on."
        )
        return " ".join(said)

    def draw(self, table, path, a):
        """The losses against the steps, and He's σ² of one network by layer and epoch."""
        with drawings.figure(path, (13, 4.6), 1, 2, endings=self.endings) as (_, (left, right)):
            _draw_losses(table, left)
            for epochs in _kernels(table).values():
                for epoch, kernels in sorted(epochs.items()):
                    scaled = np.array(list(kernels.values())) / 2
                    right.plot(scaled, color=f"C{epoch}", label=f"epochs done: {epoch}")
            right.set(
                xlabel="layer",
                ylabel="variance of the kernel · fan-in / 2",
                title=f"He's σ² during training, {FOLLOWED}",
            )
            right.grid(alpha=0.3)
            if right.lines:
                right.legend(frameon=False, fontsize=9)


def _kernels(table):
    """Of the network that is followed, {seed: {epochs: {kernel: variance times fan-in}}}."""
    row = table.get(f"{PREFIX}{FOLLOWED}")
    found = {run.seed: read_kernels(run.path / "kernels.csv") for run in row.runs} if row else {}
    return {seed: epochs for seed, epochs in found.items() if epochs}


def _draw_losses(table, axes):
    for row in table.values():
        if row.form.name == PLAIN:
            continue
        for i, losses in enumerate(found for found in _losses(row.runs) if found):
            width = min(ENDS, len(losses))
            smooth = np.convolve(losses, np.full(width, 1 / width), mode="valid")
            colour = COLOURS[_argument(row, "activation")]
            axes.plot(
                np.arange(len(smooth)) + width,
                smooth,
                LINES[_argument(row, "initializer")],
                color=COLOURS.get(_argument(row, "alpha"), colour),
                linewidth=1.4,
                label=None if i else row.form.what,
            )
    chance = np.log(10)
    axes.axhline(chance, color="grey", linewidth=0.8)
    axes.annotate("guessing", (0.99, chance), xycoords=("axes fraction", "data"), ha="right")
    axes.set(
        xlabel="training step, 32 images each",
        ylabel=f"loss, mean of {ENDS} steps",
        yscale="log",
        title="ResNet-50 on MNIST with the slides' recipe",
    )
    axes.grid(alpha=0.3, which="both")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _note(finished, part):
    said = ["a trial on part of the training set, not the slides' recipe"] if part else []
    if precise := finished[0].metrics["settings"].get("precise_bn"):
        said.append(f"batch statistics averaged anew over {precise} training batches")
    record = zoo.info(finished[0].name)
    if "alpha" in record.arguments:
        alpha = record.arguments_of(record.default_tag)["alpha"]
        said.insert(0, f"alpha {alpha:g}, the slides' was {record.arguments['alpha']:g}")
    first, last = ends(_losses(finished))
    if first is not None:
        said.append(f"loss {first:.2f} in the first {ENDS} steps, {last:.2f} in the last")
    return "; ".join([*said, "weights are not kept"])


STUDY = MnistResnet50()
