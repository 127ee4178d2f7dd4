"""Model builders: plain arguments in, a `keras.Model` out."""

from keras_recres.models import rules
from keras_recres.models.cifar_net import cifar_net
from keras_recres.models.multiply_adds import multiply_adds
from keras_recres.models.planar import planar
from keras_recres.models.substitute import substitute
from keras_recres.models.t2t_vit import t2t_vit

__all__ = ["cifar_net", "multiply_adds", "planar", "rules", "substitute", "t2t_vit"]
