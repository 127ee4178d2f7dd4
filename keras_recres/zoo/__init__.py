"""A name → a model with weights.

>>> from keras_recres import zoo
>>> [record.name for record in zoo.list("planar*")]
['planar_deep', 'planar_rec', 'planar_shallow']
>>> print(zoo.info("vit7_rec"))  # doctest: +SKIP
>>> model = zoo.load("vit7_rec")  # doctest: +SKIP
>>> logits = model(model.preprocess(images))  # doctest: +SKIP
>>> zoo.decode_predictions(model, logits, top=1)  # doctest: +SKIP
"""

import importlib
from typing import TYPE_CHECKING

from keras_recres.zoo.hub import push
from keras_recres.zoo.preprocessing import Preprocessing
from keras_recres.zoo.record import Record
from keras_recres.zoo.registry import info, list, register
from keras_recres.zoo.sources import set_base_url
from keras_recres.zoo.text import TextPreprocessing

__all__ = [
    "Preprocessing",
    "Record",
    "TextPreprocessing",
    "build",
    "convert",
    "decode_predictions",
    "fine_tune",
    "info",
    "list",
    "load",
    "push",
    "register",
    "save",
    "set_base_url",
]

if TYPE_CHECKING:
    from keras_recres.zoo import convert
    from keras_recres.zoo.building import build
    from keras_recres.zoo.evaluation import decode_predictions
    from keras_recres.zoo.fine_tuning import fine_tune
    from keras_recres.zoo.folder import save
    from keras_recres.zoo.loading import load
else:

    def __getattr__(name):
        # What needs Keras comes when asked for: names, papers and results can be read without.
        if name == "build":
            return importlib.import_module("keras_recres.zoo.building").build
        if name == "load":
            return importlib.import_module("keras_recres.zoo.loading").load
        if name == "save":
            return importlib.import_module("keras_recres.zoo.folder").save
        if name == "fine_tune":
            return importlib.import_module("keras_recres.zoo.fine_tuning").fine_tune
        if name == "decode_predictions":
            return importlib.import_module("keras_recres.zoo.evaluation").decode_predictions
        if name == "convert":
            return importlib.import_module("keras_recres.zoo.convert")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
