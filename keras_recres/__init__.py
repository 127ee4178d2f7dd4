"""Residual networks that spend computation instead of parameters, in Keras 3."""

import importlib
import sys
from typing import TYPE_CHECKING

__all__ = ["__version__", "distribute", "layers", "models", "probes", "serve", "zoo"]
__version__ = "0.1.0"

if "keras_recres_cli" not in sys.modules:
    # Known to Keras before a saved model is loaded. The command `keras-recres` says what the zoo
    # has without Keras, whose import takes seconds; its commands import what they need.
    from keras_recres import layers
    from keras_recres.zoo import zoo_model  # noqa: F401


if TYPE_CHECKING:
    from keras_recres import distribute, models, probes, serve, zoo
else:

    def __getattr__(name):
        if name in __all__:  # At its first use.
            return importlib.import_module(f"keras_recres.{name}")
        raise AttributeError(f"module 'keras_recres' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
