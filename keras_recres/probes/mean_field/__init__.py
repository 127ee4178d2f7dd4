"""Mean-field theory of residual networks at initialisation (arXiv 1712.08969), and its check."""

from keras_recres.probes.mean_field.asymptotic_laws import Asymptotics, Law, asymptotics
from keras_recres.probes.mean_field.measurement import Measurement, measure
from keras_recres.probes.mean_field.phase_plane import Phase, phase
from keras_recres.probes.mean_field.prediction import Prediction, predict
from keras_recres.probes.mean_field.suggestion import Suggestion, largest_p, suggest

__all__ = [
    "Asymptotics",
    "Law",
    "Measurement",
    "Phase",
    "Prediction",
    "Suggestion",
    "asymptotics",
    "largest_p",
    "measure",
    "phase",
    "predict",
    "suggest",
]
