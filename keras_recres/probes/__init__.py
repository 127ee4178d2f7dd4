"""Probes: they read a model, and never change it."""

from keras_recres.probes import curves, mean_field, measures
from keras_recres.probes.curvature_record import CurvatureRecord

__all__ = ["CurvatureRecord", "curves", "mean_field", "measures"]
