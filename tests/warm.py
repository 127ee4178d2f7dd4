"""Runs of pytest that begin at once: each is a fork of this process, which has Keras loaded.

    python -P tests/warm.py

reads lines of JSON, `[arguments, log, seconds]`, and answers each with pytest's exit code; what is
printed goes to the file `log`, and after so many seconds, if not 0, the run is ended.
"""

import json
import os
import signal
import sys

import hypothesis  # noqa: F401  Loaded for the forks, as Keras is.
import keras  # noqa: F401
import pytest


def run(arguments, log, seconds):
    """Runs pytest in this process, which is a fork, and ends it."""
    signal.alarm(seconds)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = pytest.main(arguments)
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
