"""`probe receptive`: which part of the input each layer of a network sees."""

import sys
from pathlib import Path

import numpy as np

from keras_recres.cli import datasets, figures, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, show
from keras_recres.cli.terminal import working

LIMIT = 500


def _sides(value):
    """(3, 3) as "3 x 3"."""
    return " x ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


COLUMNS = [
    Column("layer", whole=True),
    *(Column(key, right=True) for key in ("size", "stride", "offset", "effective")),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "receptive",
        _receptive,
        "tell size, stride and offset of the part of the input that each layer sees, exactly, and "
        "draw the patches of images that units answer most strongly",
        [
            "probe receptive cifar_small --plot fields.png",
            "probe receptive cifar_small --effective 8 --csv fields.csv",
            "probe receptive cifar_small --patches conv3 --units 0,1,2 --picture top.png "
            "--data-dir DIR",
        ],
    )
    options.add_network(p, untrained=True)
    p.add_argument(
        "--layers", nargs="+", metavar="LAYER", help="only these; else all that widen it"
    )
    p.add_argument(
        "--effective",
        type=options.positive,
        metavar="N",
        help="measure the effective fields, too, by gradients for N random inputs",
    )
    p.add_argument("--patches", metavar="LAYER", help="whose units' patches are drawn")
    p.add_argument("--units", type=_units, help="channels of it: 0,1,2; default the first eight")
    p.add_argument("--picture", type=Path, help="where the patches are drawn")
    p.add_argument("--seed", type=int, default=0, help="of the random inputs; default 0")
    datasets.add(p, LIMIT)
    figures.add(p)
    options.add_json(p)


def _units(text):
    """Integers from 0 on with commas between."""
    return [options.positive(str(int(part) + 1)) - 1 for part in text.split(",")]


def _receptive(arguments):
    record = options.check_network(arguments)
    figures.check(arguments, arguments.picture)
    if bool(arguments.patches) != bool(arguments.picture):
        raise UserError("--patches and --picture go together: the layer, and where to draw.")
    dataset = datasets.find(arguments, record) if arguments.patches else None
    model = options.load_network(arguments)
    from keras_recres import probes

    x = None
    if arguments.effective:
        rng = np.random.default_rng(arguments.seed)
        shape = (side or 64 for side in model.input_shape[1:])
        x = rng.standard_normal((arguments.effective, *shape)).astype("float32")
    with working("following the graph"):
        if arguments.layers:
            rows = [probes.receptive_field(model, name, x=x) for name in arguments.layers]
            fields = probes.ReceptiveFields(tuple(rows), model.input_shape[1:-1])
        else:
            fields = probes.receptive_field(model, x=x)
    figures.write(arguments, fields)
    if arguments.patches:
        _draw(arguments, model, dataset)
    columns = [column for column in COLUMNS if x is not None or column.key != "effective"]
    rows = [
        {key: v if arguments.json or key == "layer" else v and _sides(v) for key, v in row.items()}
        for row in fields.table()
    ]
    sides = _sides([side or "?" for side in fields.sides])
    show(rows, columns, arguments.json, title=f"{record.name}, cells of an input of {sides}")
    if fields.unknown:
        layer, reason = fields.unknown
        print(f"left out: what is behind {layer}: {reason}", file=sys.stderr)


def _draw(arguments, model, dataset):
    """The patches of the layer's units."""
    from keras_recres.probes import top_patches
    from keras_recres.zoo import evaluation

    x, _ = evaluation.arrays(model, datasets.read(dataset, arguments))
    channels = next((y.output.shape[-1] for y in model.layers if y.name == arguments.patches), 1)
    units = arguments.units or range(min(8, channels))
    with working("looking for patches"):
        top_patches(model, arguments.patches, units, x).plot(arguments.picture)
