"""Films of two digits, continued by convolutional LSTMs and by LSTMs that see all pixels at once.

The task of arXiv 1506.04214, section 4.1, in half its size: films of 32 × 32 pixels, each the mean
of four of a film drawn from MNIST's digits, ten frames to read and ten to tell. A ConvLSTM of 32
maps with peepholes and without, patches of 4 × 4 pixels and filters of 3 × 3, against an FC-LSTM
with twenty times the parameters. The cross-entropy is counted as in its table 1, nats a film,
the sum over all pixels of the ten frames; since these are other films and sizes, its numbers are
not the paper's.
"""

import numpy as np

from training.studies import drawings, sequences
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted

SIDE, FRAMES, BATCH, RATE, TESTED = 32, 20, 16, 2e-3, 500
CONV = {"filters": (32,), "kernel_size": 3, "patch_size": 4}
FORMS = {
    "peepholes": ("ConvLSTM with peepholes", {**CONV, "peephole": "channel"}),
    "plain": ("ConvLSTM without", {**CONV, "peephole": None}),
    "fc": (
        "FC-LSTM",
        {"filters": (256,), "kernel_size": 1, "patch_size": SIDE, "read_out": "last"},
    ),
}


class MovingMnist(TrainedHere):
    examples = ("--data-dir DIR", "--data-dir DIR --limit 64 --epochs 1", "--report")
    common, epochs = ("seeds", "epochs", "data-dir", "limit", "report", "out"), 5
    key, unit = "nats", "nats a film"
    seeds = 2
    least = LEAST | {"limit": BATCH}
    columns = columns(
        "network",
        ("parameters", counted),
        ("cross-entropy, nats a film", lambda row: row.measured.text("nats")),
        "seeds",
    )

    def title(self, a):
        return f"Moving digits of {SIDE} × {SIDE} pixels, {a.epochs} epochs"

    def forms(self, a):
        return [Form(label, "", what, more) for label, (what, more) in FORMS.items()]

    def learn(self, form, seed, a, path):
        import keras

        seen, to_come = films("train", a.limit or 2000, a)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model = network(**form.arguments)
        whole = len(seen) // BATCH * BATCH
        sequences.learn(
            model, seen[:whole], to_come[:whole], loss, RATE, 1.0, batch=BATCH, epochs=a.epochs
        )
        new, answers = films("test", min(a.limit or TESTED, TESTED), a)
        logits = model.predict(new, batch_size=50, verbose=0)
        np.savez_compressed(path / "film.npz", seen=new[0], to_come=answers[0], told=logits[0])
        return {"nats": nats(logits, answers), "parameters": model.count_params()}

    def claims(self, table, a):
        yield from self.compared(table, "ConvLSTM against FC-LSTM", "peepholes", "fc")
        yield from self.compared(table, "Peepholes against none", "peepholes", "plain")
        pixels = FRAMES // 2 * SIDE**2
        yield f"Telling one half everywhere costs {np.log(2) * pixels:,.0f} nats a film."

    def draw(self, table, path, a):
        """Frames of one film to come, and what each network tells of them."""
        kept = {
            row.form.what: np.load(run.path / "film.npz")
            for row in table.values()
            for run in row.runs[:1]
            if (run.path / "film.npz").exists()
        }
        if not kept:
            return
        shown = {"to come": next(iter(kept.values()))["to_come"]}
        shown |= {what: 1 / (1 + np.exp(-film["told"])) for what, film in kept.items()}
        columns = FRAMES // 2
        size = (1.1 * columns, 1.3 * len(shown))
        with drawings.figure(path, size, len(shown), columns, squeeze=False) as (_, axes):
            for line, (what, frames) in zip(axes, shown.items(), strict=True):
                for axis, frame in zip(line, frames, strict=True):
                    axis.imshow(frame[..., 0], cmap="gray", vmin=0, vmax=1)
                    axis.set(xticks=[], yticks=[])
                line[0].set_ylabel(what, fontsize=7)


def films(split, count, a):
    """The frames that are seen and those to come, float32 (count, 10, 32, 32, 1) of 0 to 1."""
    from training import data
    from training.data import moving_mnist

    digits = data.load("mnist", split, a.data_dir).images
    # Half precision has room for them at their whole size.
    found = moving_mnist.films(digits, count, int(split == "test"), FRAMES, dtype="float16")
    shape = (count, FRAMES // 2, SIDE, 2, SIDE, 2, 1)
    return tuple(half.reshape(shape).mean((3, 5), dtype="float32") for half in found)


def network(**arguments):
    """A `conv_lstm_forecaster` of these films."""
    from keras_recres import models

    return models.conv_lstm_forecaster(input_shape=(FRAMES // 2, SIDE, SIDE, 1), **arguments)


def nats(logits, answers):
    """Binary cross-entropy, the sum over a film's pixels, the mean over films."""
    z = logits.astype("float64")
    loss = np.logaddexp(0, z) - answers * z
    return float(loss.reshape(len(z), -1).sum(1).mean())


STUDY = MovingMnist()
