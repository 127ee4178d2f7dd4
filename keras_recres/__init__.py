"""Residual networks that spend computation instead of parameters, in Keras 3."""

from keras_recres import layers, models, probes, zoo

__all__ = ["__version__", "layers", "models", "probes", "zoo"]
__version__ = "0.1.0"
