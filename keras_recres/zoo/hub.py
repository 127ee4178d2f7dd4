"""Saved models on the Hugging Face hub, through huggingface_hub."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_recres.zoo import sources

if TYPE_CHECKING:
    import keras

SCHEME = "hf://"
ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def push(model: keras.Model, address: str) -> str:
    """Saves a model as a repository of the Hugging Face hub, which is made if it is not there.

    Its files are those of `zoo.save`, the model card among them, in one commit; what was there
    before stays in the repository's history. The hub must know you: `hf auth login`, or a token
    that may write in HF_TOKEN. HF_ENDPOINT names another hub.

    `zoo.push(model, "hf://me/lemons")` is read again by `zoo.load("hf://me/lemons")`.

    Args:
        model: As for `zoo.save`.
        address: `"hf://USER/REPO"`.

    Returns:
        The address of the commit, `"hf://USER/REPO@REVISION"`.

    Raises:
        ValueError: The address has another form, or the model cannot be saved.
        ImportError: huggingface_hub is missing.
        PermissionError: The hub does not know you or let you write there.
        OSError: The hub cannot be reached.
    """
    repository, revision = parse(address)
    if revision:
        raise ValueError(f"push makes a new revision: leave out '@{revision}' of {address!r}.")
    hub = _library()
    from keras_recres.zoo import card, folder

    with tempfile.TemporaryDirectory() as parent:
        saved = folder.save(model, Path(parent) / "model")
        (saved / "README.md").write_text(card.text_of(model, f'"{address}"'), encoding="utf-8")
        with _sentences(hub, address), _bars(hub, "auto"):
            api = hub.HfApi()
            api.create_repo(repository, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository, folder_path=saved, commit_message=f"{model.name}, zoo.push"
            )
    return f"{SCHEME}{repository}@{commit.oid}"


def fetch(address, offline=None, progress="auto"):
    """The folder of a repository on this machine, downloaded where it is not yet.

    Raises:
        ValueError: The address is not an "hf://USER/REPO".
        FileNotFoundError: There is no such repository, or it is not here and `offline`.
        OSError: The hub cannot be reached, or refuses to let you read it.
    """
    repository, revision = parse(address)
    hub = _library()
    offline = sources.is_offline(offline)
    from keras_recres.zoo.folder import FILES

    with _sentences(hub, address), _bars(hub, progress):
        found = hub.snapshot_download(
            repository, revision=revision, allow_patterns=[*FILES], local_files_only=offline
        )
    return Path(found)


def parse(address):
    """The repository and the revision, or None, of an address."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"an address of the hub is 'hf://USER/REPO', found {address!r}.")
    return match.groups()


def _library():
    try:
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise ImportError(
            f"models of the hub need huggingface_hub ({error}): pip install 'keras-recres[hub]'."
        ) from None
    return huggingface_hub


@contextlib.contextmanager
def _bars(hub, progress):
    """Progress bars of huggingface_hub where they are asked for."""
    utils = hub.utils
    if sources.shows(progress) or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


@contextlib.contextmanager
def _sentences(hub, address):
    """Says in one sentence what the hub refuses."""
    errors = hub.errors
    try:
        yield
    except (errors.HTTPError, OSError, ValueError) as error:
        raise _said(errors, error, address) from None


def _said(errors, error, address):
    status = getattr(getattr(error, "response", None), "status_code", None)
    known = "log in with `hf auth login`, or put a token into HF_TOKEN"
    if isinstance(error, errors.LocalTokenNotFoundError):
        return PermissionError(f"{address}: the hub asks who you are: {known}.")
    if isinstance(error, errors.GatedRepoError):
        return PermissionError(f"{address}: its owner gives access on request: ask there.")
    if isinstance(error, errors.RevisionNotFoundError):
        return FileNotFoundError(f"{address}: the repository has no such revision.")
    if isinstance(error, errors.RepositoryNotFoundError) and status in (None, 404):
        return FileNotFoundError(f"{address}: there is no such repository: check the spelling.")
    if isinstance(error, errors.RepositoryNotFoundError):
        # The hub does not tell strangers whether a private one is there.
        return FileNotFoundError(
            f"{address}: there is no such repository, or it is private: check the spelling, or "
            f"{known}."
        )
    if status in (401, 403):
        return PermissionError(f"{address}: you may not do this with the token given: {known}.")
    if isinstance(error, errors.LocalEntryNotFoundError):
        return FileNotFoundError(
            f"{address} is not on this machine, and the hub cannot be reached or was not asked: "
            "check the network, and KERAS_RECRES_OFFLINE and HF_HUB_OFFLINE."
        )
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return OSError(f"{address}: the hub could not do it ({reason}): check the network, try again.")
