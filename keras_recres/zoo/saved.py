"""Which words mean a saved model, a folder or a repository of the hub, and not a name."""

import os
from pathlib import Path

from keras_recres.zoo import hub


def is_one(name):
    """Whether `zoo.load` reads a saved model: of a Path, a string with a slash, "hf://…"."""
    return isinstance(name, os.PathLike) or any(c in str(name) for c in {"/", os.sep})


def folder_of(name, offline=None, progress="auto"):
    """The folder of a saved model, downloaded if it is the hub's."""
    if isinstance(name, str) and name.startswith(hub.SCHEME):
        return hub.fetch(name, offline, progress)
    return Path(name).expanduser()


def load(name, offline, progress):
    """The model."""
    from keras_recres.zoo import folder

    return folder.load(folder_of(name, offline, progress))
