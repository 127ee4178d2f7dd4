"""Files a trained model into `zoo/`: weights, golden file, manifest, row of results, tables.

Knows nothing of images: whatever trained the model, these functions file it.
"""

import csv
import dataclasses
import fnmatch
import io
import json
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_recres import zoo
from keras_recres.models import multiply_adds
from keras_recres.models.families import family_of
from keras_recres.models.random_inputs import random_inputs
from keras_recres.zoo import manifest, problems, sources
from keras_recres.zoo.record import Result
from training.errors import UserError
from training.files import replacing, write_aside, write_between
from training.fit.models import save_weights

COLUMNS = tuple(field.name for field in dataclasses.fields(Result))
ROOT = Path(__file__).resolve().parents[2]
# What the README shows of all results.
HEADLINE = ("prefix_sum_rec", "planar_*", "vit3*", "vit7*", "cifar_small", "cifar_small_metahead")
# Metric of an accuracy that is the highest of so many epochs' on the test set.
BEST_OF = "best_of_"
# Metric of an accuracy after training on part of the data set.
SUBSET = "subset_"
# Weights of networks with more parameters, or of words, are filed in float16: half to download.
HALF_ABOVE = 3_000_000


def file_weights(model, name, tag, inputs=None):
    """Files a model's weights and the golden file that every backend must reproduce.

    Args:
        model: the trained model, as `zoo.build(name, tag)` makes it. Of one that reads texts, or
            with more than `HALF_ABOVE` parameters, the weights are rounded to float16, here and in
            the file.
        name: its name in the zoo.
        tag: the data set's tag.
        inputs: what the model takes, a float32 batch, int32 of words; None draws 4 inputs from a
            fixed seed, which show nothing, or takes 4 of the problems that are made.

    Returns:
        The paths of the weights and of the golden file.
    """
    dataset = zoo.info(name).tags[tag].dataset
    if inputs is None and problems.parse(dataset):
        # Only on problems does a network come to rest; elsewhere errors of rounding grow.
        inputs = problems.read(dataset, "test", 4).data
    texts = family_of(zoo.info(name).builder).inputs == "text"
    if inputs is None and texts:
        inputs = keras.ops.convert_to_numpy(random_inputs(model, 4)[0])
    if inputs is None:
        inputs = np.random.default_rng(0).standard_normal((4, *model.input_shape[1:]))
    inputs = np.asarray(inputs, dtype=np.int32 if texts else np.float32)
    half = texts or model.count_params() > HALF_ABOVE
    if half:
        rounded = [_rounded(w) for w in model.get_weights()]
        if not all(np.isfinite(w).all() for w in rounded):
            raise UserError(f"{name}.{tag} has weights beyond float16: it is not filed.")
        model.set_weights(rounded)
    logits = np.asarray(model.predict_on_batch(inputs), dtype=np.float32)
    if not np.isfinite(logits).all():
        raise UserError(f"{name}.{tag} gives logits that are not finite: it is not filed.")
    folder = sources.data_folder()
    weights = folder / sources.weights_file(name, tag)
    golden = folder / "golden" / f"{name}.{tag}.npz"
    for path in (weights, golden):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(model, weights)
    if half:
        _halve(weights)
    with replacing(golden) as aside:
        np.savez(aside, inputs=inputs, logits=logits)
    update_manifest()
    return weights, golden


def _rounded(x):
    """An array's float32 numbers as float16 holds them; others as they are."""
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(x.dtype) if x.dtype == np.float32 else x


def _halve(path):
    """Writes a file of weights anew, in float16 what is float32."""
    with replacing(path) as aside, h5py.File(path) as old, h5py.File(aside, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                x = item[()]
                target = new.create_dataset(name, data=np.float16(x) if x.dtype == "f4" else x)
            else:
                target = new.require_group(name)
            target.attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)


def file_log(log, name, tag):
    """Copies a training's log by epoch to `zoo/logs/NAME.TAG.csv`."""
    target = sources.data_folder() / "logs" / f"{name}.{tag}.csv"
    target.parent.mkdir(exist_ok=True)
    write_aside(target, Path(log).read_text(encoding="utf-8"))


def file_tag(name, tag, dataset, arguments, preprocessing):
    """Enters a tag into `zoo/configs/NAME.json`, unless it is there.

    Args:
        name: a name of the zoo.
        tag: the new tag.
        dataset: its data set.
        arguments: builder arguments that replace the config's.
        preprocessing: fields of the preprocessing that replace the config's.
    """
    if tag in zoo.info(name).tags:
        return
    path = sources.data_folder() / "configs" / f"{name}.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    # Beside the tags of the file that it extends.
    config.setdefault("tags", {})[tag] = {
        "dataset": dataset,
        "arguments": arguments,
        "preprocessing": preprocessing,
    }
    write_aside(path, json.dumps(config, indent=2) + "\n")


def update_manifest():
    """Writes `zoo/manifest.json` anew from the configs, weights and golden files there."""
    return manifest.write(sources.data_folder())


def read_results():
    """The rows of `zoo/results.csv`, a list of dicts of str."""
    path = sources.data_folder() / "results.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_result(row):
    """Enters a measurement into `zoo/results.csv`, in place of an earlier one of the same thing.

    An earlier one is the row whose name, tag, metric and data set are the same.

    Args:
        row: dict with keys out of `COLUMNS`; those that are missing stay empty. A `value` is in
            the unit that the metric's name says ("top1_percent").

    Raises:
        UserError: a column is unknown, or name, tag, metric or value is missing.
    """
    if unknown := [key for key in row if key not in COLUMNS]:
        raise UserError(f"results.csv has no column {unknown[0]!r}, only {', '.join(COLUMNS)}.")
    if missing := [k for k in ("name", "tag", "metric", "value") if row.get(k) in (None, "")]:
        raise UserError(f"a row of results.csv needs {missing[0]!r}, found {row}.")
    new = {key: "" if row.get(key) is None else str(row[key]) for key in COLUMNS}
    key = _key(new)
    rows = [new if _key(old) == key else old for old in read_results()]
    if new not in rows:
        rows.append(new)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=_key))
    write_aside(sources.data_folder() / "results.csv", text.getvalue())


def _key(row):
    return row["name"], row["tag"], row["metric"], row["dataset"]


def facts(name, tag):
    """What the zoo knows of a name, for a row: counts, steps and what the paper printed.

    Returns:
        dict with `parameters`, `trainable_parameters`, `multiply_adds` (of one example), `steps`,
        `printed`, `printed_dataset`; the counts are those of the network that the tag builds.
    """
    model = zoo.build(name, tag=tag)
    record = model.zoo_record
    steps = record.arguments_of(tag).get("steps", 1)
    return {
        "parameters": model.count_params(),
        "trainable_parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        "multiply_adds": multiply_adds(model).total,
        "steps": ",".join(map(str, steps)) if isinstance(steps, tuple) else steps,
        "printed": record.paper.printed,
        "printed_dataset": record.paper.dataset,
    }


def results_table(headline=False):
    """A table of results, Markdown, from `zoo/results.csv`; one line a name and tag.

    Args:
        headline: Whether to give the README's, with fewer lines and columns.
    """
    head = ("name", "parameters", "multiply-adds", "steps", "data set", "measured")
    rule = "|---|--:|--:|--:|---|--:|"
    if not headline:
        head, rule = (*head, "printed (on)", "budget"), f"{rule}--:|---|"
    lines = [f"| {' | '.join(head)} |", rule]
    entries = {}
    for row in read_results():
        entries.setdefault((row["name"], row["tag"]), []).append(row)
    for (name, _), rows in entries.items():
        if headline and not any(fnmatch.fnmatchcase(name, pattern) for pattern in HEADLINE):
            continue
        # Where there is a whole training, nobody asks for one of a part.
        rows = [row for row in rows if not row["metric"].startswith(SUBSET)] or rows
        # The first accuracy is that after the last epoch; what else was measured follows it.
        rows = sorted(rows, key=lambda row: (row["printed"] == "", BEST_OF in row["metric"]))
        row = rows[0]
        seeds = f" ({row['seeds']} seeds)" if row["seeds"] not in ("", "1") else ""
        measured = _quantity(_value(row), row["metric"]) + seeds
        if not headline:
            measured += "".join(f"; {_beside(other, row)}" for other in rows[1:])
        best = next((_best_of(r) for r in rows if BEST_OF in r["metric"]), "")
        printed = _quantity(row["printed"], row["metric"].removeprefix(SUBSET))
        cells = (
            f"`{row['name']}`",
            _count(row["parameters"]),
            _count(row["multiply_adds"]),
            row["steps"],
            f"{row['dataset']} {row['split']}".strip(),
            measured,
            f"{printed} ({row['printed_dataset']}{best})" if row["printed"] else "",
            row["budget"],
        )
        lines.append(f"| {' | '.join(cells[: len(head)])} |")
    return "\n".join(lines) + "\n"


def _value(row):
    return row["value"] + (f" ± {row['std']}" if row["std"] else "")


def _beside(row, first):
    """What is measured beside the first row of an entry, in a few words."""
    if BEST_OF in row["metric"]:
        return f"{_best_of(row).removeprefix(', ')} {_value(row)} %"
    where = row["dataset"] if row["dataset"] != first["dataset"] else row["split"]
    return f"{where} {_value(row)} %"


def _best_of(row):
    return f", best of {row['metric'].removeprefix(BEST_OF).partition('_')[0]} epochs"


def _count(number):
    return f"{int(number):,}" if number else ""


def _quantity(value, metric):
    unit = metric.removesuffix("_percent")
    unit = unit.replace("top1", "top-1").replace("_", " ")
    return f"{value} % {unit}" if metric.endswith("_percent") else f"{value} {unit}"


def write_readme(root=ROOT):
    """Puts the tables of results between the marks of README.md and RESULTS.md."""
    write_between(root / "README.md", "headline", results_table(headline=True))
    write_between(root / "RESULTS.md", "results", results_table())
