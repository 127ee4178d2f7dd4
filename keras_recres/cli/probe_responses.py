"""`probe responses`: how strongly each 3 x 3 convolution of a network answers."""

from keras_recres.cli import datasets, figures, options
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import working

LIMIT = 256
COLUMNS = [
    Column("layer", whole=True),
    Column("std", "standard deviation", number, right=True),
    Column("rank", format=count, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "responses",
        _responses,
        "measure the standard deviation of each 3 x 3 convolution's responses, after the norm and "
        "before nonlinearity and sum",
        [
            "probe responses cifar_residual --untrained --data-dir DIR --plot responses.png",
            "probe responses mine/model.keras --dataset mine/held_out.csv --json",
        ],
    )
    options.add_network(p, untrained=True)
    datasets.add(p, LIMIT)
    figures.add(p)
    options.add_json(p)


def _responses(arguments):
    record = options.check_network(arguments)
    figures.check(arguments)
    dataset = datasets.find(arguments, record)
    options.start_keras(arguments.backend)
    split = datasets.read(dataset, arguments)
    model = options.load_network(arguments, **datasets.changes(dataset, split))
    from keras_recres.probes import layer_responses
    from keras_recres.zoo import evaluation

    x, _ = evaluation.arrays(model, split)
    with working("running it"):
        measured = layer_responses(model, x)
    figures.write(arguments, measured)
    title = f"{record.name} on {split.dataset}, {measured.examples:,} examples"
    show(measured.table(), COLUMNS, arguments.json, title=title)
