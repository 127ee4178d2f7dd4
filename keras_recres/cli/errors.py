"""How a command ends: 0 done, 1 failed, 2 not what it takes, 130 interrupted."""

import os
import sys


class UserError(Exception):
    """What was asked for is not possible: what was found and what to do, in one sentence."""


class Failure(Exception):
    """What was asked for was right, but could not be done; one sentence."""


def run(command):
    """Runs a function and turns its outcome into an exit code.

    The library's own errors are sentences for users, too: a ValueError is about an argument, an
    OSError or RuntimeError about something that failed.

    Args:
        command: Function without arguments, which returns None or an exit code.

    Returns:
        The exit code.
    """
    try:
        return command() or 0
    except BrokenPipeError:  # `... | head` closed our output: nothing left to say.
        # Python would flush what is left at exit, into the same closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, ValueError) as error:
        code, said = 2, error
    except (Failure, ImportError, OSError, RuntimeError) as error:
        code, said = 1, error
    except KeyboardInterrupt:
        print("interrupted.", file=sys.stderr)
        return 130
    print(f"error: {' '.join(str(said).split()) or type(said).__name__}", file=sys.stderr)
    return code
