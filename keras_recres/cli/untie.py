"""`untie`: a recurrent network as the plain one that computes the same, saved."""

from pathlib import Path

from keras_recres.cli import options
from keras_recres.cli.errors import Failure
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import quietly

COLUMNS = [
    Column("file"),
    Column("layers", right=True),
    Column("parameters_before", "parameters before", count, right=True),
    Column("parameters", "and after", count, right=True),
    Column("difference", "largest difference", number, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "untie",
        _untie,
        "save a recurrent network with separate weights for every step",
        [
            "untie vit3_rec",
            "untie planar_rec --out plain.keras",
            "untie vit7_rec --untrained --out plain.weights.h5",
        ],
    )
    options.add_network(p, untrained=True)
    p.add_argument(
        "--out", type=Path, help="a .keras or .weights.h5 file; default NAME_untied.keras"
    )
    p.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    options.add_json(p)


def _untie(arguments):
    from keras_recres.cli import saving

    record = options.check_network(arguments)
    out = arguments.out or Path(f"{record.name}_untied.keras")
    saving.check_target(out, arguments.overwrite)
    model = options.load_network(arguments)
    from keras_recres import models

    plain = models.untie(model)
    error = saving.difference(model, plain)
    if not error <= saving.TOLERANCE:
        raise Failure(f"{out} was not written: the untied network differs by {error:.2g}.")
    with quietly(f"writing {out}"):
        saving.save(plain, out)
    row = {
        "file": str(out),
        "layers": len(plain.layers),
        "layers_before": len(model.layers),
        "parameters_before": model.count_params(),
        "parameters": plain.count_params(),
        "difference": error,
    }
    show([row], COLUMNS, arguments.json)
