"""Probes: they read a model, and never change it."""

from keras_recres.probes import mean_field

__all__ = ["mean_field"]
