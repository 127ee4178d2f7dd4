"""A progress bar where there is a terminal and rich is installed, nothing elsewhere."""

import contextlib
import os
import sys
import tempfile

from keras_recres.cli.errors import Failure, UserError

# Of the process, for code that is not Python.
STDERR = 2


@contextlib.contextmanager
def progress_bar(text, total, enabled=True):
    """Shows how far a long piece of work is, on stderr.

    Args:
        text: What is going on.
        total: Units of work in all.
        enabled: False shows nothing; nor does a stderr that is not a terminal.

    Yields:
        A function `advance(count)`.
    """
    rich = _rich(enabled)
    if rich is None:
        yield lambda count: None
        return
    from rich.progress import Progress

    with Progress(console=rich, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda count: bar.advance(task, count)


@contextlib.contextmanager
def working(text):
    """Says what is going on, for as long as it lasts, on stderr."""
    rich = _rich()
    if rich is None:
        yield
        return
    with rich.status(text):
        yield


@contextlib.contextmanager
def quietly(text):
    """As `working`, and swallows what libraries write to stderr meanwhile, unless they crash.

    TensorFlow writes lines of its own before its log level counts.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(STDERR)
    except OSError:  # It is closed, as under some services.
        yield
        return
    with tempfile.TemporaryFile() as said, open(kept, "w", encoding="utf-8") as shown:
        os.dup2(said.fileno(), STDERR)
        try:
            rich = _rich(file=shown)
            with rich.status(text) if rich else contextlib.nullcontext():
                yield
        except (UserError, Failure, ValueError, ImportError, OSError):
            raise  # A sentence, which says it all.
        except Exception:
            said.seek(0)
            shown.write(said.read().decode("utf-8", "replace"))
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, STDERR)


def _rich(enabled=True, file=None):
    """A console for stderr, if that is a terminal."""
    file = file or sys.stderr
    if not (enabled and file.isatty()):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=file)
