"""`export`: a network for a server."""

import os
from pathlib import Path

from keras_recres.cli import images, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, show
from keras_recres.cli.terminal import working
from keras_recres.zoo import pictures

FORMATS = ("onnx", "litert", "openvino")
COLUMNS = [Column("path")]
ENDINGS = (".jpg", ".jpeg", ".png")


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
            "export cifar_small --directory repository --server triton",
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
        help="with weights of 8 bits",
    )
    p.add_argument(
        "--server",
        choices=("tensorflow", "triton", "openvino"),
        default="tensorflow",
        help="whose model repository is written",
    )
    p.add_argument(
        "--representative",
        type=Path,
        metavar="FOLDER",
        help="with --int8 and litert: typical JPEG and PNG files, for activations of 8 bits, too",
    )
    options.add_json(p)


def _export(arguments):
    record = options.check_network(arguments)
    _check_place(arguments.directory)
    pixels = _pictures(arguments, record) if arguments.representative else None
    model = options.load_network(arguments)
    from keras_recres import serve

    with working(f"exporting {record.name}"):
        try:
            path = serve.export(
                model,
                arguments.directory,
                version=arguments.version,
                formats=arguments.formats,
                quantize="int8" if arguments.int8 else None,
                representative=pixels,
                server=arguments.server,
            )
        except FileExistsError:
            if arguments.version is None:
                raise
            raise UserError(
                f"{str(arguments.directory)!r} has a version {arguments.version} of it already: "
                "leave out --version for the next one."
            ) from None
    show([{"path": str(path)}], COLUMNS, arguments.json)


def _pictures(arguments, record):
    """The pixels of a folder's images."""
    if not (arguments.int8 and "litert" in arguments.formats):
        raise UserError("--representative is for --format litert with --int8: give both.")
    channels = images.channels_of(record, record.default_tag)
    folder = arguments.representative
    files = [p for p in sorted(folder.glob("*")) if p.suffix.lower() in ENDINGS]
    if not files:
        raise UserError(f"there is no {', '.join(ENDINGS)} file in {str(folder)!r}.")
    pictures.pillow()
    try:
        return [pictures.decode(path.read_bytes(), channels) for path in files]
    except ValueError as error:
        raise UserError(f"{str(folder)!r}: {error}.") from None


def _check_place(directory):
    """Says before anything is loaded that a folder cannot be made or written."""
    parents = (directory, *directory.absolute().parents)
    there = next(path for path in parents if path.exists())
    if not there.is_dir():
        raise UserError(f"{str(there)!r} is not a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"the folder {str(there)!r} cannot be written.")
