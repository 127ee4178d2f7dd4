"""The state of a half-done training, such that going on with it changes nothing.

backup/epoch-N.weights.h5        weights, optimizer with its averages, after N epochs
backup/training_metadata.json    {"epoch": N, "weights": "epoch-N.weights.h5"}

Keras' BackupAndRestore writes over its last file, and the epoch's number after it: a kill between
the two would make the next start train an epoch twice. Here the second file says which first one
counts, each appears whole or not at all, and what it replaces is removed last. All other state of
a training follows from its seed and the epoch's number, see `training.fit.callbacks.Epochs`.
"""

import json
import os
from pathlib import Path

import keras

from keras_recres.zoo import transfer
from training.errors import UserError
from training.files import replacing, write_aside
from training.fit.models import save_weights
from training.fit.run_folder import BEGIN_ANEW, read_backup

METADATA = "training_metadata.json"


class Backup(keras.callbacks.Callback):
    """Writes the state after every epoch.

    Args:
        folder: the folder for it; made when it is not there.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)

    def on_epoch_end(self, epoch, logs=None):
        name = f"epoch-{epoch + 1}.weights.h5"
        self.folder.mkdir(exist_ok=True)
        with replacing(self.folder / name) as aside:
            self.model.save_weights(aside)
            with open(aside, "rb") as file:
                os.fsync(file.fileno())
        metadata = {"epoch": epoch + 1, "weights": name}
        write_aside(self.folder / METADATA, json.dumps(metadata) + "\n")
        for path in self.folder.iterdir():
            if path.name not in (name, METADATA):
                path.unlink()


def restore(model, folder):
    """Brings a compiled model to the state of a backup, if there is one.

    Args:
        model: the compiled model.
        folder: the backup's folder.

    Returns:
        Epochs done.

    Raises:
        UserError: the backup is corrupt, or another model's.
    """
    epoch, file = read_backup(folder)
    if file:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        _load(model, file, BEGIN_ANEW)
    return epoch


def load(model, file, advice):
    """Loads weights.

    Args:
        model: the model.
        file: a .weights.h5 file.
        advice: what to do when it does not fit.

    Raises:
        UserError: the file is missing, damaged, or another model's.
    """
    if not str(file).endswith(".weights.h5"):
        raise UserError(f"{file} is not a .weights.h5 file: {advice}.")
    _load(model, file, advice)
    if reason := transfer.surplus(model, file):
        raise UserError(f"{file} holds the weights of another model ({reason}): {advice}.")


def _load(model, file, advice):
    try:
        model.load_weights(file)
    except FileNotFoundError:
        raise UserError(f"there is no weights file {file}: {advice}.") from None
    except OSError:
        raise UserError(f"{file} is not a whole weights file: {advice}.") from None
    except (ValueError, KeyError) as error:
        what = " ".join(str(error).split())[:200]
        raise UserError(f"{file} holds the weights of another model ({what}): {advice}.") from None


def keep_last_good(trained, model, folder):
    """Files the weights of the last backup where they can be started from.

    Args:
        trained: what was trained; its weights are spoilt.
        model: the network, of which it holds the weights.
        folder: the training's `RunFolder`.

    Returns:
        The end of a sentence: what is kept, and what to change.
    """
    what = "lower the learning rate, lengthen the warm-up, or use float32"
    epochs = restore(trained, folder.backup)
    if not epochs:
        return f"no epoch was whole yet, so nothing is kept: {what}"
    if trained.optimizer.use_ema:
        trained.optimizer.finalize_variable_values(trained.trainable_variables)
    save_weights(model, folder.last_good)
    return (
        f"the weights after epoch {epochs} are kept in {folder.last_good}: start from them with "
        f"--weights and another --out, and {what}"
    )
