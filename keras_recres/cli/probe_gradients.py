"""`probe gradients` and `probe gates`: what passes through the steps of a recurrence."""

from keras_recres.cli import figures, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, number, show
from keras_recres.cli.terminal import working

GRADIENTS = [
    Column("step", right=True),
    Column("gradient", "‖∂L/∂h_t‖", number, right=True),
    Column("jacobian", "‖∂h_T/∂h_t‖", number, right=True),
    Column("bound", format=number, right=True),
]
GATES = [
    Column("step", right=True),
    *(
        Column(name, format=number, right=True)
        for name in ("input", "forget", "output", "update", "reset")
    ),
    Column("product", "product", number, right=True),
    Column("carousel", "memory alone", number, right=True),
    Column("all_paths", "all paths", number, right=True),
]


def add(commands):
    """Adds the commands."""
    p = options.command(
        commands,
        "gradients",
        _gradients,
        "measure the gradient at each step of a recurrent layer in time, or of a block that is run "
        "several times in depth, on random inputs",
        [
            "probe gradients planar_rec --plot gradients.png",
            "probe gradients vit7_rec --layer block3 --inputs 2",
            "probe gradients jet_lstm --untrained --json",
        ],
    )
    _add(p)
    p.add_argument("--along", choices=("time", "depth"), help="default time if it has such a layer")
    p = options.command(
        commands,
        "gates",
        _gates,
        "measure the gates of an LSTM or GRU at each step, and what its memory alone carries, on "
        "random inputs",
        [
            "probe gates bilstm_imdb --plot gates.png",
            "probe gates jet_lstm --untrained --inputs 2 --csv gates.csv",
        ],
    )
    _add(p)


def _add(p):
    options.add_network(p, untrained=True)
    p.add_argument("--layer", help="its name; default the first that recurs")
    p.add_argument("--inputs", type=options.positive, default=8, help="random ones; default 8")
    p.add_argument(
        "--length", type=options.positive, default=32, help="of sequences that may have any"
    )
    figures.add(p)
    options.add_json(p)


def _gradients(arguments):
    def measure(model, x):
        from keras_recres.probes import gradient_flow

        along = arguments.along or ("time" if _recurs_in_time(model) else "depth")
        return gradient_flow(model, x, along=along, layer=arguments.layer)

    _measure(arguments, measure, GRADIENTS, "gradients at the steps")


def _gates(arguments):
    def measure(model, x):
        from keras_recres.probes import gates

        return gates(model, x, layer=arguments.layer)

    _measure(arguments, measure, GATES, "gates")


def _measure(arguments, measure, columns, title):
    record = options.check_network(arguments)
    figures.check(arguments)
    model = options.load_network(arguments)
    from keras_recres.models.random_inputs import random_inputs

    inputs = random_inputs(model, arguments.inputs, arguments.length)
    with working("running it forward and backward"):
        try:
            measured = measure(model, inputs[0] if len(inputs) == 1 else inputs)
        except ValueError as error:
            raise UserError(str(error).replace("`layer`", "--layer")) from None
    figures.write(arguments, measured)
    rows = measured.table()
    shown = [column for column in columns if any(row.get(column.key) is not None for row in rows)]
    told = f"{record.name}, {title} of {measured.layer!r}, {arguments.inputs} random inputs"
    show(rows, shown, arguments.json, title=told)


def _recurs_in_time(model):
    import keras

    from keras_recres.backend.keras_private import sublayers

    return any(isinstance(part, keras.layers.RNN) for part in sublayers(model))
