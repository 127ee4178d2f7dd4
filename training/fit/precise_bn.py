"""Statistics of batch normalization that fit the weights ("PreciseBN", arXiv 2105.07576).

The moving averages of `keras.layers.BatchNormalization` forget with momentum 0.99: after a short
training, or one whose activations still move fast, they are those of earlier weights, and a
network that has learnt well answers wrongly in inference. Here they are averaged anew over training
batches, with the weights held. Training itself does not read them.
"""

import keras

from keras_recres.models.norms import fit_norms


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
        fit_norms(self.model, (self.batches[i][0] for i in range(count)))
