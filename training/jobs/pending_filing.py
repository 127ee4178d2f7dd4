"""Files finished trainings of pending rows in `zoo/`."""

import json

from training.errors import UserError
from training.jobs.pending_trainings import as_its_recipe_says, trainings
from training.ledger import cifar_zoo, filed_runs, recording
from training.settings import Settings


def file(rows, out):
    """Files every row that has more finished trainings than the zoo knows of.

    Trainings count together that differ in nothing but the seed, those filed before
    (`training.ledger.filed_runs`) with those in `out`.

    Args:
        rows: list of `training.jobs.pending_rows.Row`.
        out: the folder with their trainings.

    Returns:
        (said, problems): sentences on what was filed or waits, and on what failed.
    """
    said, problems = [], []
    for row in rows:
        filed = filed_runs.of(row.tag)
        group, new = _group(row, out, filed)
        complete = row.has_weights or not row.recipe.weights
        # What the zoo knows already makes its row as soon as it is more than the row counts.
        if not new and (not complete or len(group) <= row.filed):
            continue
        if complete and len(group) <= row.filed:
            said.append(
                f"not filed {row.label}: results.csv has {row.filed} of it, and {len(group)} alike "
                f"are finished in {out}: they take its place when they are more"
            )
            continue
        try:
            said.append(_file(row, group, filed))
        except UserError as error:
            problems.append(f"{row.label}: {error}")
    return said, problems


def _group(row, out, filed):
    """The trainings that make a row, and those of them that the zoo does not know."""
    groups = {}
    for training in trainings(row, out):
        known = filed.get(_key(training))
        metrics = next((m for m in (training.metrics, known) if _counts(training, m)), None)
        if metrics is None:
            continue
        alike = {**Settings.of(metrics["settings"]).recorded(), "seed": None}
        group, new = groups.setdefault(json.dumps(alike, sort_keys=True), ([], []))
        group.append(training)
        if metrics != known:
            new.append(training)
    return max(groups.values(), key=lambda found: (len(found[0]), len(found[1])), default=([], []))


def _key(training):
    return Settings.of(training.settings()).key()


def _counts(training, metrics):
    """Whether it is the result of a whole training, as the recipe says."""
    if metrics is None or metrics["settings"].get("limit") is not None:
        return False
    return as_its_recipe_says(training, metrics["settings"])


def _file(row, group, filed):
    for training in group:
        if training.metrics is None:
            filed_runs.give(training, filed[_key(training)])
    if row.recipe.best_epoch:
        result = cifar_zoo.file(group)[0]
    else:
        result = recording.record([t.path for t in group], weights=row.recipe.weights)
    filed_runs.file(group, replace=True)
    spread = f" ± {result['std']}" if result["std"] else ""
    seeds = f"{len(group)} of {row.seeds} seeds"
    return f"filed {row.label}: {result['value']}{spread} % top-1, {seeds}"
