"""Steps that solve larger problems: prefix sums of up to 512 bits, learnt on 32.

Bansal et al., arXiv 2202.05826: a block that sees the problem again at every step, trained to go on
from wherever the steps before led, solves larger problems with more steps. Beside it, with the same
data and as many batches: the network whose steps have weights of their own, one that does not see
the problem again, one that is always trained for its 30 steps, and both of the first and the last,
which is a plain network of as much computation. The same for mazes (--problem mazes).
"""

import contextlib
import csv

import numpy as np

from training.studies import drawings
from training.studies.forms import Form
from training.studies.study import Study

PROBLEMS = {
    # Its network, recipe, and for each size how many examples are measured.
    "prefix_sums": ("prefix_sum_rec", "deep_thinking", {32: 200, 64: 200, 128: 100, 512: 25}),
    "mazes": ("maze_rec", "mazes", {11: 200, 21: 100, 33: 50, 59: 25}),
}
STEPS = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480)
ALL = ("recall", "block0_conv1", "block0_conv2", "block1_conv1", "block1_conv2")
COLUMNS = ("arm", "seed", "size", "steps", "examples", "right")
USED = ("arm", "seed", "size", "example", "steps_used")


class DeepThinking(Study):
    examples = ("--seeds 1", "--report --arms recurrent untied", "--problem mazes")
    choose = "arms"
    # Nothing is adopted: what is measured needs weights, which are not filed.
    common = tuple(option for option in Study.common if option != "adopt")

    def options(self, p):
        p.add_argument("--problem", choices=PROBLEMS, default="prefix_sums")

    def recipe_of(self, a):
        return PROBLEMS[a.problem][1]

    def folder(self, a):
        return a.problem

    stem = folder

    def forms(self, a):
        name, own = PROBLEMS[a.problem][0], {"unshare": ALL}
        # The first has all seeds, the others one: they show what fails, not by how much.
        return [
            Form("recurrent", name, "one block, steps drawn, the problem seen again"),
            Form("untied", name, "every step its own weights", own, seeds=1),
            Form("no_recall", name, "the problem seen once", {"recall": False}, seeds=1),
            Form("fixed", name, "always 30 steps in training", how={"steps": 30}, seeds=1),
            Form("feed_forward", name, "30 layers, no recurrence", own, {"steps": 30}, seeds=1),
        ]

    def tell(self, runs, a):
        sizes = PROBLEMS[a.problem][2]
        parts = [measured(run, a.problem, sizes) for run in runs if run.metrics]
        if parts:
            found, used = ([row for part in parts for row in part[i]] for i in (0, 1))
            self.show(found, used, a)

    def show(self, found, used, a):
        """Prints the table of what was measured; writes it and the picture.

        Args:
            found: rows of `COLUMNS`, dicts.
            used: rows of `USED`.
            a: the arguments.
        """
        arms, sizes = self.chosen(a), sorted({row["size"] for row in found})
        lines = []
        for arm in arms:
            rows = [row for row in found if row["arm"] == arm.label]
            seeds = str(len({row["seed"] for row in rows}) or "")
            cells = (_best([r for r in rows if r["size"] == size]) for size in sizes)
            lines.append((arm.what, seeds, *cells))
        said = (
            "Whole problems right, with the number of steps of "
            f"{', '.join(map(str, STEPS))} that is best for the size (in brackets)."
        )
        heads = ("network", "seeds", *(f"{size}, %" for size in sizes))
        self.publish(a, heads, {f"{a.problem}, learnt on {sizes[0]}": lines}, [said])
        draw(found, used, arms, a.out / f"{a.problem}.png")


def measured(run, problem, sizes):
    """How many problems of each size a training's network solves after how many steps.

    It is measured once, and read from the training's folder then.

    Args:
        run: a finished `training.jobs.many_runs.Run`.
        problem: a name of `PROBLEMS`.
        sizes: {size: examples}.

    Returns:
        Rows of `COLUMNS`, dicts, and of `USED`: when exit_threshold ended each example.
    """
    files = run.path / "by_steps.csv", run.path / "steps_used.csv"
    if not all(file.exists() for file in files):
        rows = [[], []]
        for size, count in sizes.items():
            for kind, more in zip(rows, _measure(run, problem, size, count), strict=True):
                kind += [{"arm": run.label, "seed": run.seed, "size": size, **row} for row in more]
        for file, columns, some in zip(files, (COLUMNS, USED), rows, strict=True):
            with open(file, "w", newline="", encoding="utf-8") as out:
                writer = csv.DictWriter(out, columns)
                writer.writeheader()
                writer.writerows(some)
    return tuple(_read(file) for file in files)


def _read(file):
    with open(file, newline="", encoding="utf-8") as lines:
        return [
            {key: value if key == "arm" else int(value) for key, value in row.items()}
            for row in csv.DictReader(lines)
        ]


def _measure(run, problem, size, count):
    import keras

    from keras_recres import backend, zoo
    from keras_recres.zoo import problems
    from training.console import progress_bar
    from training.fit.trainee import recurrent_blocks

    split = problems.read(f"{problem}/{size}", "test", count)
    open_shape = (*(None,) * (split.data.ndim - 2), split.data.shape[-1])
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in run.arguments.items()}
    model = zoo.build(run.name, input_shape=open_shape, **arguments)
    model.load_weights(next(run.path.glob("*.weights.h5")))
    (block,) = recurrent_blocks(model)
    # In pieces, since a layer that is called twice in one model returns as much both times.
    before, after = keras.Model(model.input, block.input), keras.Model(block.output, model.output)
    right, used = dict.fromkeys(STEPS, 0), []
    # Called by itself a layer would keep what gradients need, of hundreds of steps.
    with (
        backend.no_gradients() or contextlib.nullcontext(),
        progress_bar(f"{run}: {problem} of {size}", count) as advance,
    ):
        # As many at once as have 200 megabytes of states.
        at_once = max(1, int(5e7 / (max(STEPS) * split.data[0, ..., 0].size * 32)))
        for start in range(0, count, at_once):
            x0 = before(split.data[start : start + at_once].astype("float32"))
            labels = split.labels[start : start + at_once]
            states, taken = block(
                x0, steps=max(STEPS), return_states=True, return_steps_used=True, training=False
            )
            used += keras.ops.convert_to_numpy(taken).tolist()
            for steps in STEPS:
                logits = keras.ops.convert_to_numpy(after(states[steps - 1]))
                answers = (logits.argmax(-1) == labels).reshape(len(labels), -1)
                right[steps] += int(answers.all(axis=1).sum())
            advance(len(labels))
    rows = [{"steps": steps, "examples": count, "right": n} for steps, n in right.items()]
    return rows, [{"example": i, "steps_used": n} for i, n in enumerate(used)]


def _best(rows):
    """The largest share that is right, over all seeds, and after how many steps."""
    share = {}
    for steps in {row["steps"] for row in rows}:
        some = [row for row in rows if row["steps"] == steps]
        share[steps] = sum(r["right"] for r in some) / sum(r["examples"] for r in some)
    if not share:
        return "pending"
    best = max(share.values())
    return f"{100 * best:.1f} ({min(s for s in share if share[s] == best)})"


def draw(found, used, arms, path):
    """Steps taken against size, and accuracy against steps for each size and arm."""
    columns = min(3, 1 + len(arms))
    rows = -(-(1 + len(arms)) // columns)
    size = 3.6 * columns, 3.4 * rows
    with drawings.figure(path, size, rows, columns, squeeze=False) as (_, grid):
        axes = grid.ravel()
        for axis in axes[1 + len(arms) :]:
            axis.remove()
        axes = axes[: 1 + len(arms)]
        sizes = sorted({row["size"] for row in found})
        taken = [
            [r["steps_used"] for r in used if r["size"] == size and r["arm"] == arms[0].label]
            for size in sizes
        ]
        kept = [(s, t) for s, t in zip(sizes, taken, strict=True) if t]
        for size, steps in kept:
            axes[0].plot([size] * len(steps), steps, "o", color="#0072B2", alpha=0.05)
        axes[0].plot(*zip(*((s, np.median(t)) for s, t in kept), strict=True), "-", color="#D55E00")
        axes[0].set(
            xlabel="size of the problem",
            ylabel=f"steps until the state rests; {max(STEPS)}: it did not",
            title=f"{arms[0].label}: when it rests",
        )
        for axis, arm in zip(axes[1:], arms, strict=True):
            for size in sizes:
                rows = [r for r in found if r["arm"] == arm.label and r["size"] == size]
                right, examples = (
                    np.array([sum(r[key] for r in rows if r["steps"] == steps) for steps in STEPS])
                    for key in ("right", "examples")
                )
                if rows:
                    axis.plot(STEPS, 100 * right / examples, "o-", markersize=3, label=str(size))
            axis.set(xlabel="steps", ylabel="whole problems right, %")
            axis.set(title=arm.what.replace(", ", ",\n"), ylim=(-3, 103), xscale="log")
            if axis.lines:
                axis.legend(title="size", fontsize="small", framealpha=0.5)
        for axis in axes:
            axis.grid(alpha=0.3)


STUDY = DeepThinking()
