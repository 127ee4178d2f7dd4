"""Files finished runs of `training.fit` in the zoo: weights, golden file, log, row of results."""

import inspect
import json
import statistics
from pathlib import Path

from keras_recres import models, zoo
from training.errors import UserError
from training.ledger import filing
from training.settings import DEFAULTS, Settings

# What a row of results says of some tags.
NOTES = {"cifar10_jpeg": "CIFAR-10 re-encoded as JPEG: not the original pixels"}
# Which run it was that a row and its weights come from.
ORIGIN = ("backend", "hardware", "commit", "date")
# Builder arguments that change how a network trains, and nothing that it computes afterwards.
TRAINING_ONLY = {"drop_path", "dropout", "token_dropout", "remat"}


def record(run_dirs, note="", weights=True, metric="top1_percent"):
    """Files finished runs of `training.fit`, equal but for the seed, as one entry of the zoo.

    The accuracy is the mean over the runs of the last epoch's; the weights are those of the run
    with the lowest last training loss, which looks at no evaluation image: the loss on the training
    set in inference mode where the runs measured it, else that of the log. Of runs that were
    adopted, see `training.ledger.filed_runs`, only that one counts for this whose weights the
    zoo has already.

    Args:
        run_dirs: folders that `training.fit` wrote.
        note: a remark for the row of results.
        weights: whether weights and golden file are filed; False for results and log only.
        metric: what the accuracy is called; of trainings with a limit "subset_top1_percent".

    Returns:
        The row of results, a dict.
    """
    runs = [_read_run(Path(path)) for path in run_dirs]
    first = runs[0]["settings"]
    for path, run in zip(run_dirs, runs, strict=True):
        if keys := Settings.of(first).differences(run["settings"], ignoring=("seed",)):
            raise UserError(
                f"{run_dirs[0]} and {path} differ in {', '.join(keys)}: only runs that differ in "
                "nothing but the seed make one entry."
            )
    seeds = {run["settings"]["seed"] for run in runs}
    if len(seeds) != len(runs):
        raise UserError(f"{len(runs)} runs were given, but only {len(seeds)} different seeds.")
    trial = [key for key in ("limit", "eval_limit") if first.get(key) is not None]
    if trial and not metric.startswith(filing.SUBSET):
        told = " and ".join(f"--{key.replace('_', '-')} {first[key]}" for key in trial)
        raise UserError(f"{run_dirs[0]} is a trial, with {told}, whose weights are not filed.")
    if (side := first.get("averaged", 1)) > 1:
        raise UserError(
            f"{run_dirs[0]} was trained on means over {side} x {side} pixels, which no network of "
            "the zoo takes: it is not filed there."
        )
    name, tag = first["name"], first["tag"]
    at_hand = [i for i in range(len(runs)) if not weights or _has_weights(run_dirs[i], runs[i])]
    if not at_hand:
        raise UserError(
            f"{', '.join(map(str, run_dirs))}: adopted, and the zoo's weights of {name}.{tag} are "
            "of none of them: train one here, or file it where it was trained."
        )
    best = min(at_hand, key=lambda i: runs[i].get("train_set_loss", runs[i]["train_loss"]))
    here = _is_here(run_dirs[best])
    model = _model_of(run_dirs[best], runs[best], weights) if here else None
    values = [100 * run["val_accuracy"] for run in runs]
    row = {
        "name": name,
        "tag": tag,
        "dataset": tag,
        "split": runs[0]["split"],
        "metric": metric,
        "value": f"{statistics.mean(values):.2f}",
        "std": f"{statistics.stdev(values):.2f}" if len(values) > 1 else "",
        "seeds": len(runs),
        **filing.facts(name, tag),
        "epochs": runs[0]["epochs"],
        "budget": _budget(runs),
        "note": "; ".join(part for part in (NOTES.get(tag), _recipe(first), note) if part),
        **{key: runs[best][key] for key in ORIGIN},
    }
    if here and weights:
        filing.file_weights(model, name, tag)
    else:
        filing.update_manifest()  # The tag may be new in the config.
    if here:
        filing.file_log(Path(run_dirs[best]) / "log.csv", name, tag)
    filing.write_result(row)
    return row


def _read_run(path):
    try:
        run = json.loads((path / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} holds no finished run: it has no metrics.json.") from None
    except ValueError as error:
        raise UserError(f"{path / 'metrics.json'} is not JSON ({error}).") from None
    settings = run.get("settings") if isinstance(run, dict) else None
    if not isinstance(settings, dict) or "name" not in settings:
        raise UserError(f"{path / 'metrics.json'} is not what training.fit writes at its end.")
    return run


def _is_here(path):
    """Whether a run was trained in its folder; of one that was adopted only the metrics are."""
    return (Path(path) / "settings.json").exists()


def _has_weights(path, run):
    """Whether a run's weights are in its folder, or are those of the zoo."""
    if _is_here(path):
        return True
    name, tag = run["settings"]["name"], run["settings"]["tag"]
    origin = {"name": name, "tag": tag, **{key: str(run[key]) for key in ORIGIN}}
    filed = any(all(row[k] == v for k, v in origin.items()) for row in filing.read_results())
    return filed and tag in zoo.info(name).trained_tags


def _model_of(path, run, weights=True):
    """The network of a run, if it is what the zoo calls so; with its weights, or without."""
    settings = run["settings"]
    name, tag = settings["name"], settings["tag"]
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in run["overrides"].items()}
    try:
        known = zoo.info(name)
        if tag not in known.tags:
            filing.file_tag(name, tag, tag, run["overrides"], run["preprocessing"])
            known = zoo.info(name)
        arguments = {**_defaults(known.builder), **known.arguments_of(tag)}
        changed = [
            f"{k}={v}" for k, v in given.items() if k not in TRAINING_ONLY and arguments.get(k) != v
        ]
        if changed:
            raise UserError(
                f"{path} trained {name} with {', '.join(changed)}, which is not what the zoo's "
                f"{name}.{tag} is: it can only be filed under a config of its own."
            )
        model = zoo.build(name, tag=tag)
        if weights:
            model.load_weights(Path(path) / f"{name}.{tag}.weights.h5")
    except (ValueError, OSError) as error:
        raise UserError(f"the weights of {path} cannot be filed ({error}).") from None
    return model


def _defaults(builder):
    parameters = inspect.signature(getattr(models, builder)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _budget(runs):
    minutes = statistics.mean(run["seconds"] for run in runs) / 60
    spent = f"{minutes:.0f} min" if minutes >= 1.5 else f"{60 * minutes:.0f} s"
    run = runs[0]
    epochs = "1 epoch" if run["epochs"] == 1 else f"{run['epochs']} epochs"
    return f"{epochs} of {run['train_images']:,} examples, {spent}"


def _recipe(settings):
    decay = settings["weight_decay"]
    optimizer = "SGD" if settings.get("optimizer") == "sgd" else "AdamW" if decay else "Adam"
    parts = [
        f"{optimizer} {settings['learning_rate']:g}",
        f"{settings['schedule']} rate" if settings.get("schedule", "cosine") != "cosine" else "",
        f"weight decay {decay:g}" if decay else "",
        f"batch {settings['batch_size']}",
        settings["augment"].replace(",", "+"),
        f"mixup {settings['mixup']:g}" if settings["mixup"] else "",
        f"smoothing {settings['label_smoothing']:g}" if settings["label_smoothing"] else "",
        settings["precision"] if settings["precision"] != "float32" else "",
        *(
            f"{key.replace('_', ' ')} {settings[key]}"
            for key in DEFAULTS
            if key in settings and key != "optimizer"
        ),
    ]
    return " ".join(["last epoch;", ", ".join(part for part in parts if part)])
