"""`predict`: class names and probabilities of images."""

import sys
from pathlib import Path

from keras_recres.cli import images, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, percent, show
from keras_recres.cli.terminal import progress_bar
from keras_recres.zoo import pictures

COLUMNS = [
    Column("image"),
    Column("rank", right=True),
    Column("class"),
    Column("probability", format=percent, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "predict",
        _predict,
        "classify images",
        [
            "predict cifar_small cat.jpg",
            "predict vit3_rec *.png --top 3 --json",
            "predict vit3_rec.cifar10_jpeg cat.jpg --steps 2,6,2 --backend torch",
        ],
    )
    options.add_network(p)
    p.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    p.add_argument("--top", type=options.positive, default=5, help="classes an image; default 5")
    p.add_argument(
        "--batch-size", type=options.positive, default=64, help="images at once; default 64"
    )
    options.add_json(p)


def _predict(arguments):
    record = options.check_network(arguments)
    channels = images.channels_of(record, record.default_tag)
    missing = [path for path in arguments.images if not path.is_file()]
    if missing:
        raise UserError(f"there is no image file {str(missing[0])!r}.")
    pictures.pillow()
    decoded, unreadable = {}, 0
    for path in dict.fromkeys(arguments.images):
        try:
            decoded[path] = pictures.decode(path.read_bytes(), channels)
        except ValueError as error:
            unreadable += 1
            print(f"error: {str(path)!r} {error}.", file=sys.stderr)
    if decoded:
        show(_rows(arguments, decoded), COLUMNS, arguments.json)
    return 1 if unreadable else 0


def _rows(arguments, pixels):
    model = options.load_network(arguments)
    from keras_recres.zoo.evaluation import decode_predictions, logits_of

    with progress_bar("classifying", len(pixels)) as advance:
        logits = logits_of(model, [*pixels.values()], arguments.batch_size, advance)
    decoded = decode_predictions(model, logits, arguments.top)
    return [
        {
            "image": str(path),
            "rank": rank,
            "class": name,
            "index": index,
            "probability": probability,
        }
        for path, likeliest in zip(pixels, decoded, strict=True)
        for rank, (index, name, probability) in enumerate(likeliest, start=1)
    ]
