"""The folder of one training: settings, log, backup, weights, metrics.

settings.json   what the training was asked for; another training does not get mixed in
log.csv         one row an epoch
curvature.csv   one row a layer and epoch, where it was asked for
backup/         what a training goes on with, see training/fit/backup.py; removed at the end
NAME.TAG.weights.h5, metrics.json, curve.png   written at the end
NAME.TAG.keras  the whole network, of --deepen and --fold
NAME.TAG.last_good.weights.h5   written when the loss became NaN: those after the last whole epoch
tensorboard/    a second log, where it was asked for
"""

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

from training.errors import UserError
from training.files import lock, write_aside
from training.settings import Settings, tell

BEGIN_ANEW = "give another --out, or --no-resume to begin anew"


class RunFolder:
    """Opens the folder of a training, new or half done, for this process alone until `close`.

    Args:
        path: the folder; made when it is not there.
        settings: dict of what the training was asked for, as JSON can hold it.
        resume: go on with a training that is there; with False `begin` removes it.

    Raises:
        UserError: the folder cannot be written, holds a training with other settings, or another
            process is training there.
    """

    def __init__(self, path, settings, resume=True):
        self.path = Path(path)
        self.log = self.path / "log.csv"
        self.backup = self.path / "backup"
        self.curvature = self.path / "curvature.csv"
        self.metrics = self.path / "metrics.json"
        self.curve = self.path / "curve.png"
        self.weights = self.path / f"{settings['name']}.{settings['tag']}.weights.h5"
        self.model = self.path / f"{settings['name']}.{settings['tag']}.keras"
        self.last_good = self.path / f"{settings['name']}.{settings['tag']}.last_good.weights.h5"
        self._lock, self._anew = contextlib.ExitStack(), not resume
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path)
            self._open(Settings.of(settings))
        except OSError as error:
            self.close()
            raise UserError(
                f"the run's folder {self.path} cannot be written ({error.strerror})."
            ) from None
        except UserError:
            self.close()
            raise

    def _open(self, settings):
        file = self.path / "settings.json"
        self._settings = settings
        # A training that failed at once left its settings only, and may be asked for differently.
        if file.exists() and (self.epochs_done or self.finished):
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UserError(
                    f"{file} is not JSON ({error}); give another --out, or --no-resume to begin "
                    "anew."
                ) from None
            self._compare(Settings.of(found if isinstance(found, dict) else {}), settings)
        if not self._anew:
            self.begin()

    def begin(self):
        """Makes the folder one of this training, once all that it was asked for has been checked.

        What `resume=False` is to remove is there until now.
        """
        if self._anew:
            self._clear()
            self._anew = False
        if not self.finished:
            cut_log(self.log, self.epochs_done)
        text = json.dumps(self._settings.recorded(), indent=2)
        write_aside(self.path / "settings.json", f"{text}\n")

    def close(self):
        """Lets other processes train in the folder, as every end of this process does, too."""
        self._lock.close()

    @property
    def finished(self):
        """Whether the training reached its end."""
        return not self._anew and self.metrics.exists() and self.weights.exists()

    @property
    def epochs_done(self):
        """Epochs that a continued training need not do again."""
        return 0 if self._anew else read_backup(self.backup)[0]

    def rows(self):
        """The log: a list of dicts of floats, one an epoch, in order."""
        return read_log(self.log)

    def remove_backup(self):
        """Removes what only an interrupted training needs."""
        shutil.rmtree(self.backup, ignore_errors=True)

    def _clear(self):
        # Only the files of a training: the folder may be one with other things in it.
        self.remove_backup()
        shutil.rmtree(self.path / "tensorboard", ignore_errors=True)
        file = self.path / "settings.json"
        found = [self._settings.recorded()]
        # The file that says what its weights are called may be missing or damaged.
        with contextlib.suppress(OSError, ValueError):
            found.append(json.loads(file.read_text(encoding="utf-8")))
        for settings in (s for s in found if isinstance(s, dict)):
            stem = f"{settings.get('name')}.{settings.get('tag')}"
            for suffix in (".keras", ".weights.h5", ".last_good.weights.h5"):
                (self.path / f"{stem}{suffix}").unlink(missing_ok=True)
        for path in (self.log, self.curvature, self.metrics, self.curve, file):
            path.unlink(missing_ok=True)

    def _compare(self, found, asked):
        if different := found.differences(asked):
            raise UserError(
                f"{self.path} holds a training with {tell(different)}: give another --out, the "
                "same settings to go on, or --no-resume to remove it and begin anew."
            )


def read_backup(folder):
    """What a backup holds, see `training.fit.backup`.

    Args:
        folder: the backup's folder, there or not.

    Returns:
        (epochs done, file of the state); (0, None) where there is nothing to go on with.

    Raises:
        UserError: what is there is damaged.
    """
    metadata = Path(folder) / "training_metadata.json"
    try:
        found = json.loads(metadata.read_text(encoding="utf-8"))
        epoch, file = int(found["epoch"]), Path(folder) / found["weights"]
    except FileNotFoundError:
        return 0, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{metadata} is damaged ({error!r}): {BEGIN_ANEW}.") from None
    if not file.is_file():
        raise UserError(f"{metadata} names {file.name}, which is not there: {BEGIN_ANEW}.")
    return epoch, file


def read_log(path):
    """Reads a log.csv: a list of dicts of floats, one an epoch, in order."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        rows = [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]
    # An epoch that was interrupted between its row and its backup stands there twice.
    last = {int(row["epoch"]): row for row in rows}
    return [last[epoch] for epoch in sorted(last)]


def cut_log(path, epochs):
    """Leaves in a log.csv the rows of the first epochs: a kill may have cut the last one short."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except (FileNotFoundError, ValueError):
        header = None
    if not epochs or header is None:
        Path(path).unlink(missing_ok=True)
        return
    place = header.index("epoch")
    whole = (row for row in rows if len(row) == len(header))
    last = {int(row[place]): row for row in whole if int(row[place]) < epochs}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *(last[key] for key in sorted(last))])
    write_aside(path, text.getvalue())


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
