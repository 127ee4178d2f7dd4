"""Models written to files: never over another, and read again before anybody relies on them."""

import numpy as np

from keras_recres.cli.errors import Failure, UserError
from keras_recres.zoo.files import replacing

ENDINGS = (".keras", ".weights.h5")
TOLERANCE = 1e-5


def check_target(path, overwrite):
    """Refuses a file that is there, and an ending that Keras does not know."""
    if not path.name.endswith(ENDINGS):
        raise UserError(f"the file must end in {' or '.join(ENDINGS)}, found {str(path)!r}.")
    if path.exists() and not overwrite:
        raise UserError(f"{str(path)!r} is there already: give another name, or --overwrite.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"there is no folder {str(path.absolute().parent)!r}.")


def save(model, path):
    """Writes a model (.keras) or its weights (.weights.h5), whole or not at all, and checks it.

    Returns:
        Largest difference between the outputs of the model and of what was read again.
    """
    import keras

    with replacing(path) as aside:
        if path.name.endswith(".keras"):
            model.save(aside)
            again = keras.saving.load_model(aside, compile=False)
        else:
            model.save_weights(aside)
            again = keras.models.clone_model(model)
            again.load_weights(aside)
        error = difference(model, again)
        if not error <= TOLERANCE:
            raise Failure(f"{path} was not written: read again it differs by {error:.2g}.")
    return error


def difference(model, other):
    """Largest difference of two models' outputs for a few random inputs, relative to the largest.

    Returns:
        A float, nan if an output is.
    """
    from keras_recres.models.random_inputs import random_inputs

    (x,) = random_inputs(model)
    own, others = (np.asarray(m.predict_on_batch(x), "float64") for m in (model, other))
    return float(np.abs(own - others).max() / max(1.0, np.abs(own).max()))
