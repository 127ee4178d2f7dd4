"""The learning curve of a training, drawn."""

from keras_recres.zoo.drawing import draw

__all__ = ["draw"]
