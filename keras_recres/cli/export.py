"""`export`: a network for servers and other runtimes."""

from pathlib import Path

from keras_recres.cli import options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, show
from keras_recres.cli.terminal import working

FORMATS = ("savedmodel", "onnx", "litert", "openvino")
COLUMNS = [Column("path")]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "export",
        _export,
        "export a network for TensorFlow Serving, ONNX, LiteRT or OpenVINO, and verify it",
        [
            "export vit3_rec --directory models",
            "export cifar_small --directory models --format savedmodel --format onnx",
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
        help="may be repeated; default savedmodel",
    )
    options.add_json(p)


def _export(arguments):
    record = options.check_network(arguments)
    if arguments.directory.exists() and not arguments.directory.is_dir():
        raise UserError(f"{str(arguments.directory)!r} is no folder.")
    model = options.load_network(arguments)
    from keras_recres import serve

    asked = {"formats": tuple(arguments.formats)} if arguments.formats else {}
    with working(f"exporting {record.name}"):
        path = serve.export(model, arguments.directory, version=arguments.version, **asked)
    show([{"path": str(path)}], COLUMNS, arguments.json)
