"""Recurrent networks on IMDB reviews, with F1 as high as it goes, against NB-SVM with bigrams.

Every network learns 22,500 of the 25,000 reviews; on the other 2,500 its epoch and the threshold of
its F1 are chosen and filed. `--final` then reads the test set, once a training, and measures there
what was chosen. NB-SVM learns all 25,000, its C from five-fold cross-validation on them. Beside it
are Keras' example with its LSTM as it is, the cells of `training/recipes/imdb.py`, and a Bi-LSTM
that sees naive Bayes' ratios of words and pairs (`training/studies/recurrent_text_nets.py`), with
the sum of these alone as its control. No other text is read; the vocabulary, the most frequent
words, is that of the 25,000.
"""

import json
import sys
import time

import numpy as np

from training.errors import UserError
from training.files import replacing, write_aside
from training.studies import drawings
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere, counted, is_finished

BEST, ALONE, LINEAR = "nb_bilstm", "nb_sum", "nb_svm"
CELLS = {
    "elman": "Elman's network",
    "lstm": "LSTM",
    "gru": "GRU",
    "peephole_lstm": "LSTM with peepholes",
    "bilstm": "Bi-LSTM",
    "dense_bilstm": "four dense Bi-LSTMs",
    "array_lstm": "array LSTM, two lanes",
    "attention": "Bi-LSTM, window of attention",
}
RECIPE = {"epochs": 4, "batch": 64, "rate": 2e-3, "schedule": "cosine", "clip": 1.0}
# Of keras.io's imdb_lstm: 80 words, 15 epochs of Adam.
EXAMPLE = {"epochs": 15, "batch": 32, "rate": 1e-3, "schedule": "constant", "clip": 0.0}
HELD_OUT = 0.1
HELD, TEST = "held_out_f1", "test_f1"
RESAMPLES = 1000


def _of(key):
    return lambda row: row.measured.text(key)


class RecurrentText(TrainedHere):
    examples = (
        "--data-dir DIR",
        f"--data-dir DIR --arms {BEST} {LINEAR}",
        "--data-dir DIR --final",
    )
    common, key = ("seeds", "data-dir", "limit", "report", "out"), HELD
    least = LEAST | {"limit": 100}
    columns = columns(
        "network",
        ("parameters", counted),
        ("held-out F1, %", _of(HELD)),
        ("test F1, %", _of(TEST)),
        ("test accuracy, %", _of("test_accuracy")),
        "seeds",
    )

    def options(self, p):
        told = "read the test set: once a training, after its epoch and threshold are filed"
        p.add_argument("--final", action="store_true", help=told)

    def title(self, a):
        return "IMDB reviews"

    def forms(self, a):
        return [
            Form("keras", "", "Keras' example, LSTM of 128", how=EXAMPLE, seeds=1),
            *(Form(k, f"{k}_imdb", what, how=RECIPE, seeds=1) for k, what in CELLS.items()),
            Form(ALONE, "", "the sum of NB's ratios alone", how=RECIPE, seeds=1),
            Form(BEST, "", "Bi-LSTM and NB's ratios", how=RECIPE),
            Form(LINEAR, "", "NB-SVM with bigrams", seeds=1),
        ]

    def settings(self, form, a):
        return {**form.how, "limit": a.limit}

    def main(self, argv=None):
        a = self.parse(argv)
        if a.final and a.report:
            raise UserError("--final measures, and --report does not: give one of them.")
        return super().main(argv)

    def train(self, runs, a):
        if not a.final:
            super().train(runs, a)
            return
        self.report(runs, a)
        forms = {form.label: form for form in self.chosen(a)}
        for run in runs:
            if is_finished(run) and not (run.path / "final.json").exists():
                read_test(forms[run.label], run, a)
                print(f"{run}: the test set was read", file=sys.stderr, flush=True)

    def learn(self, form, seed, a, path):
        reviews = _reviews("train", a)
        learnt, held = parts(len(reviews))
        texts, labels = reviews.images, np.asarray(reviews.labels)
        if form.label == LINEAR:
            return linear(texts, labels, learnt, held, path)
        model, make = build(form)
        x, new = make(_pick(texts, learnt), labels[learnt], _pick(texts, held))
        return fit(model, form.how, seed, x, labels[learnt], new, labels[held], path)

    def table(self, runs, a):
        table = super().table(runs, a)
        for run in runs:
            if run.metrics and (run.path / "final.json").exists():
                final = json.loads((run.path / "final.json").read_text(encoding="utf-8"))
                table[run.label].measured.metrics[run.seed].update(final)
        if any(TEST in m for row in table.values() for m in row.measured.metrics.values()):
            table.key = TEST
            table.cells = table.cells_of(table)
        return table

    def claims(self, table, a):
        where = "the test set" if table.key == TEST else "the held-out reviews, which chose it"
        words = "points of F1", "higher", "lower"
        for what, one, other in (
            ("The best network against NB-SVM", BEST, LINEAR),
            ("What its recurrence adds to the sum", BEST, ALONE),
            ("What NB's ratios add to the Bi-LSTM", BEST, "bilstm"),
            ("The Bi-LSTM against Keras' example", "bilstm", "keras"),
        ):
            if one in table and other in table:
                yield f"{what}, F1 on {where}", table.difference(one, other), *words
        finals = {
            label: [run.path for run in row.runs if (run.path / "test.npz").exists()]
            for label, row in table.items()
        }
        if finals.get(BEST) and finals.get(LINEAR):
            yield from ensembles(finals[BEST], finals[LINEAR][0])

    def notes(self, table, a):
        said = [
            "Errors are from the seeds of the best network; NB-SVM and the others have one each.",
            "Epoch and threshold are those of the highest F1 on the held-out reviews.",
        ]
        if a.limit:
            said.append(f"A trial: only {a.limit:,} reviews of each split were used.")
        return said

    def draw(self, table, path, a):
        """F1 of each seed, a line a network, beside NB-SVM's."""
        with drawings.figure(path, (8, 1.2 + 0.4 * len(table))) as (_, axes):
            for place, row in enumerate(reversed(table.values())):
                values = list(row.measured.values(table.key).values())
                axes.plot(values, [place] * len(values), "o", color=drawings.BLUE)
            if LINEAR in table and table.cells.values[LINEAR]:
                axes.axvline(table.cells.values[LINEAR][0], color=drawings.ORANGE, linewidth=1)
            axes.set_yticks(range(len(table)), [row.form.what for row in reversed(table.values())])
            where = "test set" if table.key == TEST else "held-out reviews"
            axes.set(xlabel=f"F1 on the {where}, %: each seed; the line is NB-SVM's")
            axes.grid(alpha=0.3)


def _reviews(split, a):
    from training import data

    return data.load("imdb_reviews", split, a.data_dir, limit=a.limit)


def parts(count):
    """Numbers of the reviews to learn and of those held out, the same for every training."""
    order = np.random.default_rng(0).permutation(count)
    held = round(HELD_OUT * count)
    return np.sort(order[held:]), np.sort(order[:held])


def _pick(texts, numbers):
    return [texts[i] for i in numbers]


def build(form):
    """An untrained network, and what makes its inputs.

    Args:
        form: one of the study's `Form`.

    Returns:
        The model, and a function of texts to learn, their labels and other texts that returns what
        the network takes of either.
    """
    from keras_recres import models, zoo
    from keras_recres.zoo.text import TextPreprocessing
    from training.studies import recurrent_text_nets as nets

    if form.label in (BEST, ALONE):
        words = TextPreprocessing("imdb_reviews", 20_000, 400)

        def make(texts, labels, others):
            ids, new = (nets.hashed(some, words.length) for some in (texts, others))
            ratios = nets.cross_ratios(ids, labels), nets.log_ratios(ids, labels)[new]
            return [words.numbers(texts), ids, ratios[0]], [words.numbers(others), new, ratios[1]]

        return nets.network(form.label == BEST), make
    if form.name:
        model = zoo.build(form.name)
        words = model.preprocess
    else:
        model, words = models.text_classifier(), TextPreprocessing("imdb_reviews", 20_000, 80)
    return model, lambda texts, labels, others: (words.numbers(texts), words.numbers(others))


def fit(model, how, seed, x, labels, new, new_labels, path):
    """Trains a network, and keeps the weights of the epoch with the highest held-out F1.

    Args:
        model: as `build` makes it.
        how: `RECIPE` or its like.
        seed: of the order of the reviews.
        x: its inputs to learn.
        labels: array of 0 and 1.
        new: the held-out inputs.
        new_labels: theirs.
        path: the training's folder.

    Returns:
        A dict for metrics.json, with the epoch and the threshold that were chosen.
    """
    import keras

    from training.fit import optimizers
    from training.fit.models import compile_model, save_weights

    steps = len(labels) // how["batch"]
    end = optimizers.SCHEDULES[how["schedule"]]
    rate = optimizers.schedule(steps * how["epochs"], steps // 10, how["rate"], end)
    compile_model(model, optimizers.make(model, "adamw", rate, clip_norm=how["clip"]))
    whole, epochs, began = steps * how["batch"], [], time.perf_counter()
    for epoch in range(how["epochs"]):
        numbers = np.random.default_rng((seed, epoch)).permutation(len(labels))[:whole]
        batch = _rows(x, numbers)
        answers = keras.utils.to_categorical(labels[numbers], 2)
        model.fit(batch, answers, how["batch"], shuffle=False, verbose=0)
        z = scores(model, new)
        threshold, f1 = best_threshold(z, new_labels)
        accuracy = float(np.mean((z > threshold) == new_labels))
        seconds = round(time.perf_counter() - began, 1)
        row = {"threshold": threshold, HELD: f1, "held_out_accuracy": accuracy}
        epochs.append({**row, "seconds": seconds})
        if f1 == max(row[HELD] for row in epochs):
            save_weights(model, path / "best.weights.h5")
            _keep(path / "held_out.npz", z=z, labels=new_labels)
            chosen = {"epoch": epoch, **epochs[-1]}
    return {**chosen, "by_epoch": epochs, "parameters": model.count_params()}


def _rows(x, numbers):
    return [part[numbers] for part in x] if isinstance(x, list) else x[numbers]


def scores(model, x):
    """The logit of the label 1, log p / (1 − p), of each of a network's inputs."""
    logits = model.predict(x, batch_size=250, verbose=0)
    return logits[:, 1] - logits[:, 0]


def linear(texts, labels, learnt, held, path):
    """NB-SVM: its C by cross-validation on all reviews, its threshold 0; a dict as of `fit`."""
    from training.studies import nb_svm

    x, _ = nb_svm.presence(texts)
    found = nb_svm.cross_validate(x, labels)
    constant = max(found, key=lambda c: found[c][0])
    z = nb_svm.decide(x[learnt], labels[learnt], x[held], constant)
    _keep(path / "held_out.npz", z=z, labels=labels[held])
    return {
        "C": constant,
        "threshold": 0.0,
        HELD: f1_of(z > 0, labels[held]),
        "held_out_accuracy": float(np.mean((z > 0) == labels[held])),
        "cross_validated": {str(c): share for c, share in found.items()},
        "parameters": x.shape[1] + 1,
    }


def read_test(form, run, a):
    """Measures one training on the test set, as it was chosen, into its folder."""
    reviews, new = _reviews("train", a), _reviews("test", a)
    texts, labels, found = reviews.images, np.asarray(reviews.labels), {}
    learnt, _ = parts(len(reviews))
    if form.label == LINEAR:
        from training.studies import nb_svm

        x, y = nb_svm.presence(texts, new.images)
        z = nb_svm.decide(x, labels, y, run.metrics["C"])
        # For ensembles, of what the held-out reviews are new to as well.
        found["part"] = nb_svm.decide(x[learnt], labels[learnt], y, run.metrics["C"])
    else:
        model, make = build(form)
        _, y = make(_pick(texts, learnt), labels[learnt], new.images)
        model.load_weights(run.path / "best.weights.h5")
        z = scores(model, y)
    answers, right = np.asarray(new.labels), z > run.metrics["threshold"]
    _keep(run.path / "test.npz", z=z, labels=answers, **found)
    final = {TEST: f1_of(right, answers), "test_accuracy": float(np.mean(right == answers))}
    write_aside(run.path / "final.json", json.dumps(final, indent=1) + "\n")


def _keep(path, **arrays):
    with replacing(path) as aside:
        np.savez_compressed(aside, **arrays)


def f1_of(positive, labels):
    """F1 of the label 1 in percent: 2 TP / (2 TP + FP + FN)."""
    true = np.sum(positive & (labels == 1))
    return float(200 * true / max(1, np.sum(positive) + np.sum(labels == 1)))


def best_threshold(z, labels):
    """The threshold of the highest F1, between two of the scores, and that F1 in percent."""
    order = np.argsort(-z)
    true = np.cumsum(labels[order] == 1)
    f1 = 200 * true / (np.arange(1, len(z) + 1) + np.sum(labels == 1))
    last = int(np.argmax(f1))
    below = z[order[min(last + 1, len(z) - 1)]]
    return float((z[order[last]] + below) / 2), float(f1[last])


def ensembles(paths, other):
    """Sentences on the mean of a network's seeds, with and without NB-SVM, against NB-SVM.

    Args:
        paths: folders of the network's trainings.
        other: that of NB-SVM.
    """
    held, test, linear_held, linear_test = (
        [np.load(path / f"{name}.npz") for path in some]
        for some in (paths, [other])
        for name in ("held_out", "test")
    )
    labels = test[0]["labels"]
    z, new = (np.mean([found["z"] for found in some], axis=0) for some in (held, test))
    # At one spread, so that either counts as much.
    scale = np.std(z) / np.std(linear_held[0]["z"])
    both = z + scale * linear_held[0]["z"], new + scale * linear_test[0]["part"]
    for what, (chosen_on, measured_on) in {
        f"The mean of {len(paths)} seeds": (z, new),
        "The same and NB-SVM, summed at one spread": both,
    }.items():
        threshold, _ = best_threshold(chosen_on, held[0]["labels"])
        positive = measured_on > threshold
        low, high = resampled(positive, linear_test[0]["z"] > 0, labels)
        yield (
            f"{what}, an ensemble: F1 {f1_of(positive, labels):.2f} %, accuracy "
            f"{100 * np.mean(positive == labels):.2f} %; F1 minus NB-SVM's, 95 % interval over the "
            f"test reviews {low:+.2f} to {high:+.2f} points."
        )


def resampled(positive, other, labels):
    """The middle 95 % of the difference of two F1, in percent, over reviews drawn again."""
    rng, found = np.random.default_rng(0), []
    for _ in range(RESAMPLES):
        drawn = rng.integers(0, len(labels), len(labels))
        found.append(f1_of(positive[drawn], labels[drawn]) - f1_of(other[drawn], labels[drawn]))
    return np.quantile(found, [0.025, 0.975])


STUDY = RecurrentText()
