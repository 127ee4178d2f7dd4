"""Probes: they read a model, and never change it."""

from keras_recres.probes import curves, mean_field, measures
from keras_recres.probes.curvature import extrinsic_curvature
from keras_recres.probes.curvature_callback import CurvatureCallback
from keras_recres.probes.curvature_record import CurvatureRecord
from keras_recres.probes.lesion import LesionRecord, lesion
from keras_recres.probes.pulled_back_metric import metric_spectrum

__all__ = [
    "CurvatureCallback",
    "CurvatureRecord",
    "LesionRecord",
    "curves",
    "extrinsic_curvature",
    "lesion",
    "mean_field",
    "measures",
    "metric_spectrum",
]
