"""Measures weights on the split that accuracy is reported on, and files finished runs in the zoo.

    python -m training.evaluate vit3_rec --data-dir DIR            measure the zoo's weights
    python -m training.evaluate --record runs/a runs/b runs/c      file runs of training.fit
    python -m training.evaluate --readme                           renew the README's table

Nothing is typed: a row of zoo/results.csv comes from the metrics.json of runs.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

import keras

from keras_recres import zoo
from keras_recres.zoo import evaluation
from training import data, errors
from training.errors import UserError
from training.filing import (
    SUBSET,
    facts,
    file_log,
    file_tag,
    file_weights,
    readme_table,
    update_manifest,
    write_readme,
    write_result,
)
from training.terminal import progress_bar

__all__ = [
    "facts",
    "file_log",
    "file_tag",
    "file_weights",
    "measure",
    "readme_table",
    "record",
    "update_manifest",
    "write_readme",
    "write_result",
]

# Tags whose data set is read under another name, and what a row of results says of it.
READ_AS = {"cifar10_jpeg": "cifar10"}
NOTES = {"cifar10_jpeg": "CIFAR-10 re-encoded as JPEG: not the original pixels"}


def measure(
    name,
    tag=None,
    data_dir=None,
    dataset=None,
    split="evaluation",
    weights=None,
    limit=None,
    batch_size=128,
):
    """Measures a model's top-1 accuracy and cross-entropy on a data set.

    Images go through `model.preprocess`, exactly as a user's would.

    Args:
        name: a name of the zoo, or "name.tag".
        tag: which of its weights; None for the default.
        data_dir: where the data set is, see `training.data.load`.
        dataset: another data set of the same classes; None for the one of the tag.
        split: the split, "evaluation" for the one that accuracy is reported on.
        weights: a .weights.h5 file instead of the zoo's weights.
        limit: only the first so many images.
        batch_size: images a batch.

    Returns:
        dict with `name`, `tag`, `dataset` (its tag: what was really read), `split`, `images`,
        `top1_percent`, `standard_error_percent`, `loss`, `seconds`, `images_per_second`.
    """
    try:
        known = zoo.info(name)
        if weights is None:
            tag = tag or known.default_tag
        full = f"{known.name}.{tag}" if tag else known.name
        model = zoo.load(full, weights="default" if weights is None else Path(weights))
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    tag = model.zoo_tag
    if dataset is None:
        if tag is None:
            raise UserError(f"{weights} does not say what it was trained on: give --tag.")
        dataset = known.tags[tag].dataset
    # As they are stored: of any sizes, and more than memory can hold.
    images = data.load(READ_AS.get(dataset, dataset), split, data_dir, limit=limit, stream=True)
    if len(images.class_names) != model.output_shape[-1]:
        raise UserError(
            f"{full} knows {model.output_shape[-1]} classes, but {dataset} has "
            f"{len(images.class_names)}."
        )
    with progress_bar(f"measuring {full}", len(images)) as advance:
        labels = images.images.labels()
        measured = evaluation.evaluate(model, images.images, labels, batch_size, advance)
    return {
        "name": known.name,
        "tag": tag,
        "dataset": images.tag,
        "split": images.split,
        **measured,
    }


def record(run_dirs, note="", weights=True, metric="top1_percent"):
    """Files finished runs of `training.fit`, equal but for the seed, as one entry of the zoo.

    The accuracy is the mean over the runs of the last epoch's; the weights are those of the run
    with the lowest last training loss, which looks at no evaluation image: the loss on the training
    set in inference mode where the runs measured it, else that of the log. If that run was adopted,
    see `training.reproduce.filed_runs`, its weights are those that the zoo has already.

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
        other = run["settings"]
        keys = [k for k in {**first, **other} if k != "seed" and first.get(k) != other.get(k)]
        if keys:
            raise UserError(
                f"{run_dirs[0]} and {path} differ in {', '.join(keys)}: only runs that differ in "
                "nothing but the seed make one entry."
            )
    seeds = {run["settings"]["seed"] for run in runs}
    if len(seeds) != len(runs):
        raise UserError(f"{len(runs)} runs were given, but only {len(seeds)} different seeds.")
    trial = [key for key in ("limit", "eval_limit") if first.get(key) is not None]
    if trial and not metric.startswith(SUBSET):
        told = " and ".join(f"--{key.replace('_', '-')} {first[key]}" for key in trial)
        raise UserError(f"{run_dirs[0]} is a trial, with {told}, whose weights are not filed.")
    name, tag = first["name"], first["tag"]
    best = min(range(len(runs)), key=lambda i: runs[i].get("train_set_loss", runs[i]["train_loss"]))
    here = (Path(run_dirs[best]) / "settings.json").exists()
    if weights and not here and tag not in zoo.info(name).trained_tags:
        raise UserError(
            f"{run_dirs[best]} has the lowest training loss, but it was adopted and the zoo has no "
            f"weights of {name}.{tag}: train it here, or file it where it was trained."
        )
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
        **facts(name, tag),
        "epochs": runs[0]["epochs"],
        "budget": _budget(runs),
        "note": "; ".join(part for part in (NOTES.get(tag), _recipe(first), note) if part),
        **{key: runs[best][key] for key in ("backend", "hardware", "commit", "date")},
    }
    if here and weights:
        file_weights(model, name, tag)
    else:
        update_manifest()  # The tag may be new in the config.
    if here:
        file_log(Path(run_dirs[best]) / "log.csv", name, tag)
    write_result(row)
    return row


def _read_run(path):
    try:
        return json.loads((path / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} holds no finished run: it has no metrics.json.") from None
    except ValueError as error:
        raise UserError(f"{path / 'metrics.json'} is not JSON ({error}).") from None


def _model_of(path, run, weights=True):
    """The network of a run, if it is what the zoo calls so; with its weights, or without."""
    settings = run["settings"]
    name, tag = settings["name"], settings["tag"]
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in run["overrides"].items()}
    try:
        known = zoo.info(name)
        if tag not in known.tags:
            file_tag(name, tag, tag, run["overrides"], run["preprocessing"])
            known = zoo.info(name)
        arguments = known.arguments_of(tag)
        changed = [f"{k}={v}" for k, v in given.items() if arguments.get(k, v) != v]
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


def _budget(runs):
    minutes = statistics.mean(run["seconds"] for run in runs) / 60
    spent = f"{minutes:.0f} min" if minutes >= 1.5 else f"{60 * minutes:.0f} s"
    run = runs[0]
    epochs = "1 epoch" if run["epochs"] == 1 else f"{run['epochs']} epochs"
    return f"{epochs} of {run['train_images']:,} images, {spent}"


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
    ]
    return " ".join(["last epoch;", ", ".join(part for part in parts if part)])


def main(argv=None):
    """The command line."""
    p = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Measure weights of the zoo, or file finished runs of training.fit in it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  python -m training.evaluate vit3_rec --data-dir DIR\n"
        "  python -m training.evaluate vit3.cifar10_jpeg --data-dir DIR "
        "--dataset cifar10_lossless_part\n"
        "  python -m training.evaluate --record runs/vit3.mnist.0 runs/vit3.mnist.1 --readme",
    )
    p.add_argument("name", nargs="?", help="a name of the zoo, or name.tag")
    p.add_argument("--tag", help="which weights; default the name's default tag")
    p.add_argument("--data-dir", help="folder with NAME/VERSION, or a packed .npz file")
    p.add_argument("--dataset", help="another data set of the same classes")
    p.add_argument("--split", default="evaluation", help="default the one to report on")
    p.add_argument("--weights", help="a .weights.h5 file instead of the zoo's weights")
    p.add_argument("--limit", type=int, help="only the first so many images")
    p.add_argument("--batch-size", type=int, default=128)
    p.add_argument("--record", nargs="+", metavar="RUN_DIR", help="file runs in zoo/")
    p.add_argument("--note", default="", help="a remark for the row of results")
    p.add_argument("--readme", action="store_true", help="renew the README's table of results")
    a = p.parse_args(argv)
    if bool(a.name) == bool(a.record or a.readme):
        p.error("give a name to measure, or --record, or --readme")
    if a.record:
        row = record(a.record, a.note)
        spread = f" ± {row['std']}" if row["std"] else ""
        print(f"filed {row['name']}.{row['tag']}: {row['value']}{spread} % top-1, {row['budget']}")
    if a.readme:
        write_readme()
    if a.name:
        m = measure(a.name, a.tag, a.data_dir, a.dataset, a.split, a.weights, a.limit, a.batch_size)
        print(
            f"{m['name']}.{m['tag']}: {m['top1_percent']:.2f} % top-1 (standard error "
            f"{m['standard_error_percent']:.2f}), loss {m['loss']:.4f} on {m['images']:,} "
            f"{m['split']} images of {m['dataset']}; {m['seconds']:.1f} s, "
            f"{m['images_per_second']:,.0f} images/s on {keras.backend.backend()}"
        )


if __name__ == "__main__":
    sys.exit(errors.run(main))
