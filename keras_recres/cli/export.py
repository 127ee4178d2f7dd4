"""`export`: a network for a server."""

from pathlib import Path

from keras_recres.cli import options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, show
from keras_recres.cli.terminal import working

FORMATS = ("onnx", "litert", "openvino")
COLUMNS = [Column("path")]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "export",
        _export,
        "export a network for TensorFlow Serving, and verify it",
        [
            "export vit3_rec --directory models",
            "export cifar_small --directory models --format litert --int8",
        ],
    )
    options.add_network(p)
    p.add_argument("--directory", type=Path, required=True, help="it becomes DIRECTORY/NAME/1/…")
    p.add_argument("--version", type=options.positive, help="default the next free one")
    p.add_argument(
        "--format",
        choices=FORMATS,
        action="append",
        dest="formats",
        default=[],
        help="besides, in assets.extra; may be repeated",
    )
    p.add_argument(
        "--int8",
        action="store_true",
        help="with weights and products of 8 bits, by Keras' quantize",
    )
    options.add_json(p)


def _export(arguments):
    record = options.check_network(arguments)
    if arguments.directory.exists() and not arguments.directory.is_dir():
        raise UserError(f"{str(arguments.directory)!r} is no folder.")
    target = arguments.directory / record.name / str(arguments.version)
    if arguments.version and target.exists():
        raise UserError(f"{str(target)!r} is there already: leave out --version for the next one.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{str(target.parent)!r} cannot be made ({error.strerror}).") from None
    model = options.load_network(arguments)
    from keras_recres import serve

    with working(f"exporting {record.name}"):
        path = serve.export(
            model,
            arguments.directory,
            version=arguments.version,
            formats=arguments.formats,
            quantize="int8" if arguments.int8 else None,
        )
    show([{"path": str(path)}], COLUMNS, arguments.json)
