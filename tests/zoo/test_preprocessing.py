import copy
import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_recres.zoo import Preprocessing

IMAGENET = Preprocessing(
    size=(24, 24),
    crop=0.75,
    interpolation="bicubic",
    scale=1 / 255,
    mean=[0.485, 0.456, 0.406],
    std=[0.229, 0.224, 0.225],
)


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype="uint8")


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def cubic(x):
    """Keys' kernel with a = -1/2."""
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def triangle(x):
    return np.maximum(0, 1 - np.abs(x))


def resizing_matrix(old, new, kernel):
    """Antialiased resampling of one axis: the kernel, stretched by the reduction factor."""
    stretch = max(1, old / new)
    centres = (np.arange(new) + 0.5) * old / new - 0.5
    weights = kernel((np.arange(old)[None, :] - centres[:, None]) / stretch)
    return weights / weights.sum(axis=1, keepdims=True)


def resized(x, size, kernel):
    rows = resizing_matrix(x.shape[1], size[0], kernel)
    columns = resizing_matrix(x.shape[2], size[1], kernel)
    x = np.einsum("ih,jw,bhwc->bijc", rows, columns, x.astype("float64"))
    return np.clip(x, 0, 255)


@pytest.mark.parametrize(("interpolation", "kernel"), [("bicubic", cubic), ("bilinear", triangle)])
@pytest.mark.parametrize("shape", [(48, 64), (20, 18), (32, 32)])
def test_resize_crop_normalise(shape, interpolation, kernel):
    p = Preprocessing((24, 24), 0.75, interpolation, 1 / 255, IMAGENET.mean, IMAGENET.std)
    x = images(2, *shape, 3)
    # The shorter side becomes 24 / 0.75 = 32, the centre 24 × 24 is kept.
    size = [round(side * 32 / min(shape)) for side in shape]
    top, left = (size[0] - 24) // 2, (size[1] - 24) // 2
    expected = resized(x, size, kernel)[:, top : top + 24, left : left + 24] / 255
    expected = (expected - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)
    found = p(x)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(numpy(found), expected, atol=2e-4)


def test_images_of_the_size_are_not_resampled():
    x = images(2, 24, 24, 3)
    np.testing.assert_allclose(numpy(IMAGENET(x)), IMAGENET.normalize(x), atol=1e-6)
    expected = (x / 255 - IMAGENET.mean) / IMAGENET.std
    np.testing.assert_allclose(numpy(IMAGENET(x)), expected, atol=1e-5)


def test_uint8_float_and_tensor_give_the_same():
    x = images(2, 30, 40, 3)
    expected = numpy(IMAGENET(x))
    np.testing.assert_array_equal(numpy(IMAGENET(x.astype("float32"))), expected)
    np.testing.assert_array_equal(numpy(IMAGENET(x.astype("float64"))), expected)
    np.testing.assert_array_equal(numpy(IMAGENET(keras.ops.convert_to_tensor(x))), expected)


def test_one_image_gets_a_batch_axis():
    x = images(2, 30, 40, 3)
    assert numpy(IMAGENET(x[0])).shape == (1, 24, 24, 3)
    np.testing.assert_allclose(numpy(IMAGENET(x[0])), numpy(IMAGENET(x))[:1], atol=1e-5)


def test_grey_and_unequal_sides():
    p = Preprocessing((16, 32), 1.0, "bilinear", 1 / 255, [0.1307], [0.3081])
    assert numpy(p(images(2, 28, 28, 1))).shape == (2, 16, 32, 1)


def test_channels_first_global_setting_changes_nothing():
    expected = numpy(IMAGENET(images(1, 30, 40, 3)))
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(numpy(IMAGENET(images(1, 30, 40, 3))), expected)
    finally:
        keras.config.set_image_data_format(before)


def test_identity_only_casts():
    p = Preprocessing()
    points = np.random.default_rng(0).normal(size=(5, 2))
    assert keras.backend.standardize_dtype(p(points).dtype) == "float32"
    np.testing.assert_array_equal(numpy(p(points)), points.astype("float32"))
    assert p.for_input_shape((7,)) is p


def test_normalize_keeps_the_kind_of_array():
    x = images(2, 4, 4, 3)
    expected = (x / 255 - IMAGENET.mean) / IMAGENET.std
    found = IMAGENET.normalize(x)
    assert isinstance(found, np.ndarray)
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-5)
    tensor = keras.ops.convert_to_tensor(x.astype("float32"))
    found = IMAGENET.normalize(tensor)
    assert type(found) is type(tensor)
    np.testing.assert_allclose(numpy(found), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("library", "make"),
    [
        ("tensorflow", lambda m, x: m.constant(x)),
        ("jax", lambda m, x: m.numpy.asarray(x)),
        ("torch", lambda m, x: m.tensor(x)),
    ],
)
def test_normalize_takes_tensors_of_any_library(library, make):
    # A tf.data pipeline feeds a JAX model as well.
    if library == "jax" and keras.backend.backend() != "jax":
        pytest.skip("each library beside its own backend, TensorFlow and PyTorch beside all")
    x = images(2, 4, 4, 3).astype("float32")
    tensor = make(pytest.importorskip(library), x)
    found = IMAGENET.normalize(tensor)
    assert type(found) is type(tensor)
    np.testing.assert_allclose(np.asarray(found), IMAGENET.normalize(x), atol=1e-5)


@pytest.mark.parametrize(
    ("batch", "sides", "known"),
    [
        ((), (30, 40), False),
        ((2,), (30, 40), True),
        ((2,), (20, 18), False),
        ((2,), (24, 24), True),
        ((2,), (24, 24), False),
        ((0,), (30, 40), False),
    ],
)
def test_runs_in_tf_data_as_outside(batch, sides, known):
    tf = pytest.importorskip("tensorflow")
    x = images(*batch, *sides, 3)
    spec = tf.TensorSpec(x.shape if known else (*[None] * (x.ndim - 1), 3), "uint8")
    data = tf.data.Dataset.from_generator(lambda: iter([x]), output_signature=spec).map(IMAGENET)
    assert data.element_spec.shape[1:] == (24, 24, 3)
    (found,) = data.as_numpy_iterator()
    np.testing.assert_allclose(found, numpy(IMAGENET(x)), atol=1e-4)


@pytest.mark.parametrize("p", [Preprocessing(), Preprocessing(scale=0.5)])
def test_points_run_in_tf_data(p):
    tf = pytest.importorskip("tensorflow")
    (found,) = tf.data.Dataset.from_tensors(np.ones((4, 2))).map(p).as_numpy_iterator()
    np.testing.assert_array_equal(found, numpy(p(np.ones((4, 2)))))
    assert found.dtype == "float32"


def test_unusable_images_in_tf_data():
    tf = pytest.importorskip("tensorflow")
    spec = tf.TensorSpec((None, None, 3), "uint8")
    empty = tf.data.Dataset.from_generator(
        lambda: iter([np.zeros((0, 40, 3), "uint8")]), output_signature=spec
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="at least one pixel"):
        next(iter(empty.map(IMAGENET)))
    files = tf.data.Dataset.from_tensors(b"").map(tf.io.decode_image)
    with pytest.raises(ValueError, match="known number of axes"):
        files.map(IMAGENET)


@pytest.mark.neutral
def test_numpy_numbers_become_pythons():
    p = Preprocessing(
        size=np.array([24, 24]),
        crop=np.float32(0.75),
        interpolation="bicubic",
        scale=np.float64(1 / 255),
        mean=np.array(IMAGENET.mean),
        std=np.array(IMAGENET.std),
    )
    assert p == IMAGENET
    assert json.loads(json.dumps(dataclasses.asdict(p))) == json.loads(
        json.dumps(dataclasses.asdict(IMAGENET))
    )


def test_runs_inside_a_model():
    inputs = keras.Input((24, 24, 3))
    model = keras.Model(inputs, keras.layers.Rescaling(1 / 255)(inputs))
    x = images(2, 30, 40, 3)
    assert model(IMAGENET(x)).shape == (2, 24, 24, 3)


@pytest.mark.neutral
def test_for_input_shape():
    p = IMAGENET.for_input_shape((64, 32, 3))
    assert (p.size, p.mean, p.crop) == ((64, 32), IMAGENET.mean, 0.75)
    grey = IMAGENET.for_input_shape((24, 24, 1))
    assert grey.mean == pytest.approx([0.449])
    assert grey.std == pytest.approx([0.226])


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (images(2, 30, 40, 1), "images have 1 channels .* is for 3"),
        (images(24, 24), r"must have shape .* found \(24, 24\)"),
        (images(2, 0, 40, 3), r"at least one pixel, found shape \(2, 0, 40, 3\)"),
    ],
)
@pytest.mark.neutral
def test_wrong_images(x, sentence):
    with pytest.raises(ValueError, match=sentence):
        IMAGENET(x)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"size": (3,)}, "size must be None or two positive integers"),
        ({"size": (3, 0)}, "size must be None or two positive integers"),
        ({"crop": 0.0}, r"crop must lie in \(0, 1\], found 0.0"),
        ({"crop": 1.5}, r"crop must lie in \(0, 1\], found 1.5"),
        ({"interpolation": "cubic"}, "interpolation must be one of .* found 'cubic'"),
        ({"mean": (0.5,)}, "mean and std must have one entry per channel"),
        ({"mean": (0.5,), "std": (0.0,)}, "std positive"),
    ],
)
@pytest.mark.neutral
def test_wrong_arguments(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Preprocessing(**arguments)


@pytest.mark.neutral
def test_is_frozen_and_comparable():
    assert copy.deepcopy(IMAGENET) == IMAGENET
    assert hash(copy.deepcopy(IMAGENET)) == hash(IMAGENET)
    with pytest.raises(AttributeError):
        IMAGENET.crop = 1.0
