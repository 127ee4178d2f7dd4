"""Statistics of batch normalization that fit the weights ("PreciseBN", arXiv 2105.07576)."""

import keras

from keras_recres.backend.keras_private import sublayers


def norms_of(model):
    """The batch normalization layers of a model, at any depth."""
    return [x for x in sublayers(model) if isinstance(x, keras.layers.BatchNormalization)]


def fit_norms(model, batches):
    """Sets each batch normalization's moving averages to the means over batches.

    All batches are seen with the same weights. Dropout and the like draw as in training.

    Args:
        model: A Keras model; its weights stay as they are.
        batches: Inputs as the model takes them; of as many examples as in training, since variances
            depend on it.
    """
    norms = norms_of(model)
    momentum = [layer.momentum for layer in norms]
    try:
        for seen, batch in enumerate(batches if norms else ()):
            for layer in norms:
                layer.momentum = seen / (seen + 1)
            model(batch, training=True)
    finally:
        for layer, before in zip(norms, momentum, strict=True):
            layer.momentum = before
