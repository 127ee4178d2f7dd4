"""`train`: a network of the zoo, fine-tuned on a folder of images."""

import argparse
import csv
import importlib.util
import json
import shlex
import sys
from pathlib import Path

from keras_recres.cli import images, options, saving
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, finite, show
from keras_recres.cli.terminal import quietly, working
from keras_recres.zoo import drawing, image_folder

COLUMNS = [
    Column("file", whole=True),
    Column("images", "held-out images", format=count, right=True),
    Column("top1_percent", "top-1 %", "{:.1f}".format, right=True),
    Column("low_percent", "95 % from", "{:.1f}".format, right=True),
    Column("high_percent", "to", "{:.1f}".format, right=True),
    Column("seconds", format="{:.0f}".format, right=True),
    Column("peak_memory_bytes", pipe_only=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "train",
        _train,
        "fine-tune a network on a folder of images",
        [
            "train vit3_rec photos  (photos/lemon/1.jpg, photos/lime/2.jpg, …)",
            "train cifar_small labels.csv --augment --epochs 30 --out fruit",
        ],
    )
    p.add_argument(
        "name", metavar="NAME", help="a name of the zoo with weights, NAME.TAG, or a .keras file"
    )
    p.add_argument(
        "folder",
        metavar="FOLDER",
        type=Path,
        help="a subfolder for each class, or train/ and val/ with these, or a CSV of path and "
        "label; without val/ a fifth of each class is held out",
    )
    p.add_argument("--epochs", type=options.positive, default=10, help="default 10")
    p.add_argument(
        "--freeze-epochs",
        type=_natural,
        default=2,
        help="in the first so many of them only the head learns; default 2",
    )
    p.add_argument(
        "--size", type=options.positive, help="side of the images in pixels; default the network's"
    )
    p.add_argument(
        "--augment", action="store_true", help="mirror half of the images, and shift them"
    )
    p.add_argument("--seed", type=_natural, default=0, help="default 0")
    p.add_argument("--out", type=Path, help="folder to write; default NAME.FOLDER")
    options.add_backend(p)
    options.add_json(p)
    p.set_defaults(steps=None)


def _natural(text):
    """An integer of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, found {text!r}")
    return int(text)


def _train(arguments):
    record = options.check_network(arguments)
    images.channels_of(record, record.default_tag)
    image_folder.find(arguments.folder).split(arguments.seed)
    called = Path(arguments.name).stem if options.of_file(arguments.name) else arguments.name
    out = arguments.out or Path(f"{called}.{arguments.folder.resolve().stem}")
    _check_out(out, arguments.folder)
    network = arguments.name
    if options.of_file(network):
        network = options.load_network(arguments)
    else:
        options.start_keras(arguments.backend)
    from keras_recres import zoo

    model, record = zoo.fine_tune(
        network,
        arguments.folder,
        epochs=arguments.epochs,
        freeze_epochs=arguments.freeze_epochs,
        seed=arguments.seed,
        size=arguments.size,
        augment=arguments.augment,
    )
    with working(f"writing {out}"):
        _write(out, model, record)
    low, high = record["interval_percent"]
    row = {"file": str(out / "model.keras"), "low_percent": low, "high_percent": high}
    row |= {column.key: record[column.key] for column in COLUMNS if column.key in record}
    show([{**record, **row} if arguments.json else row], COLUMNS, arguments.json)
    _tell(out, record, arguments.backend)
    return 130 if record["interrupted"] else 0


def _check_out(out, folder):
    """Refuses, before anything is trained, what could not be written or would be read as images."""
    for module in ("matplotlib", "PIL"):
        if importlib.util.find_spec(module) is None:
            raise UserError("train needs matplotlib and Pillow: pip install 'keras-recres[cli]'.")
    if folder.is_dir() and out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{str(out)!r} lies in {str(folder)!r}, whose folders are classes.")
    if (out / "model.keras").exists():
        raise UserError(f"{str(out / 'model.keras')!r} is there already: give another --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{str(out)!r} cannot be written ({error.strerror}).") from None


def _write(out, model, record):
    from keras_recres.zoo import fine_tuning

    # The model first: it is what took the time.
    with quietly("saving"):
        saving.save(model, out / "model.keras")
    _write_metrics(out, record)
    with open(out / "held_out.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, record["predictions"][0])
        rows.writeheader()
        for row in record["predictions"]:
            rows.writerow({**row, "path": Path(row["path"]).resolve()})
    curve = [{**row, "epoch": row["epoch"] - 1} for row in record["log"]]
    watched = sum(one["watched"] for one in record["classes"].values())
    title = f"{record['network']} on {Path(record['folder']).name}, evaluated on {watched} watched"
    drawing.draw(curve, out / "curve.png", title)
    drawing.confusion(record["confusion"], [*record["classes"]], out / "confusion.png")
    drawing.mistakes(record["predictions"], out / "mistakes.png")
    # Drawing takes memory, too.
    record["peak_memory_bytes"] = fine_tuning.peak_memory()
    _write_metrics(out, record)


def _write_metrics(out, record):
    text = json.dumps(finite(record), indent=2, allow_nan=False)
    (out / "metrics.json").write_text(text + "\n", encoding="utf-8")


def _tell(out, record, backend):
    """What was reached, and what to do next, on stderr."""
    low, high = record["interval_percent"]
    done, asked = len(record["log"]), record["settings"]["epochs"]
    ended = "interrupted" if record["interrupted"] else "ended"
    memory = record["peak_memory_bytes"]
    print(
        f"{ended} after {done} of {asked} epochs, {record['seconds']:.0f} s"
        f"{f' and at most {memory / 1e6:,.0f} MB of memory' if memory else ''}; the best was epoch "
        f"{record['best_epoch']}.\n{record['right']:,} of {record['images']:,} held-out images are "
        f"right: {record['top1_percent']:.1f} % (95 % interval {low:.1f} to {high:.1f} %).\n"
        f"{out} has model.keras, metrics.json, held_out.csv, curve.png, confusion.png and "
        "mistakes.png. Next:",
        file=sys.stderr,
    )
    model, more = out / "model.keras", f" --backend {backend}" if backend else ""
    for command in (
        ["predict", model, record["predictions"][0]["path"]],
        ["evaluate", model, "--dataset", out / "held_out.csv"],
        ["export", model, "--directory", out / "served"],
    ):
        print(f"  keras-recres {shlex.join(map(str, command))}{more}", file=sys.stderr)
