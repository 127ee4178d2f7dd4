"""Images in a TensorFlow graph, such as tf.data's, whose sides are known when it runs."""

import tensorflow as tf


def in_graph(x):
    """Whether `x` is a tensor of a TensorFlow graph, which has no value yet."""
    return tf.is_symbolic_tensor(x)


def as_float32(x):
    """`x` as float32, whatever the backend."""
    return tf.cast(x, tf.float32)


def resize_and_crop(pixels, size, crop, interpolation, check=None):
    """What `zoo.Preprocessing` does before it normalises, whatever the backend.

    Args:
        pixels: Tensor (…, height, width, channels), with or without a batch.
        size: (height, width) of what is returned.
        crop: Fraction of the resized side that is kept.
        interpolation: Name of the method.
        check: Function of the sides that the image is resized to, float64 (2,), which returns the
            operations that must run before it is.

    Returns:
        float32 tensor (…, *size, channels).
    """
    if tuple(pixels.shape[-3:-1]) == tuple(size):
        return as_float32(pixels)
    targets = [max(side, round(side / crop)) for side in size]
    sides = tf.shape(pixels)[-3:-1]
    not_empty = tf.debugging.assert_positive(sides, "images must have at least one pixel")
    with tf.control_dependencies([not_empty]):
        exact = tf.cast(sides, tf.float64)
    factor = tf.reduce_max(tf.constant(targets, tf.float64) / exact)
    # Python's `round` and TensorFlow's both take halves to the even number.
    resized = tf.maximum(tf.constant(targets, tf.float64), tf.round(exact * factor))
    with tf.control_dependencies(check(resized) if check else []):
        resized = tf.cast(resized, tf.int32)
    own_size = tf.reduce_all(sides == tf.constant(size, tf.int32))

    def as_it_is():
        return as_float32(pixels)

    def resize():
        x = tf.image.resize(
            pixels, resized, method=interpolation, antialias=interpolation != "nearest"
        )
        # Bicubic interpolation overshoots; pixels do not.
        return tf.clip_by_value(tf.cast(x, tf.float32), 0.0, 255.0)

    def cropped():
        x = tf.cond(tf.reduce_all(sides == resized), as_it_is, resize)
        top, left = tf.unstack((resized - tf.constant(size)) // 2)
        return x[..., top : top + size[0], left : left + size[1], :]

    x = tf.cond(own_size, as_it_is, cropped)
    return tf.ensure_shape(x, (*pixels.shape[:-3], *size, pixels.shape[-1]))
