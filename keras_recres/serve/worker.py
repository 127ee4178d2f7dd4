"""Writes the SavedModel of a model that comes as a `.keras` file: configuration and weights.

`python -m keras_recres.serve.worker JOB.json` in a process with the TensorFlow backend, where the
model itself runs on another one. Nothing is unpickled, and no code is read from the file.
"""

import importlib
import json
import sys

import numpy as np


def run(job):
    """Does what `saved_model.write` hands over, a dict as `saved_model.job` makes it."""
    import keras

    import keras_recres.models  # noqa: F401  registers the layers of all builders
    from keras_recres.serve import saved_model
    from keras_recres.zoo import text

    try:
        for module in job["modules"]:
            importlib.import_module(module)
        model = keras.models.load_model(job["model"], compile=False, safe_mode=True)
    except (TypeError, ValueError, ImportError) as error:
        # Of Keras' own words the innermost reason.
        reason = " ".join(str(error).split()).split("Exception encountered: ")[-1]
        raise ValueError(
            f"the model cannot be loaded again ({reason.split(' Full object config')[0][:300]}); "
            "layers of your own must be in a module that can be imported, or export it with "
            "KERAS_BACKEND=tensorflow."
        ) from None
    with np.load(job["reference"], allow_pickle=False) as file:
        reference = dict(file)
    preprocessing = job["preprocessing"] and text.from_dict(job["preprocessing"])
    options = {key: job[key] for key in ("name", "labels", "max_pixels", "max_steps", "warmup")}
    saved_model.write_here(model, job["folder"], preprocessing, reference, **options)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    try:
        run(job)
    except ValueError as error:
        sys.exit(str(error))
