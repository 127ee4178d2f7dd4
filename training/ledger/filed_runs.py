"""Trainings that count wherever they were done: `zoo/logs/trainings.jsonl`, a line each.

A study of many trainings may need more time than one machine has at a stretch. What each training
measured, its metrics.json, is filed as a line; with `--adopt TAG` the same command elsewhere trains
only what is missing, and its tables and claims are those of all of them. Controls, trained for
longer or in another precision than the recipe of their row in the zoo says, are kept apart, in
`zoo/logs/controls.jsonl`.
"""

import json

from keras_recres.zoo import sources
from training.errors import UserError
from training.files import write_aside
from training.settings import HOW, Settings

FILE = "logs/trainings.jsonl"
CONTROLS = "logs/controls.jsonl"


def read(file=FILE):
    """The trainings filed there: a list of the contents of their metrics.json."""
    path = sources.data_folder() / file
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [json.loads(line) for line in lines]
    except ValueError as error:
        raise UserError(f"{path} has a line that is not JSON ({error}).") from None


def file(runs, replace=False):
    """Files what finished trainings measured; the same training done again takes the first's place.

    Args:
        runs: list of `training.jobs.many_runs.Run`; those without an end are passed over.
        replace: whether they also take the place of the same ones with other settings, and of those
            with other seeds that differ in more than the seed: their row of results is that of
            these runs now.

    Raises:
        UserError: one of them is filed with other settings, and is not to be replaced.
    """
    # A trial tells how long a training takes, and nothing else that is worth keeping.
    runs = [run for run in runs if run.metrics and run.metrics["settings"]["limit"] is None]
    controls = [run.metrics for run in runs if is_control(run)]
    _write(CONTROLS, {_whole(metrics): metrics for metrics in read(CONTROLS) + controls})
    filed = {_key(metrics): metrics for metrics in read()}
    for run in runs:
        if not is_control(run):
            metrics = run.metrics
            new, old = (m["settings"] for m in (metrics, filed.get(_key(metrics), metrics)))
            different = Settings.of(old).differences(new)
            if different and not replace:
                told = " and ".join(f"{key} {one!r}" for key, (one, _) in different.items())
                raise UserError(
                    f"{new['name']} with seed {new['seed']} is filed with {told}, and one with "
                    f"{' and '.join(repr(other) for _, other in different.values())} is not filed "
                    "instead."
                )
            if replace:
                filed = {k: m for k, m in filed.items() if not _outdated(m, metrics)}
            filed[_key(metrics)] = metrics
    _write(FILE, filed)


def is_control(run):
    """Whether a training is a control of its row: it differs in more than `Settings.key` tells."""
    return not {option.replace("-", "_") for option in run.how} <= set(HOW)


def _write(file, filed):
    if not filed:
        return
    path = sources.data_folder() / file
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(filed[key], sort_keys=True) for key in sorted(filed)]
    write_aside(path, "".join(f"{line}\n" for line in lines))


def adopt(runs, tag, a):
    """Gives the folder of every training that is not begun here what a filed one measured.

    Args:
        runs: list of `training.jobs.many_runs.Run`.
        tag: the data set's tag that the filed training must have.
        a: arguments of the study; what was trained otherwise is not adopted, see `Run.differs`.

    Returns:
        Those that were adopted, a list of `Run`.

    Raises:
        UserError: nothing with this tag is filed.
    """
    filed = of(tag)
    controls = [metrics for metrics in read(CONTROLS) if metrics["settings"]["tag"] == tag]
    if not (filed or controls):
        raise UserError(f"--adopt {tag}: no training on {tag!r} is filed in zoo/{FILE}.")
    adopted = []
    for run in runs:
        key = run.asked(tag, a).key()
        metrics = filed.get(key)
        if is_control(run):
            alike = (m for m in controls if _key(m) == key and not run.differs(m["settings"], a))
            metrics = next(alike, None)
        if metrics is None or (run.path / "settings.json").exists() or run.metrics is not None:
            continue
        if run.differs(metrics["settings"], a):
            continue
        give(run, metrics)
        adopted.append(run)
    return adopted


def of(tag):
    """The filed trainings on a data set: {its `Settings.key()`: content of metrics.json}."""
    return {_key(metrics): metrics for metrics in read() if metrics["settings"]["tag"] == tag}


def give(run, metrics):
    """Makes a folder that is not begun the one of a training that measured this elsewhere."""
    run.path.mkdir(parents=True, exist_ok=True)
    write_aside(run.path / "metrics.json", json.dumps(metrics, indent=2) + "\n")


def _outdated(old, new):
    """Whether one is a training of the same form with other settings than the new one's."""
    if _key(old)[:-1] != _key(new)[:-1]:
        return False
    return bool(Settings.of(old["settings"]).differences(new["settings"], ignoring=("seed",)))


def _whole(metrics):
    return json.dumps(metrics["settings"], sort_keys=True)


def _key(metrics):
    return Settings.of(metrics["settings"]).key()
