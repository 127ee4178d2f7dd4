"""`probe signal`: lengths, correlations and gradients at initialisation, theory and measured."""

import csv
from pathlib import Path

from keras_recres.cli import options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, number, show
from keras_recres.cli.terminal import progress_bar
from keras_recres.zoo import registry

# What the theory needs to know of a network: the arguments of `mean_field.predict`.
NEEDED = {"kind", "activation", "depth"}
VARIANCES = ("sigma_w_sq", "sigma_b_sq", "sigma_v_sq", "sigma_a_sq")
QUANTITIES = {"p": "p", "e": "e", "chi_ratio": "χ₀/χ"}
COLUMNS = [
    Column("layer", right=True),
    *(
        column
        for key, title in QUANTITIES.items()
        for column in (
            Column(f"{key}_theory", f"{title}, theory", number, right=True),
            Column(f"{key}_measured", "measured", number, right=True),
            Column(f"{key}_standard_error", "± ", number, right=True),
        )
    ),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "signal",
        _signal,
        "compare mean-field theory with networks at initialisation, layer by layer, for the "
        "zoo's dense residual networks",
        [
            "probe signal frn_tanh",
            "probe signal rrn_tanh --depth 100 --width 500 --draws 32 --every 10 --csv signal.csv",
        ],
    )
    p.add_argument("name", metavar="NAME", help="such as frn_tanh")
    p.add_argument("--draws", type=options.positive, default=16, help="networks; default 16")
    p.add_argument("--depth", type=options.positive, help="layers; default the name's")
    p.add_argument("--width", type=options.positive, help="features; default the name's")
    p.add_argument("--every", type=options.positive, help="show each N-th layer")
    p.add_argument("--seed", type=int, default=0, help="of the weights; default 0")
    p.add_argument("--csv", type=Path, help="write all layers")
    options.add_backend(p)
    options.add_json(p)


def _signal(arguments):
    record = registry.info(arguments.name)
    if not record.arguments.keys() >= NEEDED:
        names = ", ".join(r.name for r in registry.list() if r.arguments.keys() >= NEEDED)
        raise UserError(
            f"the theory is of dense residual networks without normalisation, which {record.name} "
            f"is not: this works for {names}."
        )
    if arguments.draws < 2:
        raise UserError("--draws must be at least 2 for a standard error, found 1.")
    if arguments.csv is not None and not arguments.csv.absolute().parent.is_dir():
        raise UserError(f"there is no folder {str(arguments.csv.absolute().parent)!r}.")
    options.start_keras(arguments.backend)
    rows = _rows(record, arguments)
    if arguments.csv:
        with open(arguments.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [column.key for column in COLUMNS])
            writer.writeheader()
            writer.writerows(rows)
    depth = len(rows) - 1
    every = arguments.every or max(1, depth // 10)
    # JSON and pipes get what was asked for; all layers unless fewer were.
    shown = [row for row in rows if row["layer"] % every == 0 or row["layer"] == depth]
    show(shown, COLUMNS, arguments.json, title=f"{record.name}, {arguments.draws} networks")


def _rows(record, arguments):
    """A dict for every layer."""
    import keras

    from keras_recres import zoo
    from keras_recres.probes import mean_field

    given = {"depth": arguments.depth, "width": arguments.width}
    given = {key: value for key, value in given.items() if value is not None}
    used = {**record.arguments_of(), **given}
    kind, activation, depth = used["kind"], used["activation"], used["depth"]
    theory = mean_field.predict(
        kind,
        activation,
        depth,
        alpha=used.get("alpha", 0.75) if activation == "alpha_relu" else None,
        **{key: used[key] for key in VARIANCES if key in used},
    )
    # The networks are not what is measured here but for their layers: no preprocessing, no head.
    model = zoo.build(record.name, **given)
    with progress_bar(f"{arguments.draws} networks", arguments.draws) as advance:
        measured = mean_field.measure(
            model, draws=arguments.draws, seed=arguments.seed, advance=advance
        )
    keras.backend.clear_session()
    rows = [{"layer": layer} for layer in range(depth + 1)]
    for key in QUANTITIES:
        values = {
            "theory": getattr(theory, key),
            "measured": getattr(measured, key),
            "standard_error": measured.standard_error(key),
        }
        for what, column in values.items():
            for row, value in zip(rows, column, strict=True):
                row[f"{key}_{what}"] = float(value)
    return rows
