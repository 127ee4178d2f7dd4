"""Layers: one idea a file."""

from keras_recres.layers.recurrent_residual import RecurrentResidual

__all__ = ["RecurrentResidual"]
