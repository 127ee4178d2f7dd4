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

import contextlib
import hashlib
import http.client
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from keras_recres import __version__
from keras_recres.zoo import manifest
from keras_recres.zoo.files import replacing

# Files of this version's release, which lie in no folders.
DEFAULT_BASE_URL = f"https://github.com/keras-recres/keras-recres/releases/download/v{__version__}"
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


def address_of(file):
    """The URL that a file of the zoo is downloaded from."""
    base = base_url()
    return f"{base}/{urllib.parse.quote(Path(file).name if base == DEFAULT_BASE_URL else file)}"


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
            f"{cached}, load it once with offline=False, or let KERAS_RECRES_ZOO name a folder "
            "that `keras-recres download --to FOLDER` filled on another machine."
        )
    return download(file, cached, official, progress)


def state(file):
    """How large the weights in a file are and where they are, for a sentence."""
    size, own = listed_files()[file]["bytes"], own_folder()
    told = f"weights of {size / 1e6:.1f} MB" if size >= 1e6 else f"weights of {size / 1e3:.0f} kB"
    if any(folder and (folder / file).is_file() for folder in (own, data_folder())):
        return told
    if (cache_folder() / file).is_file():
        return f"{told}, downloaded"
    return f"{told}, which the first load downloads from {urllib.parse.urlsplit(base_url()).netloc}"


def is_offline(offline):
    """Whether the network may not be used; KERAS_RECRES_OFFLINE says so where `offline` is None."""
    if offline is None:
        return os.environ.get("KERAS_RECRES_OFFLINE", "0") not in ("", "0")
    return offline


def download(file, target, expected, progress="auto"):
    """Downloads a file of the zoo to `target`, which appears complete and checked or not at all.

    Every process writes a temporary file of its own beside the target and renames it at the end,
    so that several may download the same file at the same time. What an interrupted one leaves is
    kept, and the next download goes on from there.
    """
    url, partial = address_of(file), None
    kept = target.with_name(f"{target.name}.{expected['sha256'][:16]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
        os.close(handle)
        with contextlib.suppress(FileNotFoundError):
            os.replace(kept, partial)  # Of several processes one gets it.
        with open(partial, "r+b") as sink:
            found = _fetch(url, sink, expected["bytes"], _bar(file, expected["bytes"], progress))
        if found != expected["sha256"]:
            manifest.check(partial, expected, "nothing was kept, try again", called=url)
        # Temporary files are private to the user; a cache may be shared.
        os.chmod(partial, 0o644)
        os.replace(partial, target)
    except BaseException as error:
        # Those of the network are sentences, without a number.
        local = isinstance(error, OSError) and error.errno is not None
        if partial:
            begun = 0 < Path(partial).stat().st_size < expected["bytes"]
            if begun and not local and not isinstance(error, ValueError):
                os.replace(partial, kept)
            Path(partial).unlink(missing_ok=True)
        if local:
            raise OSError(
                f"{file} could not be written to {target.parent} ({error.strerror}): make room or "
                "allow it there, or set KERAS_RECRES_CACHE to another folder."
            ) from None
        raise
    return target


def fetch(file, folder, progress="auto"):
    """Puts a listed file into a folder laid out like the zoo, from this machine if it is here.

    Returns:
        Its path, of a checked file.

    Raises:
        ValueError: A file that is here is corrupt.
        OSError: It could not be downloaded or written.
    """
    target, expected = Path(folder) / file, listed_files()[file]
    if target.is_file() and manifest.entry_of(target) == expected:
        return target
    try:
        here = locate(file, offline=True)
    except FileNotFoundError:
        return download(file, target, expected, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as aside:
        shutil.copyfile(here, aside)
    return target


def _fetch(url, sink, size, bar):
    """Copies `url` into `sink`, after what that has already, and returns the sha256 of all."""
    digest = hashlib.sha256()
    while chunk := sink.read(CHUNK_BYTES):
        digest.update(chunk)
    for start, chunk in _chunks(url, size, sink.tell()):
        if not start:
            sink.seek(0)
            sink.truncate()
            digest = hashlib.sha256()
        sink.write(chunk)
        digest.update(chunk)
        if bar:
            bar.update(min(start + len(chunk), size))
    return digest.hexdigest()


def _chunks(url, size, begun):
    """(its place, chunk) of what comes from `url`, from the byte `begun` on or from the first.

    More than the listed size is wrong: one chunk comes after it.
    """
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as source:
            # 206: the server sends the rest, which not every one can.
            place = begun if getattr(source, "status", None) == 206 else 0
            while place <= size and (chunk := source.read(CHUNK_BYTES)):
                yield place, chunk
                place += len(chunk)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise OSError(
            f"{url} could not be downloaded ({reason}): check the network, set another address "
            "with zoo.set_base_url or KERAS_RECRES_ZOO_URL, or let KERAS_RECRES_ZOO name the "
            "folder zoo of a checkout, which has all weights."
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
