"""Texts in a graph of TensorFlow: what `zoo.text.TextPreprocessing` does to lists of strings."""

import tensorflow as tf

from keras_recres.backend.tensorflow_images import in_graph

__all__ = ["in_graph", "look_up", "numbers", "table_of"]


def numbers(texts, known, length):
    """Numbers of the last words of each text, int32 (texts, length).

    Args:
        texts: String tensor (texts,).
        known: The words that have numbers, from 2 on.
        length: How many numbers of each.
    """
    return look_up(texts, table_of(known), length)


def table_of(known):
    """The numbers of words, a table that whoever saves a graph with it has to keep."""
    numbers = tf.range(2, len(known) + 2, dtype=tf.int32)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(known), numbers)
    return tf.lookup.StaticHashTable(initializer, default_value=1)


def look_up(texts, table, length):
    """As `numbers`, by a `table_of` the words."""
    # Spaces around what counts for itself; what belongs to no word becomes one.
    x = tf.strings.regex_replace(texts, "<br />", " ")
    x = tf.strings.regex_replace(tf.strings.lower(x), "[^a-z0-9'!?]+", " ")
    x = tf.strings.split(tf.strings.regex_replace(x, "[!?]", r" \0 "))
    found = table.lookup(x)
    lengths = found.row_lengths()
    empty = tf.debugging.assert_positive(lengths, "A text has no word to read.")
    with tf.control_dependencies([empty]):
        found = found[:, -length:]
        # Filled up in front: reversed, behind, and back.
        return found[:, ::-1].to_tensor(0, shape=(None, length))[:, ::-1]
