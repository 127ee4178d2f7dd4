"""Layers: one idea a file."""

from keras_recres.layers.alpha_relu import AlphaReLU
from keras_recres.layers.attention_window import AttentionWindow
from keras_recres.layers.batch_normalization import BatchNormalization
from keras_recres.layers.c_cell import CCell
from keras_recres.layers.ceil_max_pooling2d import CeilMaxPooling2D
from keras_recres.layers.cells.array_lstm_cell import ArrayLSTMCell
from keras_recres.layers.cells.depth_gated_lstm_cell import DepthGatedLSTMCell
from keras_recres.layers.cells.grid_lstm_cell import GridLSTMCell
from keras_recres.layers.cells.jordan_cell import JordanCell
from keras_recres.layers.cells.peephole_lstm_cell import PeepholeLSTMCell
from keras_recres.layers.class_token import ClassToken
from keras_recres.layers.conv3d_substitute import Conv3dSubstitute
from keras_recres.layers.frn import FRN
from keras_recres.layers.grouped_dense import GroupedDense
from keras_recres.layers.highway import Highway
from keras_recres.layers.layer_normalization import LayerNormalization
from keras_recres.layers.local_response_normalization import LocalResponseNormalization
from keras_recres.layers.meta_conv2d import MetaConv2D
from keras_recres.layers.meta_dense import MetaDense
from keras_recres.layers.meta_layer import MetaLayer
from keras_recres.layers.partial_conv2d import PartialConv2D
from keras_recres.layers.peephole_conv_lstm2d import PeepholeConvLSTM2D
from keras_recres.layers.randomized_relu import RandomizedReLU
from keras_recres.layers.rbf_output import RBFOutput
from keras_recres.layers.recurrent import Recurrent
from keras_recres.layers.recurrent_residual import RecurrentResidual
from keras_recres.layers.rrn import RRN
from keras_recres.layers.s_cell import SCell
from keras_recres.layers.sinusoid_position import SinusoidPosition
from keras_recres.layers.soft_split import SoftSplit
from keras_recres.layers.token_performer import TokenPerformer
from keras_recres.layers.token_transformer import TokenTransformer
from keras_recres.layers.tokens_to_token import TokensToToken
from keras_recres.layers.trainable_subsampling2d import TrainableSubsampling2D
from keras_recres.layers.transformer_block import TransformerBlock
from keras_recres.layers.tree_net import TreeNet

__all__ = [
    "FRN",
    "RRN",
    "AlphaReLU",
    "ArrayLSTMCell",
    "AttentionWindow",
    "BatchNormalization",
    "CCell",
    "CeilMaxPooling2D",
    "ClassToken",
    "Conv3dSubstitute",
    "DepthGatedLSTMCell",
    "GridLSTMCell",
    "GroupedDense",
    "Highway",
    "JordanCell",
    "LayerNormalization",
    "LocalResponseNormalization",
    "MetaConv2D",
    "MetaDense",
    "MetaLayer",
    "PartialConv2D",
    "PeepholeConvLSTM2D",
    "PeepholeLSTMCell",
    "RBFOutput",
    "RandomizedReLU",
    "Recurrent",
    "RecurrentResidual",
    "SCell",
    "SinusoidPosition",
    "SoftSplit",
    "TokenPerformer",
    "TokenTransformer",
    "TokensToToken",
    "TrainableSubsampling2D",
    "TransformerBlock",
    "TreeNet",
]
