"""Model builders: plain arguments in, a `keras.Model` out."""

from keras_recres.models.cifar_net import cifar_net
from keras_recres.models.planar import planar
from keras_recres.models.t2t_vit import t2t_vit

__all__ = ["cifar_net", "planar", "t2t_vit"]
