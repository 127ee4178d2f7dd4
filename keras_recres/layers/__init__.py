"""Layers: one idea a file."""

from keras_recres.layers.alpha_relu import AlphaReLU
from keras_recres.layers.batch_normalization import BatchNormalization
from keras_recres.layers.class_token import ClassToken
from keras_recres.layers.conv3d_substitute import Conv3dSubstitute
from keras_recres.layers.frn import FRN
from keras_recres.layers.grouped_dense import GroupedDense
from keras_recres.layers.layer_normalization import LayerNormalization
from keras_recres.layers.meta_conv2d import MetaConv2D
from keras_recres.layers.meta_dense import MetaDense
from keras_recres.layers.meta_layer import MetaLayer
from keras_recres.layers.recurrent_residual import RecurrentResidual
from keras_recres.layers.rrn import RRN
from keras_recres.layers.sinusoid_position import SinusoidPosition
from keras_recres.layers.soft_split import SoftSplit
from keras_recres.layers.token_performer import TokenPerformer
from keras_recres.layers.token_transformer import TokenTransformer
from keras_recres.layers.tokens_to_token import TokensToToken
from keras_recres.layers.transformer_block import TransformerBlock

__all__ = [
    "FRN",
    "RRN",
    "AlphaReLU",
    "BatchNormalization",
    "ClassToken",
    "Conv3dSubstitute",
    "GroupedDense",
    "LayerNormalization",
    "MetaConv2D",
    "MetaDense",
    "MetaLayer",
    "RecurrentResidual",
    "SinusoidPosition",
    "SoftSplit",
    "TokenPerformer",
    "TokenTransformer",
    "TokensToToken",
    "TransformerBlock",
]
