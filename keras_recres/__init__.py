"""Residual networks that spend computation instead of parameters, in Keras 3."""

import importlib

from keras_recres import layers, models, zoo

__all__ = ["__version__", "layers", "models", "probes", "zoo"]
__version__ = "0.1.0"


def __getattr__(name):
    # The probes at their first use: most programs that build or load a model have none.
    if name == "probes":
        return importlib.import_module("keras_recres.probes")
    raise AttributeError(f"module 'keras_recres' has no attribute {name!r}")


def __dir__():
    return __all__
