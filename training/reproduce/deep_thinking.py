"""Steps that solve larger problems: prefix sums of up to 512 bits, learnt on 32.

Bansal et al., arXiv 2202.05826: a block that sees the problem again at every step, trained to go on
from wherever the steps before led, solves larger problems with more steps. Beside it, with the same
data and as many batches: the network whose steps have weights of their own, one that does not see
the problem again, one that is always trained for its 30 steps, and both of the first and the last,
which is a plain network of as much computation. The same for mazes (--problem mazes).
"""

import argparse
import contextlib
import csv
import dataclasses
from pathlib import Path

import numpy as np

from training import recipes
from training.errors import UserError
from training.jobs import many_runs
from training.reproduce import cifar_tables, tables

PROBLEMS = {
    # Its network, recipe, and for each size how many examples are measured.
    "prefix_sums": ("prefix_sum_rec", "deep_thinking", {32: 200, 64: 200, 128: 100, 512: 25}),
    "mazes": ("maze_rec", "mazes", {11: 200, 21: 100, 33: 50, 59: 25}),
}
STEPS = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480)
ALL = ("recall", "block0_conv1", "block0_conv2", "block1_conv1", "block1_conv2")
COLUMNS = ("arm", "seed", "size", "steps", "examples", "right")
USED = ("arm", "seed", "size", "example", "steps_used")


@dataclasses.dataclass(frozen=True)
class Arm:
    """One arm of the comparison.

    Attributes:
        label: what it is called in folders.
        what: what it is, in words.
        arguments: builder arguments that replace the zoo's.
        how: options of `training.fit` beside the recipe's.
    """

    label: str
    what: str
    arguments: dict = dataclasses.field(default_factory=dict, hash=False)
    how: dict = dataclasses.field(default_factory=dict, hash=False)

    def run(self, seed, a):
        """Its training."""
        name, recipe, _ = PROBLEMS[a.problem]
        known = recipes.load(recipe)
        return many_runs.Run(
            label=self.label,
            name=name,
            seed=seed,
            path=a.out / a.problem / self.label / str(seed),
            arguments=self.arguments,
            module="training.fit",
            dataset=known.dataset,
            recipe=recipe,
            how=self.how,
        )


ARMS = (
    Arm("recurrent", "one block, steps drawn, the problem seen again"),
    Arm("untied", "every step its own weights", {"unshare": ALL}),
    Arm("no_recall", "the problem seen once", {"recall": False}),
    Arm("fixed", "always 30 steps in training", how={"steps": 30}),
    Arm("feed_forward", "30 layers, no recurrence", {"unshare": ALL}, {"steps": 30}),
)


def parser():
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.reproduce deep_thinking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  KERAS_BACKEND=torch python -m training.reproduce deep_thinking --seeds 1\n"
        "  python -m training.reproduce deep_thinking --report --arms recurrent untied\n\n"
        "Give the same command again to go on. Single numbers: `keras-recres evaluate "
        "prefix_sum_rec\n--dataset prefix_sums/512 --limit 10000 --steps 300`.",
    )
    p.add_argument("--problem", choices=tuple(PROBLEMS), default="prefix_sums")
    labels = [arm.label for arm in ARMS]
    p.add_argument(
        "--arms",
        nargs="+",
        choices=labels,
        default=labels,
        metavar="ARM",
        help=f"of {', '.join(labels)}; default all",
    )
    cifar_tables.add_arguments(p, Path("runs/deep_thinking"), None)
    return p


def main(argv=None):
    """The command line."""
    a = cifar_tables.parse(parser(), argv)
    _, recipe, sizes = PROBLEMS[a.problem]
    a.epochs = a.epochs or recipes.load(recipe).settings["epochs"]
    cifar_tables.check(a)
    arms = [arm for arm in ARMS if arm.label in a.arms]
    # The first arm has all seeds, the others one: they show what fails, not by how much.
    runs = [arm.run(seed, a) for arm in arms for seed in range(a.seeds if arm is ARMS[0] else 1)]
    failed = cifar_tables.train(runs, a)
    found, used = [], []
    for run in runs:
        if run.metrics:
            rows, taken = measured(run, a.problem, sizes)
            found += rows
            used += taken
    if found:
        show(found, used, arms, a)
    if failed:
        raise UserError(failed)
    return 0


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


def show(found, used, arms, a):
    """Prints the table and the claims; writes them and the picture into `a.out`."""
    sizes = sorted({row["size"] for row in found})
    columns = ("network", "seeds", *(f"{size}, %" for size in sizes))
    lines = []
    for arm in arms:
        rows = [row for row in found if row["arm"] == arm.label]
        seeds = len({row["seed"] for row in rows})
        cells = [_best([r for r in rows if r["size"] == size]) for size in sizes]
        lines.append((arm.what, str(seeds or ""), *cells))
    said = [
        "Whole problems right, with the number of steps of "
        f"{', '.join(map(str, STEPS))} that is best for the size (in brackets)."
    ]
    title = f"{a.problem}, learnt on {sizes[0]}"
    tables.publish(title, columns, lines, said, a.out / f"{a.problem}.md")
    draw(found, used, arms, a)


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


def draw(found, used, arms, a):
    """Steps taken against size, and accuracy against steps for each size and arm."""
    from matplotlib.figure import Figure

    columns = min(3, 1 + len(arms))
    rows = -(-(1 + len(arms)) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
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
        axis.set(
            title=arm.what.replace(", ", ",\n"), xlabel="steps", ylabel="whole problems right, %"
        )
        axis.set(ylim=(-3, 103), xscale="log")
        if axis.lines:
            axis.legend(title="size")
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(a.out / f"{a.problem}.png", dpi=130)
