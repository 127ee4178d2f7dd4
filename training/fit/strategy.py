"""The devices that a training is spread over, `--strategy`."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import keras

from keras_recres import distribute
from training.errors import UserError, nearest
from training.fit.run_folder import RunFolder


def kinds():
    """What `--strategy` takes on the backend in use."""
    return tuple(kind for kind in distribute.kinds() if kind != "model_parallel")


@contextlib.contextmanager
def scope(kind, batch_size, resume=True):
    """`keras_recres.distribute.scope`, whose errors are the user's.

    Args:
        kind: `--strategy`.
        batch_size: images a step, of all devices together.
        resume: whether a half-done training goes on, as all processes must agree.

    Yields:
        `keras_recres.distribute.Devices`.
    """
    if kind not in kinds():
        raise UserError(
            f"--strategy on {keras.backend.backend()} must be one of {', '.join(kinds())}, found "
            f"{kind!r}.{nearest(kind, kinds())}"
        )
    with contextlib.ExitStack() as stack:
        try:
            devices = stack.enter_context(distribute.scope(kind))
        except ValueError as error:
            raise UserError(f"--strategy {kind}: {error}") from None
        try:
            devices.check_batch(batch_size)
        except ValueError as error:
            raise UserError(f"--batch-size: {error}") from None
        if devices.processes > 1 and not resume:
            raise UserError(
                "--no-resume is for one process: remove the run's folder, or change --out."
            )
        yield devices


@contextlib.contextmanager
def folder(path, settings, resume, devices):
    """The run's folder; processes other than the first work in a copy that is thrown away.

    TensorFlow's processes must all do what writes a state, since they put it together; and all
    must go on from the same one, so that they must see the first one's folder.

    Yields:
        A `RunFolder`.
    """
    if devices.chief:
        with contextlib.closing(RunFolder(path, settings, resume)) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory() as aside:
        copy = Path(aside) / "run"
        if Path(path).is_dir():
            # The first one may be cutting its log meanwhile.
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns(".*", "log.csv"))
        with contextlib.closing(RunFolder(copy, settings)) as folder:
            yield folder


def prepare(devices, trained):
    """`Devices.prepare`; its errors are the user's."""
    try:
        return devices.prepare(trained)
    except ValueError as error:
        raise UserError(str(error)) from None


def check_start(done, devices):
    """Raises a UserError in all processes if these have not done the same number of epochs.

    To be asked before a state is restored, which on TensorFlow they do together.
    """
    if not devices.agree(done):
        raise UserError(
            f"the processes would go on from different epochs, this one after {done}: --out must "
            "be a folder that all of them see."
        )


def draws(devices):
    """The number of this process among those that draw dropout and drop path by themselves.

    Only PyTorch's do; on JAX a draw is of the whole batch, and all processes must agree on it.
    """
    return devices.process if keras.backend.backend() == "torch" else 0


def check_images(train, evaluation, devices):
    """Raises a UserError if a last, smaller batch cannot be shared evenly.

    Args:
        train: images of the training, or None if it drops the last batch.
        evaluation: images of the evaluation.
        devices: `keras_recres.distribute.Devices`.
    """
    for what, option, count in (
        ("training", "--no-keep-last, or --limit", train),
        ("evaluation", "--eval-limit", evaluation),
    ):
        if count is not None and count % devices.replicas:
            fitting = count - count % devices.replicas
            raise UserError(
                f"{count:,} {what} images cannot be shared evenly by {devices.replicas} devices: "
                + (f"{option} {fitting} would do." if fitting else "they are too few.")
            )
