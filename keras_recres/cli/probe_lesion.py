"""`probe lesion`: what a network still knows with blocks deleted, or in another order."""

import argparse

from keras_recres.cli import datasets, figures, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import working

LIMIT = 1000
COLUMNS = [
    Column("kind"),
    Column("count", "blocks", count, right=True),
    Column("blocks", "which"),
    Column("kendall_tau", "Kendall τ", number, right=True),
    Column("accuracy", pipe_only=True),
    Column("error_percent", "error, %", "{:.2f}".format, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "lesion",
        _lesion,
        "measure accuracy with residual blocks deleted, each by itself or several at random, or "
        "run in another order",
        [
            "probe lesion vit7 --data-dir DIR --plot deleted.png",
            "probe lesion frn_tanh --data-dir DIR --delete 1-20 --plot several.png",
            "probe lesion mine/model.keras --dataset mine/held_out.csv --reorder 1,2,4,8",
        ],
    )
    options.add_network(p, untrained=True)
    datasets.add(p, LIMIT)
    p.add_argument("--blocks", nargs="+", metavar="NAME", help="of `blocks`, wildcards; all if not")
    what = p.add_mutually_exclusive_group()
    what.add_argument(
        "--delete", type=_counts, metavar="K", help="so many at random: 3, 1,2,4, 1-9"
    )
    what.add_argument("--reorder", type=_counts, metavar="K", help="so many pairs change places")
    p.add_argument("--repeats", type=options.positive, default=10, help="of each K; default 10")
    p.add_argument("--seed", type=int, default=0, help="of what is drawn; default 0")
    figures.add(p)
    options.add_json(p)


def _counts(text):
    """Integers with commas between, and ranges such as 1-9."""
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        first = options.positive(first)
        found += range(first, (options.positive(last) if dash else first) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"must be a range from less to more, found {text!r}")
    return found


def _lesion(arguments):
    record = options.check_network(arguments)
    figures.check(arguments)
    dataset = datasets.find(arguments, record)
    options.start_keras(arguments.backend)
    from keras_recres.probes import lesion, residual
    from keras_recres.zoo import evaluation

    model = options.load_network(arguments)
    # It refuses before the data are read, which takes longer.
    residual.runs(model, arguments.blocks, plain=True)
    split = datasets.read(dataset, arguments)
    if dataset.made:
        model = options.load_network(arguments, **datasets.changes(dataset, split))
    x, y = evaluation.arrays(model, split)
    if y.ndim > 1:
        raise UserError(f"{record.name} answers for each cell: this is for one answer an example.")
    with working("running without and in other orders"):
        measured = lesion(
            model,
            x,
            y,
            blocks=arguments.blocks,
            delete=arguments.delete,
            reorder=arguments.reorder,
            repeats=arguments.repeats,
            seed=arguments.seed,
        )
    figures.write(arguments, measured)
    title = f"{record.name} on {split.dataset}, {measured.examples:,} examples"
    show(measured.table(), COLUMNS, arguments.json, title=title)
