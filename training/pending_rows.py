"""The rows of the zoo that recipes train, and what each still needs.

A row is NAME.TAG. It is pending until `zoo/results.csv` has as many trainings of it as its recipe
asks for, and the zoo its weights, if the recipe files any.
"""

import dataclasses
import fnmatch
import json
import sys

from keras_recres import zoo
from training import filing, fit, places, recipes
from training.errors import UserError, nearest
from training.models import overrides_of
from training.reproduce import cifar_runs, filed_runs


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        recipe: the `Recipe` that trains it.
        name: the network's name in the zoo.
        tag: the data set's tag.
        place: where the data set is, a `Place` or None.
        seeds: how many trainings are asked for.
        filed: how many results.csv has.
        has_weights: whether the zoo has its weights.
        exists: whether the zoo has its config.
    """

    recipe: recipes.Recipe
    name: str
    tag: str
    place: places.Place | None
    seeds: int
    filed: int
    has_weights: bool
    exists: bool

    @property
    def label(self):
        """What it is called."""
        return f"{self.name}.{self.tag}"

    @property
    def needs(self):
        """What is missing in the zoo, in words; "" when nothing is."""
        if not self.exists:
            return "not in the zoo yet"
        if not self.filed:
            return "no result"
        if self.recipe.weights and not self.has_weights:
            return "no weights"
        return f"{self.filed} of {self.seeds} seeds filed" if self.filed < self.seeds else ""


@dataclasses.dataclass(frozen=True)
class Training(cifar_runs.Run):
    """One training of a row; `Run` tells the other attributes.

    Attributes:
        row: the `Row`.
        options: what the command line has beside the recipe, such as ("--limit=100",).
    """

    row: Row | None = None
    options: tuple = ()

    def arguments_of_fit(self):
        """What `training.fit` makes of the recipe and the options."""
        return fit.arguments(
            [self.name, f"--seed={self.seed}", *self.options], self.row.recipe.name
        )

    def settings(self):
        """The settings.json of such a training on this backend."""
        settings = fit.settings_of(self.arguments_of_fit(), self.name, self.row.tag)
        return json.loads(json.dumps(settings))

    def command(self, data_dir):
        """The command line that trains it, or goes on with it."""
        return [
            *(sys.executable, "-m", self.module, self.name),
            *(f"--recipe={self.row.recipe.name}", f"--seed={self.seed}", "--end-with-parent"),
            *(f"--out={self.path.resolve()}", f"--data-dir={data_dir.resolve()}"),
            f"--steps-per-execution={cifar_runs.STEPS_PER_EXECUTION}",
            *self.options,
        ]

    @property
    def epochs(self):
        """(done, all): whole epochs that are kept in its folder, and those asked for."""
        asked = self.arguments_of_fit().epochs
        if self.metrics is not None:
            return asked, asked
        try:
            file = self.path / "backup" / "training_metadata.json"
            return int(json.loads(file.read_text(encoding="utf-8"))["epoch"]), asked
        except (OSError, ValueError, KeyError):
            return 0, asked


def rows(patterns, data_dir=None, seeds=None):
    """All rows that any of the wildcards means, in order of value.

    Args:
        patterns: wildcards on NAME or NAME.TAG.
        data_dir: where to look for the data sets, see `training.places.find`.
        seeds: trainings asked for, None for what each recipe says.
    """
    filed = {
        (row["name"], row["tag"]): int(row["seeds"] or 1)
        for row in filing.read_results()
        if row["metric"] == "top1_percent" and row["dataset"] == row["tag"]
    }
    records = {record.name: record for record in zoo.list()}
    found = []
    for recipe in recipes.in_order():
        if not recipe.pending:
            continue
        place = places.find(recipe.dataset, data_dir)
        tag = place.tag if place else recipe.tag
        for name in recipe.names:
            record = records.get(name)
            found.append(
                Row(
                    recipe,
                    name,
                    tag,
                    place,
                    recipe.seeds if seeds is None else seeds,
                    filed.get((name, tag), 0),
                    record is not None and tag in record.trained_tags,
                    record is not None,
                )
            )
    for pattern in patterns:
        if not any(_means(pattern, row) for row in found):
            known = sorted({row.label for row in found} | {row.name for row in found})
            raise UserError(f"--names has {pattern!r}, which is no row.{nearest(pattern, known)}")
    return [row for row in found if any(_means(pattern, row) for pattern in patterns)]


def _means(pattern, row):
    return fnmatch.fnmatch(row.name, pattern) or fnmatch.fnmatch(row.label, pattern)


def trainings(row, out, epochs=None, limit=None):
    """The trainings of a row, one a seed.

    Args:
        row: a `Row`.
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
    arguments = overrides_of(None, row.recipe.settings.get("model-arguments", []))
    return [
        Training(
            label=row.label,
            name=row.name,
            seed=seed,
            path=folder / str(seed),
            arguments=arguments,
            module=row.recipe.command,
            dataset=row.recipe.dataset,
            row=row,
            options=tuple(options),
        )
        for seed in range(row.seeds)
    ]


def missing(row, all_trainings, strict=True):
    """The trainings that a pending row still needs, in the order of their seeds.

    Not needed is one that is finished in its folder, or filed with the settings that it would
    have here; where the zoo has no weights yet, what is only filed does not count.

    Args:
        row: a `Row`.
        all_trainings: what `trainings` gives for it.
        strict: whether those that are needed must be like those that are finished.

    Raises:
        UserError: they are not, and could not count together.
    """
    if not row.needs or not row.exists:
        return []
    filed = filed_runs.of(row.tag) if row.has_weights or not row.recipe.weights else {}
    finished = [training for training in all_trainings if training.metrics is not None]
    found = [
        training
        for training in all_trainings
        if training not in finished and adoptable(training, filed) is None
    ]
    if strict and found:
        for training in finished:
            _compare(training)
    return found


def _compare(training):
    found, asked = training.metrics["settings"], training.settings()
    differ = [key for key in {**found, **asked} if found.get(key) != asked.get(key)]
    if differ:
        told = ", ".join(f"{key} {found.get(key)!r}, not {asked.get(key)!r}" for key in differ)
        hint = f"set KERAS_BACKEND={found.get('backend')}, or " if differ == ["backend"] else ""
        raise UserError(f"{training.path} holds a training with {told}: {hint}give another --out.")


def adoptable(training, filed):
    """What a filed training with the same settings measured, or None.

    Args:
        training: a `Training`.
        filed: what `training.reproduce.filed_runs.of` gives for its tag.
    """
    asked = training.settings()
    metrics = filed.get(filed_runs.key_of(asked))
    begun = (training.path / "settings.json").exists()
    if metrics is None or begun or metrics["settings"] != asked:
        return None
    return metrics


def by_value(all_trainings):
    """Sorts trainings: what is at the front is worth most.

    A first result of a row comes before a second one of any row, a second before a third; among
    equals the order of `training.recipes.ORDER` decides, then that of the recipe's names.
    """
    order = [recipe.name for recipe in recipes.in_order()]

    def rank(training):
        row = training.row
        place = order.index(row.recipe.name), row.recipe.names.index(row.name)
        return max(row.filed, training.seed), *place, training.seed

    return sorted(all_trainings, key=rank)
