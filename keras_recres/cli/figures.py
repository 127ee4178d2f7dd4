"""What probes write beside their table: a picture and a CSV."""

import importlib.util
from pathlib import Path

from keras_recres.cli.errors import UserError


def add(p):
    """The options --csv and --plot."""
    p.add_argument("--csv", type=Path, help="write all rows")
    p.add_argument("--plot", type=Path, help="write a picture; its ending names the format")


def check(arguments, *others):
    """Refuses files that cannot be, `others` are pictures too, before anything takes time."""
    paths = [path for path in (arguments.csv, arguments.plot, *others) if path is not None]
    for path in paths:
        if not path.absolute().parent.is_dir():
            raise UserError(f"there is no folder {str(path.absolute().parent)!r}.")
    drawn = any(path is not arguments.csv for path in paths)
    if drawn and importlib.util.find_spec("matplotlib") is None:
        raise UserError("a picture needs matplotlib: pip install 'keras-recres[cli]'.")


def write(arguments, record):
    """Writes what is asked for of a probe's record."""
    if arguments.csv:
        record.to_csv(arguments.csv)
    if arguments.plot:
        record.plot(arguments.plot)
