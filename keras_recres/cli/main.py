"""The command line: which commands there are."""

import argparse
import sys

from keras_recres import __version__
from keras_recres.cli import (
    benchmark,
    blocks,
    convert,
    download,
    errors,
    evaluate,
    export,
    listing,
    predict,
    probe,
    recurrent,
    train,
    untie,
)

COMMANDS = (
    *(listing, download, predict, evaluate, train, benchmark),
    *(probe, blocks, convert, export, untie, recurrent),
)


def parser():
    """The parser of all commands; `run` of what it returns is the command's function."""
    p = argparse.ArgumentParser(
        prog="keras-recres",
        description="Residual networks that spend computation instead of parameters.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  keras-recres list 'vit*'\n"
        "  keras-recres predict cifar_small cat.jpg\n"
        "  keras-recres train vit3_rec photos\n"
        "  keras-recres COMMAND --help\n"
        "\nOn a terminal results are tables, in a pipe tab-separated values, and JSON with --json."
        "\nExit codes: 0 done, 1 failed, 2 not what the command takes.",
    )
    p.add_argument("--version", action="version", version=f"keras-recres {__version__}")
    commands = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return p


def main(argv=None):
    """Runs a command line; returns its exit code."""
    # A character that the terminal's encoding lacks must not cost a result.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def command():
        arguments = parser().parse_args(argv)
        code = arguments.run(arguments)
        sys.stdout.flush()
        return code

    return errors.run(command)
