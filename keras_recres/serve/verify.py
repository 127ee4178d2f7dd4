"""Compares a SavedModel with what the model answered, in a process of its own.

Run as a file, `python verify.py FOLDER REFERENCE.npz TOLERANCE`: neither Keras nor this package is
imported, so that nothing but what is in the folder can make it right.
"""

import sys

import numpy as np


def check(folder, reference, tolerance):
    """Runs every signature on the inputs of a reference.

    Args:
        folder: The SavedModel.
        reference: Dict of arrays, "SIGNATURE/inputs/NAME" and "SIGNATURE/outputs/NAME".
        tolerance: Largest difference, as a share of the output's largest number if that is above 1.

    Returns:
        For every float output its largest difference, {"SIGNATURE/NAME": …}.

    Raises:
        ValueError: If an output is missing or differs.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    tables = {}
    for key, array in reference.items():
        signature, kind, name = key.split("/")
        tables.setdefault(signature, {"inputs": {}, "outputs": {}})[kind][name] = array
    differences = {}
    for signature, table in tables.items():
        inputs = {name: tf.constant(array) for name, array in table["inputs"].items()}
        found = loaded.signatures[signature](**inputs)
        for name, expected in table["outputs"].items():
            where = f"{signature}/{name}"
            if name not in found:
                raise ValueError(f"{where} is missing in the exported model.")
            differences[where] = _difference(where, found[name].numpy(), expected)
            if not differences[where] <= tolerance:
                raise ValueError(
                    f"{where} of the exported model differs from the model's by "
                    f"{differences[where]:.3g}, more than {tolerance:g}: give a larger "
                    "`tolerance` if that is rounding, as in bfloat16."
                )
    return differences


def _difference(where, found, expected):
    if found.shape != expected.shape:
        raise ValueError(
            f"{where} of the exported model has shape {found.shape}, expected {expected.shape}."
        )
    if expected.dtype.kind == "S":
        return float(np.mean(found.astype(expected.dtype) != expected))
    # Rounding goes with the largest numbers: what is summed may cancel.
    scale = np.max(np.abs(expected), initial=1)
    return float(np.max(np.abs(found - expected), initial=0) / scale)


if __name__ == "__main__":
    folder, file, tolerance = sys.argv[1:]
    with np.load(file, allow_pickle=False) as reference:
        try:
            check(folder, dict(reference), float(tolerance))
        except ValueError as error:
            sys.exit(str(error))
