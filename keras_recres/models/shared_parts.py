"""What both forms of `shared_resnet` are made of."""

import keras

from keras_recres.layers import BatchNormalization


def convolution(channels, strides, name):
    return keras.layers.Conv2D(
        channels,
        3,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )


def norm(name):
    # 0.9, as ResNets have it: with Keras' 0.99 the statistics trail the weights by an epoch.
    return BatchNormalization(momentum=0.9, name=name)
