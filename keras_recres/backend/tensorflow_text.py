"""Texts in a graph of TensorFlow: what `zoo.text.TextPreprocessing` does to lists of strings."""

import tensorflow as tf

from keras_recres.backend.tensorflow_images import in_graph

__all__ = ["in_graph", "numbers"]


def numbers(texts, known, length):
    """Numbers of the last words of each text, int32 (texts, length).

    Args:
        texts: String tensor (texts,).
        known: The words that have numbers, from 2 on.
        length: How many numbers of each.
    """
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(known), tf.range(2, len(known) + 2, dtype=tf.int32)
        ),
        default_value=1,
    )
    return look_up(texts, table, length)


def look_up(texts, table, length):
    """As `numbers`, by a table of the words that whoever saves the graph has to keep."""
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
        return found[:, ::-1].to_tensor(0, (None, length))[:, ::-1]
