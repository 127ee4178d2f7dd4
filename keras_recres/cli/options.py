"""What several commands have in common: options, numbers, loading a network."""

import argparse
import importlib
import os
import sys
from pathlib import Path

from keras_recres.cli.errors import UserError
from keras_recres.cli.terminal import quietly
from keras_recres.zoo import keras_file, registry, saved

BACKENDS = ("tensorflow", "jax", "torch")


def command(commands, name, run, summary, examples):
    """A subcommand's parser, with examples under its help.

    Args:
        commands: What `add_subparsers` returned.
        name: Its name.
        run: Function of the parsed arguments.
        summary: One sentence.
        examples: List of command lines, without "keras-recres".
    """
    p = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["examples:", *(f"  keras-recres {line}" for line in examples)]),
    )
    p.set_defaults(run=run)
    return p


def add_json(p):
    """The option --json."""
    p.add_argument("--json", action="store_true", help="write JSON to stdout")


def add_backend(p):
    """The option --backend."""
    p.add_argument(
        "--backend", choices=BACKENDS, help="what computes; default KERAS_BACKEND, or tensorflow"
    )


def add_network(p, untrained=False):
    """The options that say which network, with which weights."""
    p.add_argument(
        "name",
        metavar="NAME",
        help="a name of the zoo, NAME.TAG, a .keras file of one of them, a folder of zoo.save "
        "(./FOLDER), or hf://USER/REPO",
    )
    p.add_argument("--weights", type=Path, help="a .weights.h5 file instead of the zoo's weights")
    p.add_argument("--steps", type=steps, help="run each block so often: 2, or 2,4,2")
    if untrained:
        p.add_argument(
            "--untrained", action="store_true", help="the network as the paper has it, not trained"
        )
    add_backend(p)


def positive(text):
    """An integer of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, found {text!r}")
    return value


def steps(text):
    """An integer, or several with commas between."""
    values = several(text)
    return values if len(values) > 1 else values[0]


def several(text):
    """Integers with commas between."""
    return [positive(part) for part in text.split(",")]


def of_file(name):
    """Whether a NAME is that of a model that was saved: a file, a folder, or on the hub."""
    return name.endswith(".keras") or saved.is_one(name)


def check_network(arguments):
    """The record of the network asked for; says without Keras what cannot be loaded."""
    if of_file(arguments.name):
        for option in ("weights", "steps", "at_steps", "untrained"):
            if getattr(arguments, option, None):
                told = f"--{option.replace('_', '-')}"
                raise UserError(f"{told} is for a name of the zoo: a saved model has its own.")
        if not arguments.name.endswith(".keras"):
            return keras_file.facts(saved.folder_of(arguments.name))[0]
        if not Path(arguments.name).is_file():
            raise UserError(f"there is no file {arguments.name!r}.")
        return keras_file.facts(arguments.name)[0]
    record = registry.info(arguments.name)
    if getattr(arguments, "untrained", False):
        if arguments.weights:
            raise UserError("--untrained and --weights exclude each other: give one of them.")
    elif getattr(arguments, "weights", None) is None:
        try:
            registry.trained_tag(record, record.default_tag)
        except registry.Untrained as error:
            instead = " or --untrained" if hasattr(arguments, "untrained") else ""
            instead = f"give --weights FILE{instead}"
            if not hasattr(arguments, "weights"):
                instead = "choose one of `keras-recres list --trained`"
            raise UserError(f"{error.what}: {instead}.") from None
    elif not arguments.weights.is_file():
        raise UserError(f"there is no weights file {str(arguments.weights)!r}.")
    return record


def load_network(arguments, **changes):
    """Imports Keras and loads the network that `check_network` found possible.

    Args:
        arguments: What was parsed.
        **changes: Arguments of `zoo.load` beside them.
    """
    start_keras(arguments.backend)
    from keras_recres import zoo
    from keras_recres.zoo import loading, zoo_model

    if of_file(arguments.name):
        if arguments.name.endswith(".keras"):
            return zoo_model.read(arguments.name)
        return zoo.load(arguments.name)
    name, weights = arguments.name, arguments.weights or "default"
    changes = {"steps": arguments.steps, **changes}
    if getattr(arguments, "untrained", False):
        weights = None
    record = registry.info(name)
    if not arguments.weights or not record.default_tag or loading.tag_of_file(record, weights):
        return zoo.load(name, weights=weights, **changes)
    # The file's name does not say what it was trained on: the network that the zoo's name means
    # without a file comes first, then the paper's, which official checkpoints are of.
    try:
        model = zoo.load(f"{record.name}.{record.default_tag}", weights=weights, **changes)
        if name == record.name:
            model.class_names = None  # Its classes may be as many, and others.
        return model
    except ValueError:
        if name != record.name:
            raise
    return zoo.load(name, weights=weights, **changes)


def start_keras(backend=None):
    """Imports Keras, on a backend if one is named."""
    if backend and "keras" in sys.modules:
        used = sys.modules["keras"].backend.backend()
        if used != backend:
            raise UserError(f"Keras runs on {used} in this process already, not on {backend}.")
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    # The user need not see TensorFlow's start-up lines.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quietly("starting Keras"):
        try:
            importlib.import_module("keras_recres.layers")
        except ModuleNotFoundError as error:
            if error.name not in BACKENDS:
                raise
            raise UserError(
                f"the backend {error.name} is not installed: pip install "
                f"'keras-recres[{error.name}]', or choose another with --backend."
            ) from None
