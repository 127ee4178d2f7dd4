"""Encoded images to what a network takes, inside a TensorFlow graph."""

import math

import tensorflow as tf

from keras_recres.backend.tensorflow_images import resize_and_crop

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
    """As `Preprocessing` does it; sides are only known when the graph runs."""
    size, crop = preprocessing.size, preprocessing.crop
    largest = max(max_pixels, math.prod(max(side, round(side / crop)) for side in size))

    def check(resized):
        sentence = "image_bytes: too thin; index in the batch, height and width:"
        sides = tf.shape(pixels)[:2]
        return [tf.debugging.Assert(resized[0] * resized[1] <= largest, [sentence, index, sides])]

    return resize_and_crop(pixels, size, crop, preprocessing.interpolation, check)
