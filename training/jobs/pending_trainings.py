"""The trainings of the zoo's pending rows, one a seed."""

import dataclasses
import json
import sys

from training.fit import loop as fit
from training.fit.models import overrides_of
from training.fit.run_folder import read_log
from training.jobs import many_runs
from training.ledger import filed_runs
from training.settings import Settings


@dataclasses.dataclass(frozen=True)
class Training(many_runs.Run):
    """One training of a row; `Run` tells the other attributes.

    Attributes:
        row: the `training.jobs.pending_rows.Row`.
        options: what the command line has beside the recipe, such as ("--limit=100",).
    """

    row: object = None
    options: tuple = ()

    def arguments_of_fit(self):
        """What `training.fit` makes of the recipe and the options."""
        return fit.arguments(
            [self.name, f"--seed={self.seed}", *self.options], self.row.recipe.name
        )

    def settings(self):
        """The settings.json of such a training on this backend."""
        return fit.settings_of(self.arguments_of_fit(), self.name, self.row.tag)

    def command(self, data_dir):
        """The command line that trains it, or goes on with it."""
        return [
            *(sys.executable, "-m", "training.fit", self.name),
            *(f"--recipe={self.row.recipe.name}", f"--seed={self.seed}", "--end-with-parent"),
            *(f"--out={self.path.resolve()}", f"--data-dir={data_dir.resolve()}"),
            f"--steps-per-execution={many_runs.STEPS_PER_EXECUTION}",
            *self.options,
        ]

    @property
    def begun_with(self):
        """The settings of what is done in its folder, finished or at least one epoch; or None."""
        if self.metrics is not None:
            return self.metrics["settings"]
        if not self._epochs_kept():
            return None
        try:
            return json.loads((self.path / "settings.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    @property
    def epochs(self):
        """(done, all): whole epochs that are kept in its folder, and those asked for.

        What the recipe said once is not done.
        """
        asked, found = self.arguments_of_fit().epochs, self.begun_with
        if found is not None and not as_its_recipe_says(self, found):
            return 0, asked
        return (self._epochs_kept() if self.metrics is None else asked), asked

    @property
    def seconds_left(self):
        """The epochs that are left, each as long as the last one of its row here; or None."""
        done, epochs = self.epochs
        if done >= epochs:
            return 0.0
        logs = sorted(self.path.parent.glob("*/log.csv"), key=lambda path: path.stat().st_mtime)
        seconds = [row["seconds"] for log in logs for row in read_log(log)[-1:]]
        return (epochs - done) * seconds[-1] if seconds else None

    def _epochs_kept(self):
        try:
            file = self.path / "backup" / "training_metadata.json"
            return int(json.loads(file.read_text(encoding="utf-8"))["epoch"])
        except (OSError, ValueError, KeyError):
            return 0


def trainings(row, out, epochs=None, limit=None):
    """The trainings of a row, one a seed.

    Args:
        row: a `training.jobs.pending_rows.Row`.
        out: the folder that has, or will have, their folders ROW/SEED; of a trial trial/ROW/SEED.
        epochs: another number of epochs than the recipe's, for a trial.
        limit: only so many images of each split, for a trial.
    """
    options = []
    if epochs:
        given = fit.arguments([row.name], row.recipe.name)
        warmup = min(given.warmup_epochs, epochs)
        options += [f"--epochs={epochs}", f"--warmup-epochs={warmup:g}"]
    if limit:
        options += [f"--limit={limit}", f"--eval-limit={limit}"]
    folder = out / "trial" / row.label if options else out / row.label
    if row.recipe.settings.get("precision") == "auto" and (known := _precision(row)):
        # Seeds of a row have one, whatever machine trains them.
        options.append(f"--precision={known}")
    arguments = overrides_of(None, row.recipe.settings.get("model-arguments", []))
    return [
        Training(
            label=row.label,
            name=row.name,
            seed=seed,
            path=folder / str(seed),
            arguments=arguments,
            dataset=row.recipe.dataset,
            row=row,
            options=tuple(options),
        )
        for seed in range(row.seeds)
    ]


def _precision(row):
    """That of the row's trainings that are filed, None where there are none."""
    filed = (m["settings"] for m in filed_runs.of(row.tag).values())
    return next((s["precision"] for s in filed if s["name"] == row.name), None)


def as_its_recipe_says(training, settings):
    """Whether settings are those of the training; the backend is not the recipe's to say."""
    return not Settings.of(settings).differences(training.settings(), ignoring=("backend",))


def adoptable(training, filed):
    """What a filed training with the same settings measured, or None.

    Args:
        training: a `Training`.
        filed: what `training.ledger.filed_runs.of` gives for its tag.
    """
    asked = Settings.of(training.settings())
    metrics = filed.get(asked.key())
    begun = (training.path / "settings.json").exists()
    if metrics is None or begun or asked.differences(metrics["settings"]):
        return None
    return metrics
