"""Where the zoo's files are: an own folder, the installed package, the cache, a URL.

Environment variables:
    KERAS_RECRES_ZOO: A folder laid out like the zoo (`weights/`, and optionally its own
        `manifest.json`), searched first.
    KERAS_RECRES_CACHE: Where downloads go; default `$KERAS_HOME/keras_recres/zoo`, which is
        `~/.keras/keras_recres/zoo` when KERAS_HOME is not set.
    KERAS_RECRES_ZOO_URL: Where downloads come from (`https://`, `http://` or `file://`).
    KERAS_RECRES_OFFLINE: 1 to never use the network.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from keras_recres.zoo import manifest

DEFAULT_BASE_URL = "https://huggingface.co/keras-recres/zoo/resolve/main"
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 18

_base_url = None


def set_base_url(url: str | None) -> None:
    """Sets where weights are downloaded from, before KERAS_RECRES_ZOO_URL and the default.

    Args:
        url: `https://`, `http://` or `file://` address of a folder laid out like the zoo, or None
            to go back to the environment variable and the default.
    """
    global _base_url
    _base_url = None if url is None else _checked_url(url)


def base_url():
    """The address that weights are downloaded from, without a slash at its end."""
    return _base_url or _checked_url(os.environ.get("KERAS_RECRES_ZOO_URL") or DEFAULT_BASE_URL)


def data_folder():
    """The folder with configs, manifest, results and bundled weights.

    In a wheel it is beside this file; in a checkout it is `zoo/` at the root.
    """
    here = Path(__file__).resolve().parent
    return here if (here / "configs").is_dir() else here.parents[1] / "zoo"


def own_folder():
    """The folder that KERAS_RECRES_ZOO names, or None."""
    folder = os.environ.get("KERAS_RECRES_ZOO")
    if not folder:
        return None
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"KERAS_RECRES_ZOO must name a folder, found {str(folder)!r}.")
    return folder


def cache_folder():
    """Where downloads are kept."""
    folder = os.environ.get("KERAS_RECRES_CACHE")
    if folder:
        return Path(folder).expanduser()
    home = os.environ.get("KERAS_HOME") or Path("~") / ".keras"
    try:
        return Path(home).expanduser() / "keras_recres" / "zoo"
    except RuntimeError:
        raise OSError(
            "This user has no home folder to keep downloads in: set KERAS_RECRES_CACHE to a folder."
        ) from None


def weights_file(name, tag):
    """Path of a weights file inside the zoo, as its manifest lists it."""
    return f"weights/{name}.{tag}.weights.h5"


def listed_files():
    """Entries of all files that can be had: those of the package's and of the own manifest."""
    own = own_folder()
    return {**manifest.read(data_folder()), **(manifest.read(own) if own else {})}


def locate(file, offline=None, progress="auto"):
    """Finds a listed file, downloads it when it is nowhere, and checks its sha256.

    Args:
        file: Path inside the zoo, `"weights/vit3.cifar10.weights.h5"`.
        offline: True to never use the network; None to ask KERAS_RECRES_OFFLINE.
        progress: Whether a download shows a progress bar; `"auto"` does on a terminal.

    Returns:
        Path of a file whose content is the listed one.

    Raises:
        ValueError: A manifest does not list the file, or it is corrupt.
        FileNotFoundError: It is nowhere and `offline` forbids to download it.
        OSError: The download failed, or there is no folder or no room for it.
    """
    bundled, own = data_folder(), own_folder()
    official = manifest.read(bundled).get(file)
    if own and (own / file).is_file():
        expected = manifest.read(own).get(file, official)
        if expected is None:
            raise ValueError(
                f"{own / file} cannot be checked: list it in {own / 'manifest.json'}, or load it "
                "as an explicit path."
            )
        manifest.check(own / file, expected, "replace it by a good copy")
        return own / file
    if official is None:
        raise ValueError(f"{file} is in no manifest of the zoo; zoo.info() shows what exists.")
    if (bundled / file).is_file():
        manifest.check(bundled / file, official, "install keras_recres again")
        return bundled / file
    cached = cache_folder() / file
    if cached.is_file():
        manifest.check(cached, official, "delete it, and the next load downloads it again")
        return cached
    if is_offline(offline):
        raise FileNotFoundError(
            f"{file} is not on this machine and offline loading does not download it: put it at "
            f"{cached}, or load it once with offline=False."
        )
    return download(file, cached, official, progress)


def is_offline(offline):
    """Whether the network may not be used; KERAS_RECRES_OFFLINE says so where `offline` is None."""
    if offline is None:
        return os.environ.get("KERAS_RECRES_OFFLINE", "0") not in ("", "0")
    return offline


def download(file, target, expected, progress="auto"):
    """Downloads a file of the zoo to `target`, which appears complete and checked or not at all.

    Every process writes a temporary file of its own beside the target and renames it at the end,
    so that several may download the same file at the same time.
    """
    url = f"{base_url()}/{urllib.parse.quote(file)}"
    partial = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
        with os.fdopen(handle, "wb") as sink:
            found = _fetch(url, sink, expected["bytes"], _bar(file, expected["bytes"], progress))
        if found != expected["sha256"]:
            manifest.check(partial, expected, "nothing was kept, try again", called=url)
        # Temporary files are private to the user; a cache may be shared.
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    except BaseException as error:
        # Also when the user interrupts: no half-written file stays behind.
        if partial:
            Path(partial).unlink(missing_ok=True)
        # Those of the network are sentences, without a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(
                f"{file} could not be written to {target.parent} ({error.strerror}): make room or "
                "allow it there, or set KERAS_RECRES_CACHE to another folder."
            ) from None
        raise
    return target


def _fetch(url, sink, size, bar):
    """Copies `url` into `sink` and returns the sha256 of what came."""
    digest, received = hashlib.sha256(), 0
    for chunk in _chunks(url, size):
        sink.write(chunk)
        digest.update(chunk)
        received += len(chunk)
        if bar:
            bar.update(min(received, size))
    return digest.hexdigest()


def _chunks(url, size):
    """What comes from `url`, of which more than the listed size is wrong: one chunk after it."""
    received = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source:
            while received <= size and (chunk := source.read(CHUNK_BYTES)):
                received += len(chunk)
                yield chunk
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise OSError(
            f"{url} could not be downloaded ({reason}): check the network, or set another address "
            "with zoo.set_base_url or KERAS_RECRES_ZOO_URL."
        ) from None


def shows(progress):
    """Whether a download shows its progress; "auto" does on a terminal."""
    if progress not in (True, False, "auto"):
        raise ValueError(f"progress must be True, False or 'auto', found {progress!r}.")
    return sys.stdout.isatty() if progress == "auto" else progress


def _bar(file, size, progress):
    if not shows(progress):
        return None
    # Not needed to say what the zoo has, and slow to import.
    import keras

    print(f"Downloading {Path(file).name} ({size / 1e6:.1f} MB)")
    return keras.utils.Progbar(size, unit_name="byte")


def _checked_url(url):
    if urllib.parse.urlsplit(str(url)).scheme not in ("https", "http", "file"):
        raise ValueError(
            f"The base URL must begin with https://, http:// or file://, found {url!r}."
        )
    return str(url).rstrip("/")
