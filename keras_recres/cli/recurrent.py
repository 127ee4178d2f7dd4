"""`recurrent`: a network whose blocks run several times, or whose runs of blocks are one, saved."""

import argparse
from pathlib import Path

from keras_recres.cli import block_rules, options
from keras_recres.cli.errors import UserError
from keras_recres.cli.output import Column, count, number, show
from keras_recres.cli.terminal import quietly

COLUMNS = [
    Column("blocks", whole=True),
    Column("rule"),
    Column("parameters_before", "parameters before", count, right=True),
    Column("parameters", "and after", count, right=True),
    Column("multiply_adds_before", "multiply-adds before", count, right=True),
    Column("multiply_adds", "and after", count, right=True),
    Column("kernel_error", "error of kernels", number, right=True),
]


def add(commands):
    """Adds the command."""
    p = options.command(
        commands,
        "recurrent",
        _recurrent,
        "save a network whose residual blocks run several times, or whose equal blocks are one",
        [
            "recurrent mine/model.keras --repeat 'stage2*=2' --out deeper.keras",
            "recurrent vit7 --fold '*=16,keep=ends' --out folded.keras",
            "blocks mine/model.keras  (the names that patterns match)",
        ],
    )
    options.add_network(p, untrained=True)
    p.add_argument(
        "--repeat",
        type=_rule("repeat"),
        action="append",
        default=[],
        metavar="PATTERN=STEPS",
        help="run these blocks so often; begins as the network itself, unless residual_scale=none "
        "follows after a comma",
    )
    p.add_argument(
        "--fold",
        type=_rule("fold"),
        action="append",
        default=[],
        metavar="PATTERN=RANK",
        help="make one block of each of these runs, whose steps differ by matrices of a rank; 0 "
        "for none: train it on afterwards. After commas: init=first, last, average or "
        "least_squares, the kernel that the steps share, and keep=ends for ends left as they are",
    )
    p.add_argument("--out", type=Path, required=True, help="a .keras file")
    p.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    options.add_json(p)


def _rule(name):
    """An argument's type: a pattern and the arguments of a rule."""

    def typed(text):
        try:
            return block_rules.read(name, text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _recurrent(arguments):
    from keras_recres.cli import saving

    if not (arguments.repeat or arguments.fold):
        raise UserError("give --repeat or --fold, such as --repeat '*=2'.")
    if not arguments.out.name.endswith(".keras"):
        raise UserError(f"the file must end in .keras, found {str(arguments.out)!r}.")
    saving.check_target(arguments.out, arguments.overwrite)
    if options.of_file(arguments.name) and Path(arguments.name).is_file():
        # Any model's file, not only one of the zoo's.
        options.start_keras(arguments.backend)
        import keras

        from keras_recres.zoo import zoo_model  # noqa: F401 - Keras then knows the zoo's class

        model = keras.saving.load_model(arguments.name, compile=False)
    else:
        options.check_network(arguments)
        model = options.load_network(arguments)
    from keras_recres.models import recurrent, rules

    asked = {pattern: rules.repeat(**how) for pattern, how in arguments.repeat}
    asked |= {pattern: rules.fold(**how) for pattern, how in arguments.fold}
    new_model, table = recurrent(model, asked, verbose=False)
    with quietly(f"writing {arguments.out}"):
        saving.save(new_model, arguments.out)
    rows = [
        {
            "blocks": row.name,
            "rule": row.rule,
            "parameters_before": row.parameters[0],
            "parameters": row.parameters[1],
            "multiply_adds_before": row.multiply_adds[0],
            "multiply_adds": row.multiply_adds[1],
            "kernel_error": row.kernel_error,
        }
        for row in (*table.rows, table.total)
    ]
    show(rows, COLUMNS, arguments.json)
