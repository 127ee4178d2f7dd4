"""Data sets that TensorFlow Datasets prepared on this disk, for the scripts of training."""

from keras_recres.zoo import tfds_folder
from keras_recres.zoo.tfds_folder import HALVES, INFO, JPEG, find, prepared, present
from training.data.packed import Encoded
from training.errors import UserError

__all__ = ["HALVES", "INFO", "JPEG", "download", "find", "prepared", "present", "read", "tfds"]


def read(dataset, split, version, limit=None):
    """Reads one split, images still encoded.

    Args:
        dataset: its name.
        split: "train", "test", ..., or "evaluation" for "test", else "validation".
        version: the folder that `find` gave.
        limit: only the first so many images.

    Returns:
        A `training.data.packed.Encoded` record.
    """
    tfds()
    try:
        part = tfds_folder.read(dataset, split, version, limit, stored=True)
    except ValueError as error:
        raise UserError(str(error)) from None
    return Encoded(part.data, part.labels, part.class_names, dataset, part.split, part.channels)


def tfds():
    """The module tensorflow_datasets, or a UserError that says how to install it."""
    try:
        return tfds_folder.tfds()
    except ImportError as error:
        raise UserError(
            f"{error} Or give a packed .npz file that `python -m training.data "
            "pack` wrote on a machine that has them."
        ) from None


def download(dataset, folder, array_record=False):
    """Fetches and prepares a data set with TFDS, from the network.

    Args:
        dataset: a name that TFDS knows.
        folder: the folder to put NAME/VERSION into.
        array_record: whether to store it so that it can be read in any order, see `training.data`.
    """
    module = tfds()
    try:
        form = {"file_format": "array_record"} if array_record else {}
        module.builder(dataset, data_dir=str(folder), **form).download_and_prepare()
    except module.core.DatasetNotFoundError:
        raise UserError(f"TFDS has no data set {dataset!r}.") from None
    except Exception as error:  # No network, no space, a moved address: TFDS raises all sorts.
        reason = " ".join(str(error).split())  # Several lines where archives come by hand.
        raise UserError(
            f"{dataset!r} could not be fetched into {folder} "
            f"({type(error).__name__}: {reason[:500]})."
        ) from None
