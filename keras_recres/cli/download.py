"""`download`: weights of the zoo, ahead of their first use or for a machine without network."""

from pathlib import Path

from keras_recres.cli import options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, show
from keras_recres.cli.terminal import working
from keras_recres.zoo import registry, sources

COLUMNS = [
    Column("file", whole=True),
    Column("megabytes", "MB", "{:.2f}".format, right=True),
    Column("licence"),
    Column("path"),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "download",
        _download,
        "download weights, ahead of their first use or for a machine without network",
        ["download vit7_rec", "download --all --to weights_for_the_cluster"],
    )
    p.add_argument("name", metavar="NAME", nargs="*", help="a name of the zoo, or NAME.TAG")
    p.add_argument("--all", action="store_true", help="every name that has weights of the zoo")
    p.add_argument(
        "--to",
        type=Path,
        help="a folder that KERAS_RECRES_ZOO shall name where they are used; default the cache",
    )
    options.add_json(p)


def _download(arguments):
    if bool(arguments.name) == arguments.all:
        raise UserError("give the names whose weights are wanted, or --all.")
    files = {}
    for name in arguments.name or [record.name for record in registry.list(trained=True)]:
        record, tag = registry.resolve(name)
        try:
            tags = record.trained_tags if arguments.all else [registry.trained_tag(record, tag)]
        except registry.Untrained as error:
            raise UserError(f"{error.what}: choose one of `keras-recres list --trained`.") from None
        if not {*tags} <= {*record.trained_tags}:
            raise UserError(
                f"{record.name!r} has weights of keras.applications, which Keras downloads at "
                "their first use."
            )
        files |= {sources.weights_file(record.name, t): record.licence(t) for t in tags}
    rows = []
    for file, licence in files.items():
        with working(f"downloading {Path(file).name}"):
            if arguments.to:
                path = sources.fetch(file, arguments.to, progress=False)
            else:
                path = sources.locate(file, offline=False, progress=False)
        size = path.stat().st_size / 1e6
        rows.append({"file": file, "megabytes": size, "licence": licence, "path": str(path)})
    show(rows, COLUMNS, arguments.json)
