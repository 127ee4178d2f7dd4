"""Weights that Keras itself downloads and checks: those of keras.applications."""

import contextlib
import http.client
import itertools
import logging
import os
import urllib.request

import numpy as np

from keras_recres.backend import keras_private
from keras_recres.zoo import sources
from keras_recres.zoo.files import replacing

# What a builder is given to have them.
ARGUMENTS = {"weights": "imagenet"}
CLASSES = 1000

logger = logging.getLogger("keras_recres")


@contextlib.contextmanager
def downloads(offline=None, progress="auto"):
    """Inside, what Keras downloads fails in one sentence, and never begins when offline.

    Args:
        offline: True to never use the network; None to ask KERAS_RECRES_OFFLINE.
        progress: Whether Keras shows a progress bar; `"auto"` does on a terminal.

    Raises:
        FileNotFoundError: A file is not in Keras' cache, and `offline` forbids to download it.
        OSError: The download failed, or what came has another hash.
    """
    offline, shown = sources.is_offline(offline), sources.shows(progress)

    def fetch(url, path, report):
        if offline:
            raise FileNotFoundError(
                f"{os.path.basename(path)} is not on this machine and offline loading does not "
                f"download it: put it at {path}, or load it once with offline=False."
            )
        # Keras itself waits without end for a network that does not answer.
        try:
            with replacing(path) as aside:
                _copy(url, aside, report if shown else None)
            return
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
        raise OSError(
            f"{url} could not be downloaded ({reason}): check the network, or put the file at "
            f"{path}."
        )

    with keras_private.downloads_by(fetch):
        try:
            yield
        except ValueError as error:
            if "Incomplete or corrupted file" not in str(error):
                raise
            raise OSError(f"What Keras downloaded is corrupt ({error}): load it again.") from None


def _copy(url, path, report):
    size = sources.CHUNK_BYTES
    with (
        urllib.request.urlopen(url, timeout=sources.TIMEOUT_SECONDS) as source,
        open(path, "wb") as sink,
    ):
        total = int(source.headers.get("Content-Length", -1))
        for count in itertools.count(1):
            chunk = source.read(size)
            if not chunk:
                return
            sink.write(chunk)
            if report:
                report(count, size, total)


def class_names():
    """Names of ImageNet's 1,000 classes, from Keras' own file; None, and a warning, without it."""
    from keras.applications import imagenet_utils

    # It tells the likeliest classes: let the first be the likeliest.
    scores = np.arange(CLASSES, 0, -1.0)[None]
    try:
        (decoded,) = imagenet_utils.decode_predictions(scores, top=CLASSES)
    except OSError as error:
        logger.warning("the classes have no names: %s", error)
        return None
    return tuple(name for _, name, _ in decoded)
