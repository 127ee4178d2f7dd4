"""Converters: other people's checkpoints into models of this library, checked key by key."""

from keras_recres.zoo.convert.networks import checkpoint
from keras_recres.zoo.convert.t2t import t2t_vit, to_torch

__all__ = ["checkpoint", "t2t_vit", "to_torch"]
