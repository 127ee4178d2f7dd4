"""A model → what a server serves.

>>> from keras_recres import serve
>>> serve.export("cifar_small", "exported")  # doctest: +SKIP
"""

from keras_recres.serve.exporting import export
from keras_recres.serve.int8 import AccuracyLost, accuracy_lost, quantized

__all__ = ["AccuracyLost", "accuracy_lost", "export", "quantized"]
