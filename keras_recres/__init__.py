"""Residual networks that spend computation instead of parameters, in Keras 3."""

import importlib

from keras_recres import layers

__all__ = ["__version__", "distribute", "layers", "models", "probes", "zoo"]
__version__ = "0.1.0"


def __getattr__(name):
    # At their first use; only the layers must be known to Keras before.
    if name in ("distribute", "models", "probes", "zoo"):
        return importlib.import_module(f"keras_recres.{name}")
    raise AttributeError(f"module 'keras_recres' has no attribute {name!r}")


def __dir__():
    return __all__
