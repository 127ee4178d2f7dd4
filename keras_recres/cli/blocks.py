"""`blocks`: the repeated and the residual blocks of a network."""

import sys

from keras_recres.cli import options
from keras_recres.cli.output import Column, count, show

COLUMNS = [
    Column("name", whole=True),
    Column("count", format=count, right=True),
    Column("parameters", format=count, right=True),
    Column("multiply_adds", "multiply-adds", count, right=True),
    Column("residual"),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "blocks",
        _blocks,
        "show the blocks that a network repeats, its residual ones, and why not others",
        ["blocks vit7", "blocks cifar_residual --untrained", "blocks mine/model.keras --json"],
    )
    options.add_network(p, untrained=True)
    options.add_json(p)


def _blocks(arguments):
    options.check_network(arguments)
    model = options.load_network(arguments)
    from keras_recres.models.blocks import search

    runs, others = search(model)
    rows = [{column.key: getattr(run, column.key) for column in COLUMNS} for run in runs]
    show(rows, COLUMNS, arguments.json)
    for names, reason in others:
        print(f"left alone: {names}: {reason}", file=sys.stderr)
