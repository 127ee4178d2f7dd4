"""Statistics of batch normalization that fit the weights ("PreciseBN", arXiv 2105.07576).

The moving averages of `keras.layers.BatchNormalization` forget with momentum 0.99: after a short
training, or one whose activations still move fast, they are those of earlier weights, and a
network that has learnt well answers wrongly in inference. Here they are averaged anew over training
batches, with the weights held. Training itself does not read them.
"""

import keras

from keras_recres.backend.keras_private import sublayers


class PreciseBN(keras.callbacks.Callback):
    """Averages the statistics anew before every evaluation.

    Args:
        batches: indexed, gives pairs of images and labels, such as a `training.data.Batches`.
        count: over so many batches, the first of the epoch to come; all where there are fewer.
    """

    def __init__(self, batches, count):
        super().__init__()
        self.batches, self.count = batches, count

    def on_test_begin(self, logs=None):
        count = min(self.count, len(self.batches))
        fit_statistics(self.model, (self.batches[i][0] for i in range(count)))


def norms_of(model):
    """The batch normalization layers of a model, at any depth."""
    return [
        layer for layer in sublayers(model) if isinstance(layer, keras.layers.BatchNormalization)
    ]


def fit_statistics(model, batches):
    """Sets each batch normalization's moving averages to the means over batches.

    All batches are seen with the same weights. Dropout and the like draw as in training.

    Args:
        model: a Keras model; its weights stay as they are.
        batches: arrays (n, …), as the model takes them; n as in training, since variances depend
            on it.
    """
    norms = norms_of(model)
    momentum = [layer.momentum for layer in norms]
    try:
        for seen, batch in enumerate(batches):
            for layer in norms:
                layer.momentum = seen / (seen + 1)
            model(batch, training=True)
    finally:
        for layer, before in zip(norms, momentum, strict=True):
            layer.momentum = before
