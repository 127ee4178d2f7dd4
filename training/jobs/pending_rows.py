"""The rows of the zoo that recipes train, and what each still needs.

A row is NAME.TAG. It is pending until `zoo/results.csv` has as many trainings of it as its recipe
asks for, by that recipe as it is now, and the zoo its weights, if the recipe files any.
"""

import dataclasses
import fnmatch
from pathlib import Path

from keras_recres import zoo
from training import recipes
from training.data import places
from training.errors import UserError, nearest
from training.jobs.pending_trainings import adoptable, as_its_recipe_says, trainings
from training.ledger import filed_runs, filing, recording
from training.settings import Settings, tell


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        recipe: the `Recipe` that trains it.
        name: the network's name in the zoo.
        tag: the data set's tag.
        place: where the data set is, a `Place` or None.
        seeds: how many trainings are asked for.
        filed: how many results.csv has, 0 if they are outdated.
        has_weights: whether the zoo has its weights.
        exists: whether the zoo has its config.
        outdated: whether those of results.csv were trained by the recipe as it was once.
    """

    recipe: recipes.Recipe
    name: str
    tag: str
    place: places.Place | None
    seeds: int
    filed: int
    has_weights: bool
    exists: bool
    outdated: bool = False

    @property
    def label(self):
        """What it is called."""
        return f"{self.name}.{self.tag}"

    @property
    def needs(self):
        """What is missing in the zoo, in words; "" when nothing is."""
        if not self.exists:
            return "not in the zoo yet"
        if self.outdated:
            return "its recipe has changed"
        if not self.filed:
            return "no result"
        if self.recipe.weights and not self.has_weights:
            return "no weights"
        return f"{self.filed} of {self.seeds} seeds filed" if self.filed < self.seeds else ""


def rows(patterns, data_dir=None, seeds=None):
    """All rows that any of the wildcards means, in order of value.

    Args:
        patterns: wildcards on NAME or NAME.TAG.
        data_dir: where to look for the data sets, see `training.data.places.find`.
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
            row = Row(
                recipe,
                name,
                tag,
                place,
                recipe.seeds if seeds is None else seeds,
                filed.get((name, tag), 0),
                record is not None and tag in record.trained_tags,
                record is not None,
            )
            if row.filed and _is_outdated(row):
                row = dataclasses.replace(row, filed=0, outdated=True)
            found.append(row)
    for pattern in patterns:
        if not any(_means(pattern, row) for row in found):
            known = sorted({row.label for row in found} | {row.name for row in found})
            told = nearest(pattern, known)
            raise UserError(f"--names has {pattern!r}, which is not a row.{told}")
    return [row for row in found if any(_means(pattern, row) for pattern in patterns)]


def _is_outdated(row):
    """Whether what is filed of a row is known, and none of it is what its recipe says now."""
    (first,) = trainings(dataclasses.replace(row, seeds=1), Path())
    asked = Settings.of(first.settings())
    made = {
        tuple(result[key] for key in recording.ORIGIN)
        for result in filing.read_results()
        if (result["name"], result["tag"], result["dataset"]) == (row.name, row.tag, row.tag)
    }
    # Those of the form that the recipe trains, and those of another that the row is of.
    alike = [
        metrics["settings"]
        for key, metrics in filed_runs.of(row.tag).items()
        if key[:-1] == asked.key()[:-1]
        or (key[0] == row.name and tuple(str(metrics.get(k)) for k in recording.ORIGIN) in made)
    ]
    return bool(alike) and not any(
        as_its_recipe_says(first, {**settings, "seed": asked.seed}) for settings in alike
    )


def _means(pattern, row):
    # A row is of the data that are here, and may be asked for by the tag that its recipe has.
    labels = (row.name, row.label, f"{row.name}.{row.recipe.tag}")
    return any(fnmatch.fnmatch(label, pattern) for label in labels)


def needed(row, a, strict=True):
    """What `missing` says of a row with the arguments `out`, `epochs` and `limit` of a command."""
    return missing(row, trainings(row, a.out, a.epochs, a.limit), strict)


def missing(row, all_trainings, strict=True):
    """The trainings that a pending row still needs, in the order of their seeds.

    Not needed is one that is finished in its folder as the recipe says, or filed with the settings
    that it would have here; before the zoo has weights, only what is in its folder counts.

    Args:
        row: a `Row`.
        all_trainings: what `trainings` gives for it.
        strict: whether those that are needed must be like those that are there.

    Raises:
        UserError: they are not, and could not count together or go on.
    """
    if not row.needs or not row.exists:
        return []
    filed = filed_runs.of(row.tag) if row.has_weights or not row.recipe.weights else {}
    finished = [training for training in all_trainings if _is_finished(training)]
    found = [
        training
        for training in all_trainings
        if training not in finished and adoptable(training, filed) is None
    ]
    if strict and found:
        for training in all_trainings:
            _compare(training)
    return found


def _is_finished(training):
    return training.metrics is not None and as_its_recipe_says(training, training.begun_with)


def _compare(training):
    found = training.begun_with
    if found is None:
        return
    if different := Settings.of(found).differences(training.settings()):
        told = tell(different)
        hint = f"set KERAS_BACKEND={found['backend']}, or " if [*different] == ["backend"] else ""
        raise UserError(f"{training.path} holds a training with {told}: {hint}give another --out.")


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
