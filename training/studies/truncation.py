"""Truncated backpropagation in time: what gradients of k steps learn, and what memory they take.

An LSTM of 64 units tells at each of 64 steps which of four symbols came 8 steps before. Its
gradient flows back to the last multiple of k alone (`Recurrent(truncate=k)`), so that for k ≤ 8 no
answer's gradient reaches its cause; what is right then is what untrained states keep. The memory of
a training step is that of `truncate` on the whole sequence, and that of windows of k steps that
carry their states on (`stateful=True`), each in a process of its own, for an LSTM of 128 units, 512
steps and 256 sequences at once.
"""

from training.ledger.summary import FINAL
from training.studies import drawings, sequences, truncation_memory
from training.studies.forms import Form, columns
from training.studies.study import LEAST
from training.studies.trained_here import TrainedHere

UNITS, STEPS, DELAY, RATE = 64, 64, 8, 4e-3
KS = (1, 2, 4, 8, 12, 16, 32, 64)
WAYS = {"whole": "whole sequence, MB", "windows": "windows, MB"}
TESTED = 500


def _memory(way):
    def text(row):
        found = [m[way] for m in row.measured.metrics.values() if way in m]
        return f"{found[0]:,.0f}" if found else ""

    return text


class Truncation(TrainedHere):
    examples = ("", "--updates 20 --arms 8 64 --no-memory", "--report")
    seeds = 2
    least = LEAST | {"updates": 1}
    columns = columns(
        "k",
        ("right, %", lambda row: row.measured.text(FINAL)),
        *((heading, _memory(way)) for way, heading in WAYS.items()),
        "seeds",
    )

    def options(self, p):
        told = "training steps of 32 sequences (default 2000)"
        p.add_argument("--updates", type=int, default=2000, help=told)
        p.add_argument("--no-memory", action="store_true", help="do not measure memory")

    def title(self, a):
        return f"An echo of {DELAY} steps, gradients of k steps"

    def forms(self, a):
        return [Form(str(k), "", str(k)) for k in KS]

    def settings(self, form, a):
        return {"updates": a.updates, "memory": not a.no_memory}

    def learn(self, form, seed, a, path):
        import numpy as np

        k = int(form.label)
        model = truncation_memory.network(STEPS, UNITS, truncate=k)
        task = STEPS, DELAY, truncation_memory.SYMBOLS
        x, y = sequences.echo(a.updates * sequences.BATCH, *task, seed)
        loss = sequences.learn(model, x, y, truncation_memory.cross_entropy(), RATE, 1.0)
        new, answers = sequences.echo(TESTED, *task, (seed, 1))
        right = model.predict(new, batch_size=250, verbose=0).argmax(-1) == answers
        found = {FINAL: float(np.mean(right[:, DELAY:])), "loss": loss}
        if seed == self.first_seed and not a.no_memory:
            found |= {way: truncation_memory.measured(way, k) for way in WAYS}
        return {**found, "parameters": model.count_params()}

    def claims(self, table, a):
        for what, one, other in (
            ("Gradients of twice the delay against all steps", 16, 64),
            ("Gradients of half more than the delay against those of the delay", 12, 8),
            ("Gradients of the delay against those of one step", 8, 1),
        ):
            yield from self.compared(table, f"{what}, k = {one} and {other}", str(one), str(other))
        first, last = (
            [row.measured.metrics.get(self.first_seed, {}) for row in table.values()][i]
            for i in (0, -1)
        )
        for way, heading in WAYS.items():
            if way in first and way in last:
                ks = list(table)
                yield (
                    f"Memory of the {heading.removesuffix(', MB')}: {first[way]:,.0f} MB at k = "
                    f"{ks[0]}, {last[way]:,.0f} MB at k = {ks[-1]} (one process each)."
                )

    def draw(self, table, path, a):
        """Accuracy and memory against k."""
        with drawings.figure(path, (10, 4), 1, 2) as (_, (left, right)):
            drawings.seeds_at(left, table, lambda row: int(row.form.label))
            if left.lines:
                left.get_legend().remove()  # It would say what stands below.
            left.axvline(DELAY, color=drawings.ORANGE, linewidth=1)
            left.set(ylabel="right, %; the line is the delay")
            for way, heading in WAYS.items():
                points = [
                    (int(row.form.label), m[way])
                    for row in table.values()
                    for m in row.measured.metrics.values()
                    if way in m
                ]
                if points:
                    right.plot(*zip(*points, strict=True), "o-", label=heading)
            right.set(ylabel="memory of a training step, MB")
            for axis in (left, right):
                axis.set(xlabel="k, steps that gradients flow back")
                drawings.logarithmic(axis, KS)
                axis.grid(alpha=0.3)
            if right.lines:
                right.legend()


STUDY = Truncation()
