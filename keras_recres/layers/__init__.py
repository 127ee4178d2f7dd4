"""Layers: one idea a file."""

from keras_recres.layers.class_token import ClassToken
from keras_recres.layers.recurrent_residual import RecurrentResidual
from keras_recres.layers.sinusoid_position import SinusoidPosition
from keras_recres.layers.soft_split import SoftSplit
from keras_recres.layers.token_performer import TokenPerformer
from keras_recres.layers.token_transformer import TokenTransformer
from keras_recres.layers.tokens_to_token import TokensToToken
from keras_recres.layers.transformer_block import TransformerBlock

__all__ = [
    "ClassToken",
    "RecurrentResidual",
    "SinusoidPosition",
    "SoftSplit",
    "TokenPerformer",
    "TokenTransformer",
    "TokensToToken",
    "TransformerBlock",
]
