"""Encoded images to what a network takes, inside a TensorFlow graph."""

import tensorflow as tf

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# In each request: the memory of as many decoded and resized images of `max_pixels`.
IMAGES_AT_ONCE = 2


def decode_and_preprocess(encoded, preprocessing, channels, max_pixels):
    """A batch of JPEG and PNG files as `preprocessing` of their pixels, one by one of any size.

    The size is read from the header before anything is decoded: neither a picture of more than
    `max_pixels` nor one that is so thin that covering the network's square would take more of
    them is ever expanded in memory.

    Args:
        encoded: String tensor, (batch,).
        preprocessing: A `zoo.Preprocessing` with a size.
        channels: 1 or 3; other kinds of images are converted, transparency is dropped.
        max_pixels: Python int.

    Returns:
        float32 tensor, (batch, height, width, channels).
    """

    def one(inputs):
        index, contents = inputs
        pixels = _decode(index, contents, channels, max_pixels)
        return _resize_and_crop(index, pixels, preprocessing, max_pixels)

    spec = tf.TensorSpec((*preprocessing.size, channels), tf.float32)
    pixels = tf.map_fn(
        one,
        (tf.range(tf.size(encoded)), encoded),
        fn_output_signature=spec,
        parallel_iterations=IMAGES_AT_ONCE,
    )
    return preprocessing.normalize(pixels)


def _decode(index, contents, channels, max_pixels):
    """uint8 pixels, (height, width, channels)."""
    is_png = tf.strings.substr(contents, 0, len(PNG)) == PNG
    is_jpeg = tf.strings.substr(contents, 0, len(JPEG)) == JPEG
    # 33 bytes: the signature and the chunk with the size, which comes first in every PNG.
    known = is_jpeg | (is_png & (tf.strings.length(contents) >= 33))
    known = tf.debugging.Assert(
        known,
        [
            "image_bytes: neither a JPEG nor a PNG file; index in the batch and length in bytes:",
            index,
            tf.strings.length(contents),
        ],
    )
    with tf.control_dependencies([known]):
        height, width = tf.cond(is_png, lambda: _png_size(contents), lambda: _jpeg_size(contents))
    small = tf.debugging.Assert(
        (height > 0) & (width > 0) & (height * width <= max_pixels),
        [
            f"image_bytes: images must have 1 to {max_pixels} pixels; index in the batch, height "
            "and width:",
            index,
            height,
            width,
        ],
    )
    with tf.control_dependencies([small]):
        # As most decoders do it and not TensorFlow's faster approximation: these are the pixels
        # that Pillow gives.
        return tf.cond(
            is_png,
            lambda: tf.io.decode_png(contents, channels=channels),
            lambda: tf.io.decode_jpeg(contents, channels=channels, dct_method="INTEGER_ACCURATE"),
        )


def _png_size(contents):
    sides = tf.io.decode_raw(tf.strings.substr(contents, 16, 8), tf.int32, little_endian=False)
    # Wider than int32: their product must not overflow.
    width, height = tf.unstack(tf.cast(tf.ensure_shape(sides, (2,)), tf.int64))
    return height, width


def _jpeg_size(contents):
    shape = tf.io.extract_jpeg_shape(contents, output_type=tf.int32)
    height, width, _ = tf.unstack(tf.cast(tf.ensure_shape(shape, (3,)), tf.int64))
    return height, width


def _resize_and_crop(index, pixels, preprocessing, max_pixels):
    """As `Preprocessing` does it, where the sides are only known when the graph runs."""
    targets = [max(side, round(side / preprocessing.crop)) for side in preprocessing.size]
    sides = tf.shape(pixels)[:2]
    exact = tf.cast(sides, tf.float64)
    factor = tf.reduce_max(tf.constant(targets, tf.float64) / exact)
    # Python's `round` and TensorFlow's both take halves to the even number.
    resized = tf.maximum(tf.constant(targets, tf.float64), tf.round(exact * factor))
    bounded = tf.debugging.Assert(
        resized[0] * resized[1] <= max(max_pixels, targets[0] * targets[1]),
        ["image_bytes: too thin; index in the batch, height and width:", index, sides],
    )
    with tf.control_dependencies([bounded]):
        resized = tf.cast(resized, tf.int32)
    own_size = tf.reduce_all(sides == tf.constant(preprocessing.size, tf.int32))

    def as_it_is():
        return tf.cast(pixels, tf.float32)

    def resize():
        x = tf.image.resize(
            pixels,
            resized,
            method=preprocessing.interpolation,
            antialias=preprocessing.interpolation != "nearest",
        )
        # Bicubic interpolation overshoots; pixels do not.
        return tf.clip_by_value(tf.cast(x, tf.float32), 0.0, 255.0)

    def cropped():
        same = tf.reduce_all(sides == resized)
        x = tf.cond(same, as_it_is, resize)
        top, left = tf.unstack((resized - tf.constant(preprocessing.size)) // 2)
        height, width = preprocessing.size
        return x[top : top + height, left : left + width]

    x = tf.cond(own_size, as_it_is, cropped)
    return tf.ensure_shape(x, (*preprocessing.size, pixels.shape[-1]))
