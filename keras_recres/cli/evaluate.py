"""`evaluate`: how often a network is right on a data set of this disk."""

import os
from pathlib import Path

from keras_recres.cli import images, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, show
from keras_recres.cli.terminal import progress_bar, quietly
from keras_recres.zoo import pictures, tfds_folder

# CIFAR-10 with other pixels, which TFDS knows by no name of its own.
RE_ENCODED = "_jpeg"
COLUMNS = [
    Column("name"),
    Column("tag"),
    Column("dataset", "data set"),
    Column("split"),
    Column("precision"),
    Column("images", format=count, right=True),
    Column("top1_percent", "top-1 %", "{:.2f}".format, right=True),
    Column("standard_error_percent", "standard error", "{:.2f}".format, right=True),
    Column("loss", format="{:.4f}".format, right=True),
    Column("images_per_second", "images/s", "{:,.0f}".format, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "evaluate",
        _evaluate,
        "measure top-1 accuracy on a data set that TensorFlow Datasets prepared",
        [
            "evaluate vit3_rec --data-dir ~/tensorflow_datasets",
            "evaluate cifar_small --data-dir DIR --limit 1000 --json",
            "evaluate frn_tanh --data-dir DIR --int8",
        ],
    )
    options.add_network(p)
    p.add_argument(
        "--data-dir",
        type=Path,
        help="folder with NAME/VERSION, itself or one level down; default TFDS_DATA_DIR or "
        "~/tensorflow_datasets",
    )
    p.add_argument("--dataset", help="another data set of the same classes")
    p.add_argument(
        "--split", default="evaluation", help="default test, or validation where there is none"
    )
    p.add_argument("--limit", type=options.positive, help="only the first so many images")
    p.add_argument("--batch-size", type=options.positive, default=128)
    p.add_argument("--int8", action="store_true", help="besides, with 8-bit dense layers")
    options.add_json(p)


def _evaluate(arguments):
    record = options.check_network(arguments)
    tag = record.default_tag
    images.channels_of(record, tag)
    dataset = arguments.dataset or record.tags[tag].dataset
    # A copy of other pixels lies in a folder called as the original.
    original = dataset.removesuffix(RE_ENCODED)
    version = _find(original, arguments.data_dir)
    pictures.pillow()
    options.start_keras(arguments.backend)
    with quietly(f"reading {dataset}"):
        split = tfds_folder.read(original, arguments.split, version, arguments.limit)
    model = options.load_network(arguments)
    from keras_recres.zoo.evaluation import measure

    networks = {model.compute_dtype: model}
    if arguments.int8:
        from keras_recres import serve

        networks["int8"] = serve.quantized(model)
    facts, rows = {"name": record.name, "tag": tag}, []
    with progress_bar("measuring", len(split.data) * len(networks)) as advance:
        for precision, network in networks.items():
            measured = measure(network, split, arguments.batch_size, advance)
            rows.append({**facts, "precision": precision, **measured})
    show(rows, COLUMNS, arguments.json)


def _find(dataset, folder):
    """The folder of the data set's newest version."""
    if folder is None:
        folder = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {str(folder)!r}: give the data sets' with --data-dir.")
    parents = (folder, *sorted(path for path in folder.glob("*") if path.is_dir()))
    for parent in parents:
        if version := tfds_folder.find(dataset, parent):
            return version
    prepared = sorted({name for parent in parents for name in tfds_folder.prepared(parent)})
    raise UserError(
        f"{dataset!r} is not in {folder}: there is no {dataset}/VERSION/{tfds_folder.INFO}; data "
        f"sets there: {', '.join(prepared) or 'none'}."
    )
