"""The trainings of a study."""

import dataclasses
import json
import sys
from pathlib import Path

from training import data
from training.errors import UserError
from training.jobs import scheduler
from training.settings import Settings

# TensorFlow trains the small networks a tenth faster with it.
STEPS_PER_EXECUTION = 10


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        label: what it is called in tables.
        name: the network's name in the zoo.
        seed: of the initial weights, the order of the images and the dropout.
        path: its folder.
        arguments: builder arguments that replace the name's.
        dataset: what it is trained on.
        recipe: name of its recipe.
        how: options of `training.fit` that are its own, such as {"steps": "poisson(2)"}.
    """

    label: str
    name: str
    seed: int
    path: Path
    arguments: dict = dataclasses.field(default_factory=dict, hash=False)
    dataset: str = "cifar10"
    recipe: str | None = None
    how: dict = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self):
        return f"{self.label} seed {self.seed}"

    @property
    def metrics(self):
        """What it measured, a dict; None before its end."""
        try:
            return json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def command(self, a):
        """The command line that trains it, or goes on with it."""
        command = [sys.executable, "-m", "training.fit", self.name]
        command.append("--end-with-parent")
        if self.recipe:
            command.append(f"--recipe={self.recipe}")
        command += [f"--seed={self.seed}", f"--epochs={a.epochs}", f"--precision={a.precision}"]
        command += [f"--out={self.path.resolve()}", f"--steps-per-execution={STEPS_PER_EXECUTION}"]
        if a.data_dir:
            command.append(f"--data-dir={a.data_dir.expanduser().resolve()}")
        if a.limit:
            command += [f"--limit={a.limit}", f"--eval-limit={a.limit}"]
        if precise := getattr(a, "precise_bn", 0):
            command.append(f"--precise-bn={precise}")
        if self.arguments:
            values = [f"{key}={json.dumps(value)}" for key, value in self.arguments.items()]
            command += ["--model-arguments", *values]
        return [*command, *(f"--{option}={value}" for option, value in self.how.items())]

    def start(self, a):
        """Its command line and its precision, as `scheduler.train` takes them."""
        return self.command(a), self.how.get("precision", a.precision)

    def asked(self, tag, a):
        """The `Settings` that its recipe, `how` and `a` ask for, on the data set of this tag."""
        from training.fit import options  # Keras, which takes seconds.

        given = options.arguments(self.command(a)[3:])
        return Settings.of(options.settings_of(given, self.name, tag))

    def differs(self, settings, a):
        """In which settings it is not what `a` asks for: {key: (found, asked)}.

        All are compared but for the backend: its recipe may have changed since.
        """
        # Which one is automatic is not for this machine to say of another's.
        automatic = a.precision == "auto" and "precision" not in self.how
        ignoring = ("backend", "precision") if automatic else ("backend",)
        return Settings.of(settings).differences(self.asked(settings["tag"], a), ignoring)

    def is_finished(self, a):
        """Whether it has reached its end.

        Raises:
            UserError: it did with other settings than `a` asks for.
        """
        metrics = self.metrics
        if metrics is None:
            return False
        for key, (found, asked) in self.differs(metrics["settings"], a).items():
            raise UserError(
                f"{self.path} holds a training with {key} {found!r}, not {asked!r}: "
                "give another --out."
            )
        return True


def train(runs, a):
    """Trains what is not finished, `a.jobs` trainings at a time.

    Args:
        runs: list of `Run`, begun in this order.
        a: arguments `jobs`, `epochs`, `data_dir`, `limit`, `precision`.

    Returns:
        The trainings that failed, a list of (`Run`, the last line that it wrote).
    """
    pending = [run for run in runs if not run.is_finished(a)]
    if not pending:
        return []
    # One sentence here, not one a training.
    data.load(pending[0].dataset, "train", a.data_dir, limit=1)
    done = len(runs) - len(pending)
    return scheduler.train(pending, a.jobs, lambda run: run.start(a), done=done).failed
