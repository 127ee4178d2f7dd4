"""Model builders: plain arguments in, a `keras.Model` out."""

from keras_recres.models import rules
from keras_recres.models.blocks import BlockRun, blocks
from keras_recres.models.cifar_net import cifar_net
from keras_recres.models.conv_lstm_forecaster import conv_lstm_forecaster
from keras_recres.models.convnets.alexnet import alexnet
from keras_recres.models.convnets.cifar_resnet import cifar_resnet, preact_resnet
from keras_recres.models.convnets.googlenet import googlenet, googlenet_paper
from keras_recres.models.convnets.highway import highway
from keras_recres.models.convnets.inception import (
    bn_inception,
    inception_v2,
    inception_v3,
    inception_v3_aux,
)
from keras_recres.models.convnets.inception_resnet import inception_resnet_v1, inception_resnet_v2
from keras_recres.models.convnets.inception_v4 import inception_v4
from keras_recres.models.convnets.lenet import lenet5
from keras_recres.models.convnets.neocognitron import neocognitron, self_organize
from keras_recres.models.convnets.nin import nin_cifar, nin_imagenet
from keras_recres.models.convnets.pyramidnet import pyramidnet
from keras_recres.models.convnets.resnet import keras_resnet, resnet
from keras_recres.models.convnets.rir import rir
from keras_recres.models.convnets.vgg import vgg
from keras_recres.models.convnets.xception import xception
from keras_recres.models.deep_thinking import deep_thinking
from keras_recres.models.dense_bilstm import dense_bilstm
from keras_recres.models.ensemble import ensemble
from keras_recres.models.field_rnn import field_rnn, field_to_rnn
from keras_recres.models.fully_convolutional import fully_convolutional
from keras_recres.models.jet_lstm import jet_lstm
from keras_recres.models.mean_field_net import mean_field_net
from keras_recres.models.mnist_resnet50 import mnist_resnet50
from keras_recres.models.multiply_adds import multiply_adds
from keras_recres.models.planar import planar
from keras_recres.models.recurrent import recurrent
from keras_recres.models.recurrent_forms import residual_to_rnn, rnn_to_residual
from keras_recres.models.shared_resnet import shared_resnet
from keras_recres.models.simple_recurrent import elman, jordan
from keras_recres.models.substitute import substitute
from keras_recres.models.t2t_vit import t2t_vit
from keras_recres.models.text_classifier import text_classifier
from keras_recres.models.untie import untie

__all__ = [
    "BlockRun",
    "alexnet",
    "blocks",
    "bn_inception",
    "cifar_net",
    "cifar_resnet",
    "conv_lstm_forecaster",
    "deep_thinking",
    "dense_bilstm",
    "elman",
    "ensemble",
    "field_rnn",
    "field_to_rnn",
    "fully_convolutional",
    "googlenet",
    "googlenet_paper",
    "highway",
    "inception_resnet_v1",
    "inception_resnet_v2",
    "inception_v2",
    "inception_v3",
    "inception_v3_aux",
    "inception_v4",
    "jet_lstm",
    "jordan",
    "keras_resnet",
    "lenet5",
    "mean_field_net",
    "mnist_resnet50",
    "multiply_adds",
    "neocognitron",
    "nin_cifar",
    "nin_imagenet",
    "planar",
    "preact_resnet",
    "pyramidnet",
    "recurrent",
    "residual_to_rnn",
    "resnet",
    "rir",
    "rnn_to_residual",
    "rules",
    "self_organize",
    "shared_resnet",
    "substitute",
    "t2t_vit",
    "text_classifier",
    "untie",
    "vgg",
    "xception",
]
