"""What networks that read texts have in common: words at the front, classes at the end."""

import keras
from keras import ops

from keras_recres.layers.checks import check_choice, check_count

POOLINGS = {
    "last": None,
    "max": keras.layers.GlobalMaxPooling1D,
    "average": keras.layers.GlobalAveragePooling1D,
}


def words(vocabulary_size, embedding_dim, length):
    """The input, int32 (batch, length), and the words' vectors."""
    sizes = {"vocabulary_size": vocabulary_size, "embedding_dim": embedding_dim, "length": length}
    for key, value in sizes.items():
        check_count(key, value)
    inputs = keras.Input((length,), dtype="int32")
    return inputs, keras.layers.Embedding(vocabulary_size, embedding_dim, name="embedding")(inputs)


def check_pooling(pooling, *without):
    """Raises a ValueError unless `pooling` is one of `POOLINGS`, those `without` left out."""
    check_choice("pooling", pooling, [key for key in POOLINGS if key not in without])


def classes(
    inputs, x, pooling, head_dropout, num_classes, features_only, classifier_activation, name
):
    """The model whose dense layer reads what `pooling` makes of the states `x`."""
    check_count("num_classes", num_classes)
    if POOLINGS[pooling]:
        x = POOLINGS[pooling](name="pool")(x)
    if head_dropout:
        x = keras.layers.Dropout(head_dropout, name="head_dropout")(x)
    if not features_only:
        x = keras.layers.Dense(1 if num_classes == 2 else num_classes, name="logits")(x)
        if num_classes == 2:
            x = ops.pad(x, ((0, 0), (1, 0)))
        if classifier_activation is not None:
            x = keras.layers.Activation(classifier_activation, name="probabilities")(x)
    return keras.Model(inputs, x, name=name)
