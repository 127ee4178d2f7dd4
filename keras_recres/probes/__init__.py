"""Probes: they read a model, and never change it."""

from keras_recres.probes import curves, mean_field, measures
from keras_recres.probes.curvature import extrinsic_curvature
from keras_recres.probes.curvature_callback import CurvatureCallback
from keras_recres.probes.curvature_record import CurvatureRecord
from keras_recres.probes.gates import GatesRecord, gates
from keras_recres.probes.gradient_flow import gradient_flow, gradient_product
from keras_recres.probes.gradient_record import GradientFlowRecord
from keras_recres.probes.lesion import LesionRecord, lesion
from keras_recres.probes.paths import paths
from keras_recres.probes.paths_record import PathsRecord, path_lengths
from keras_recres.probes.pulled_back_metric import metric_spectrum
from keras_recres.probes.receptive_field import receptive_field
from keras_recres.probes.receptive_fields import ReceptiveField, ReceptiveFields
from keras_recres.probes.responses import ResponsesRecord, layer_responses
from keras_recres.probes.top_patches import TopPatches, top_patches

__all__ = [
    "CurvatureCallback",
    "CurvatureRecord",
    "GatesRecord",
    "GradientFlowRecord",
    "LesionRecord",
    "PathsRecord",
    "ReceptiveField",
    "ReceptiveFields",
    "ResponsesRecord",
    "TopPatches",
    "curves",
    "extrinsic_curvature",
    "gates",
    "gradient_flow",
    "gradient_product",
    "layer_responses",
    "lesion",
    "mean_field",
    "measures",
    "metric_spectrum",
    "path_lengths",
    "paths",
    "receptive_field",
    "top_patches",
]
