"""`evaluate`: how often a network is right on a data set of this disk."""

import importlib.util
from pathlib import Path

from keras_recres.cli import datasets, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, show
from keras_recres.cli.terminal import progress_bar

STEPS = Column("steps", format=count, right=True)
CELLS = Column("cells_percent", "cells %", "{:.3f}".format, right=True)
COLUMNS = [
    Column("name"),
    Column("tag"),
    STEPS,
    Column("dataset", "data set"),
    Column("split"),
    Column("precision"),
    Column("images", "examples", count, right=True),
    Column("top1_percent", "top-1 %", "{:.2f}".format, right=True),
    Column("standard_error_percent", "standard error", "{:.2f}".format, right=True),
    CELLS,
    Column("loss", format="{:.4f}".format, right=True),
    Column("images_per_second", "examples/s", "{:,.0f}".format, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "evaluate",
        _evaluate,
        "measure top-1 accuracy on a folder of images, or a data set that TFDS prepared",
        [
            "evaluate mine/model.keras --dataset mine/held_out.csv",
            "evaluate vit3_rec --data-dir ~/tensorflow_datasets",
            "evaluate cifar_small --data-dir DIR --limit 1000 --json",
            "evaluate frn_tanh --data-dir DIR --int8",
            "evaluate cifar_small --data-dir DIR --file "
            "models/cifar_small/1/assets.extra/cifar_small.tflite",
            "evaluate vit7_rec --data-dir DIR --at-steps 1,2,3,4 --plot steps.png",
            "evaluate prefix_sum_rec --dataset prefix_sums/128 --at-steps 25,50,100",
        ],
    )
    options.add_network(p)
    datasets.add(p)
    p.add_argument("--batch-size", type=options.positive, default=128)
    p.add_argument(
        "--at-steps",
        type=options.several,
        metavar="N,N,…",
        help="measure with so many steps of all recurrent blocks, one row each",
    )
    p.add_argument("--plot", type=Path, help="with --at-steps: draw accuracy against steps here")
    p.add_argument("--int8", action="store_true", help="besides, with 8-bit dense layers")
    p.add_argument(
        "--file",
        type=Path,
        help="besides, as this file of `export` computes it: .tflite, .onnx or .xml",
    )
    options.add_json(p)


def _evaluate(arguments):
    record = options.check_network(arguments)
    tag, at_steps = record.default_tag, arguments.at_steps
    _check_steps(arguments, record.arguments_of(tag), record.name)
    dataset = datasets.find(arguments, record)
    options.start_keras(arguments.backend)
    from keras_recres.zoo import evaluation

    split, tried = datasets.read(dataset, arguments), at_steps or [arguments.steps]
    changes = datasets.changes(dataset, split)
    rows = []
    total = len(split.data) * len(tried) * (1 + arguments.int8 + bool(arguments.file))
    with progress_bar("measuring", total) as advance:
        for steps in tried:
            model = options.load_network(arguments, steps=steps, **changes)
            networks = {model.compute_dtype: model}
            if arguments.int8:
                from keras_recres import serve

                networks["int8"] = serve.quantized(model)
            if arguments.file:
                from keras_recres.serve.int8 import FromFile

                networks[arguments.file.name] = FromFile(model, arguments.file)
            for precision, network in networks.items():
                measured = evaluation.measure(network, split, arguments.batch_size, advance)
                facts = {"name": record.name, "tag": tag, "steps": steps, "precision": precision}
                rows.append({**facts, **measured})
    shown = [column for column in COLUMNS if column is not STEPS or at_steps]
    show(rows, [column for column in shown if column is not CELLS or dataset.made], arguments.json)
    if arguments.plot:
        _draw(rows, arguments.plot)


def _check_steps(arguments, of_network, name):
    """Refuses what --at-steps and --plot cannot be, before anything takes time."""
    if arguments.plot:
        if not arguments.at_steps:
            raise UserError("--plot draws what --at-steps measures: give that, too.")
        if not arguments.plot.absolute().parent.is_dir():
            raise UserError(f"there is no folder {str(arguments.plot.absolute().parent)!r}.")
        if importlib.util.find_spec("matplotlib") is None:
            raise UserError("--plot needs matplotlib: pip install 'keras-recres[cli]'.")
    if arguments.file:
        if not arguments.file.is_file():
            raise UserError(f"there is no file {str(arguments.file)!r}.")
        if arguments.at_steps or arguments.steps:
            raise UserError("--file has the steps that it was exported with: leave out others.")
    if arguments.at_steps and arguments.steps:
        raise UserError("--steps and --at-steps exclude each other: give one of them.")
    if arguments.at_steps and "steps" not in of_network:
        raise UserError(f"{name} has no recurrent blocks, which --at-steps is for.")


def _draw(rows, path):
    """Accuracy against steps, with its standard error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for precision in dict.fromkeys(row["precision"] for row in rows):
        some = [row for row in rows if row["precision"] == precision]
        keys = ("steps", "top1_percent", "standard_error_percent")
        axes.errorbar(*([row[key] for row in some] for key in keys), marker="o", label=precision)
    if len(rows) > len(some):
        axes.legend()
    axes.set(
        title=f"{rows[0]['name']} on {rows[0]['dataset']}, {rows[0]['images']:,} examples",
        xlabel="steps of each recurrent block",
        ylabel="top-1 accuracy (%)",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
