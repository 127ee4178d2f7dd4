"""A user's mistake ends in one sentence and exit code 2, never in the stack of a library."""

import difflib
import errno
import os
import sys
from pathlib import Path

# What a disk, and no mistake in the code, may say at any time.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


# Not the class of keras_recres.cli, whose package imports Keras: travel/device.py runs before any
# Keras is installed, and it and all that it imports raise this one.
class UserError(Exception):
    """What was wrong, what was found and what to do, in one sentence."""


def nearest(name, names):
    """Returns ``" Did you mean 'x'?"`` for the closest of ``names``, or an empty string.

    Example:
        >>> nearest("cifar", ["cifar10", "mnist"])
        " Did you mean 'cifar10'?"
    """
    close = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def output_folder(path):
    """Makes a folder for results, where there is none yet.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {path} cannot be written ({error.strerror}).") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"--out {path} cannot be written.")


def run(main, argv=None):
    """Runs a command line and turns its outcome into an exit code.

    Args:
        main: a function of the arguments (a list of str, or None for ``sys.argv[1:]``).
        argv: those arguments.

    Returns:
        What ``main`` returned (None counts as 0), 2 after a ``UserError`` or where a disk is full
        or not to be written, 130 after Ctrl-C.
    """
    try:
        return main(argv) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"interrupted{f': {stop}' if str(stop) else ''}.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `... | head` closed our output: nothing left to say.
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in DISK:
            raise
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {os.strerror(error.errno)}{where}", file=sys.stderr)
        return 2
