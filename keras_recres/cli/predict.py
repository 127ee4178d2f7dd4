"""`predict`: class names and probabilities of images or texts, or the paths through mazes."""

import sys
from pathlib import Path

from keras_recres.cli import images, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, percent, show
from keras_recres.cli.terminal import progress_bar
from keras_recres.zoo import mazes, pictures
from keras_recres.zoo.text import words_of

COLUMNS = [
    Column("image"),
    Column("rank", right=True),
    Column("class"),
    Column("probability", format=percent, right=True),
]


# More than any that was tried took; who has found the path stops earlier.
STEPS_A_PIXEL = 10
PATHS = [
    Column("image"),
    Column("side", "cells a side", right=True),
    Column("steps", right=True),
    Column("pixels", "path, pixels", right=True),
    Column("connected", "from start to end"),
    Column("picture", whole=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "predict",
        _predict,
        "classify images or texts, or draw the paths through mazes",
        [
            "predict cifar_small cat.jpg",
            "predict vit3_rec *.png --top 3 --json",
            "predict vit3_rec.cifar10_jpeg cat.jpg --steps 2,6,2 --backend torch",
            "predict maze_rec maze.png --steps 60  (the path is drawn in maze.path.png)",
            "predict bilstm_imdb --text 'A wonderful film!' --text 'What a bore.'",
        ],
    )
    options.add_network(p)
    images_given = p.add_argument(
        "images", nargs="+", default=[], type=Path, metavar="IMAGE", help="image files"
    )
    # With "*", argparse would refuse those after an option that follows the name.
    images_given.required = False
    p.add_argument(
        "--text", action="append", default=[], help="a text, for a network that reads texts"
    )
    p.add_argument("--top", type=options.positive, default=5, help="classes an image; default 5")
    p.add_argument(
        "--batch-size", type=options.positive, default=64, help="images at once; default 64"
    )
    options.add_json(p)


def _predict(arguments):
    record = options.check_network(arguments)
    dataset = record.tags[record.default_tag].dataset if record.tags else ""
    if images.takes_texts(record) or arguments.text:
        return _predict_texts(arguments, record)
    if not arguments.images:
        raise UserError("no image is given: name image files.")
    of_mazes = dataset.startswith("mazes/")
    channels = 3 if of_mazes else images.channels_of(record, record.default_tag)
    missing = [path for path in arguments.images if not path.is_file()]
    if missing:
        raise UserError(f"there is no image file {str(missing[0])!r}.")
    pictures.pillow()
    decoded, unreadable = {}, 0
    for path in dict.fromkeys(arguments.images):
        try:
            pixels = pictures.decode(path.read_bytes(), channels)
            decoded[path] = mazes.from_picture(pixels) if of_mazes else pixels
        except ValueError as error:
            unreadable += 1
            print(f"error: {str(path)!r} {error}.", file=sys.stderr)
    if decoded and of_mazes:
        show(_paths(arguments, decoded), PATHS, arguments.json)
    elif decoded:
        show(_rows(arguments, decoded), COLUMNS, arguments.json)
    return 1 if unreadable else 0


def _rows(arguments, pixels):
    model = options.load_network(arguments)
    from keras_recres.zoo.evaluation import decode_predictions, logits_of

    with progress_bar("classifying", len(pixels)) as advance:
        logits = logits_of(model, [*pixels.values()], arguments.batch_size, advance)
    return _ranked("image", map(str, pixels), decode_predictions(model, logits, arguments.top))


def _predict_texts(arguments, record):
    if not images.takes_texts(record):
        raise UserError(f"{record.name} takes no texts, which --text is for.")
    if arguments.images or not arguments.text:
        raise UserError(f"{record.name} takes texts: give each with --text.")
    for text in arguments.text:
        if not words_of(text):
            raise UserError(f"--text {text!r} has no word to read.")
    model = options.load_network(arguments)
    from keras_recres.zoo.evaluation import decode_predictions, logits_of

    logits = logits_of(model, arguments.text, arguments.batch_size)
    decoded = decode_predictions(model, logits, arguments.top)
    columns = [Column("text"), *COLUMNS[1:]]
    show(_ranked("text", arguments.text, decoded), columns, arguments.json)
    return 0


def _ranked(key, examples, decoded):
    """A row for each of an example's likeliest classes."""
    return [
        {key: example, "rank": rank, "class": name, "index": index, "probability": probability}
        for example, likeliest in zip(examples, decoded, strict=True)
        for rank, (index, name, probability) in enumerate(likeliest, start=1)
    ]


def _paths(arguments, decoded):
    """Draws the path through each maze beside its picture."""
    rows = []
    with progress_bar("searching", len(decoded)) as advance:
        for path, (maze, scale) in decoded.items():
            steps = arguments.steps or STEPS_A_PIXEL * max(maze.shape)
            model = options.load_network(arguments, input_shape=maze.shape, steps=steps)
            from keras_recres.zoo.evaluation import logits_of

            answer = logits_of(model, maze[None])[0].argmax(-1)
            drawn = mazes.with_path(maze, answer).repeat(scale, 0).repeat(scale, 1)
            target = path.with_name(f"{path.stem}.path.png")
            pictures.pillow().fromarray(drawn).save(target)
            rows.append(
                {
                    "image": str(path),
                    "side": len(maze) // 2,
                    "steps": steps,
                    "pixels": int(answer.sum()),
                    "connected": "yes" if mazes.is_path(maze, answer) else "no",
                    "picture": str(target),
                }
            )
            advance(1)
    return rows
