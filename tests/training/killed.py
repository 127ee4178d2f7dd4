"""A program: trains in child processes that are killed where they are told, and go on.

    python tests/training/killed.py JOBS.json

A job is {"moment": a name of `MOMENTS` or null, "argv": what training.fit gets, "network": "small"
for a network that compiles fast in place of the zoo's}; the exit status of each (-9 is SIGKILL) is
printed as JSON. Children are forked from one process, so that the backend
is imported once; on JAX, whose threads do not survive that, each begins anew.
"""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import h5py
import keras

sys.path.insert(0, str(Path(__file__).parents[2]))
from keras_recres.zoo import drawing
from tests.training import small
from training import errors
from training.fit import backup, callbacks
from training.fit import loop as fit

CONTEXT = multiprocessing.get_context("spawn" if keras.backend.backend() == "jax" else "fork")


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner, name, when):
    """Kills the process when `owner.name` is called with arguments that `when` says yes to."""
    original = getattr(owner, name)

    def call(*args, **kwargs):
        if when(*args, **kwargs):
            kill()
        return original(*args, **kwargs)

    setattr(owner, name, call)


def in_the_second_epoch():
    before(
        callbacks.Progress,
        "on_train_batch_end",
        lambda self, batch, logs=None: self._name.startswith("epoch 2/") and batch >= 2,
    )


def after_the_last_validation():
    before(callbacks.Timing, "on_epoch_end", lambda self, epoch, logs=None: epoch == 1)


def in_the_row_of_the_log():
    def on_epoch_end(self, epoch, logs=None):
        original(self, epoch, logs)
        if epoch == 1:
            self.csv_file.flush()
            os.truncate(self.filename, os.path.getsize(self.filename) - 30)
            kill()

    original = keras.callbacks.CSVLogger.on_epoch_end
    keras.callbacks.CSVLogger.on_epoch_end = on_epoch_end


def in_the_write_of_the_checkpoint():
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            seen = []
            before(h5py.Group, "create_dataset", lambda *a, **k: seen.append(0) or len(seen) > 5)
            before(h5py.Group, "__setitem__", lambda *a, **k: seen.append(0) or len(seen) > 5)
        original(self, epoch, logs)
        assert epoch != 1, "it was to be killed in the write"

    original = backup.Backup.on_epoch_end
    backup.Backup.on_epoch_end = on_epoch_end


def between_the_checkpoint_and_its_number():
    before(backup, "write_aside", lambda path, text: '"epoch": 2' in text)


def after_the_last_epoch():
    before(drawing, "draw", lambda *args: True)


MOMENTS = {
    f.__name__: f
    for f in (
        in_the_second_epoch,
        after_the_last_validation,
        in_the_row_of_the_log,
        in_the_write_of_the_checkpoint,
        between_the_checkpoint_and_its_number,
        after_the_last_epoch,
    )
}


def train(job):
    """Trains, and ends the process."""
    code = 70
    try:
        if job.get("network") == "small":
            fit.build = small.build_recurrent
        drawing.draw = lambda *args: None  # Which takes as long as the rest.
        if job["moment"]:
            MOMENTS[job["moment"]]()
        code = errors.run(fit.main, job["argv"])
    finally:
        os._exit(code)


def run(job):
    """Trains in a child; returns its exit status."""
    child = CONTEXT.Process(target=train, args=(job,))
    child.start()
    child.join()
    return child.exitcode


if __name__ == "__main__":
    jobs = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps([run(job) for job in jobs]))
