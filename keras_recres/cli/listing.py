"""`list` and `info`: what the zoo has, read from its records without Keras."""

import sys

from keras_recres.cli import options
from keras_recres.cli.output import Column, count, print_json, show
from keras_recres.zoo import registry
from keras_recres.zoo.record import SOURCES

COLUMNS = [
    Column("name", whole=True),
    Column("family", pipe_only=True),
    Column("parameters", format=count, right=True),
    Column("multiply_adds", pipe_only=True),
    Column("weights"),
    Column("measured", format="{:g}".format, right=True),
    Column("measured_on", pipe_only=True),  # Its weights' data set.
    Column("printed", format="{:g}".format, right=True),
    Column("printed_on", "on"),
]
FACTS = [Column("fact", ""), Column("value", "")]


def add(commands):
    """Adds the two commands."""
    p = options.command(
        commands,
        "list",
        _list,
        "list the names of the zoo",
        ["list", "list 'vit*' --trained", "list --dataset mnist --sort accuracy --json"],
    )
    p.add_argument("pattern", nargs="*", default="*", help="wildcards, as in 'vit*_rec'")
    p.add_argument("--sort", choices=registry.SORTS, help="best or smallest first")
    trained = p.add_mutually_exclusive_group()
    trained.add_argument(
        "--trained", action="store_true", default=None, help="only names with weights"
    )
    trained.add_argument(
        "--untrained",
        action="store_false",
        dest="trained",
        default=None,
        help="only names without weights",
    )
    p.add_argument("--dataset", help="only names for this data set")
    p.add_argument("--source", choices=SOURCES, help="only names whose weights come from there")
    p.add_argument("--family", help="only names of this family, such as t2t_vit")
    p.add_argument(
        "--max-params",
        type=options.positive,
        help="only names whose network, as the paper has it, has at most so many parameters",
    )
    options.add_json(p)

    p = options.command(
        commands,
        "info",
        _info,
        "show what is known of a name: parameters, paper, weights, measurements",
        ["info vit3_rec", "info cifar_small.cifar10_jpeg --json"],
    )
    p.add_argument("name", metavar="NAME", help="a name of the zoo, or NAME.TAG")
    options.add_json(p)


def _list(arguments):
    records = registry.list(
        arguments.pattern,
        arguments.trained,
        arguments.dataset,
        arguments.max_params,
        arguments.family,
        arguments.sort,
        source=arguments.source,
    )
    show([record.row(arguments.dataset) for record in records], COLUMNS, arguments.json)
    if not records:
        # As grep does: a script can tell.
        print("nothing in the zoo matches.", file=sys.stderr)
        return 1
    return 0


def _info(arguments):
    record = registry.info(arguments.name)
    if arguments.json:
        results = [vars(result) for result in record.results]
        trained = [*record.trained_tags]
        weights = {tag: record.state(tag) for tag in trained}
        facts = {"trained_tags": trained, "weights": weights, "results": results}
        print_json({**record.to_dict(), **facts})
        return
    paper = record.paper
    facts = {
        "name": record.name,
        "family": record.family,
        "builder": f"models.{record.builder}",
        **{f"  {key}": value for key, value in record.arguments.items()},
        "parameters": f"{record.parameters.total:,}, {record.parameters.trainable:,} trainable",
        "multiply-adds": f"{record.multiply_adds:,}" if record.multiply_adds else None,
        "paper": paper.title,
        "  arXiv": paper.arxiv,
        "  where": paper.where,
        "  says": paper.says,
        "  built as": paper.architecture,
    }
    rows = [{"fact": key, "value": value} for key, value in facts.items() if value is not None]
    for tag, content in record.tags.items():
        state = record.state(tag)
        default = ", the default" if tag == record.default_tag else ""
        licence = f"; {record.licence(tag)}" if record.licence(tag) else ""
        facts = f"on {content.dataset}, {state}{default}{licence}"
        rows.append({"fact": "tag", "value": f"{tag} ({facts})"})
    rows += [{"fact": "measured", "value": str(result)} for result in record.results]
    show(rows, FACTS)
