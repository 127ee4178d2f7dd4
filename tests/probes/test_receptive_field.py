"""receptive_field against what outputs really depend on, and against VGG-19's known sizes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_recres import backend, models
from keras_recres.backend import probe
from keras_recres.layers import CeilMaxPooling2D, Conv3dSubstitute, Highway, RecurrentResidual
from keras_recres.probes import receptive_field, top_patches
from keras_recres.probes.receptive_field import _shortest
from tests.marks import slow_on_tensorflow

# arXiv 1409.1556's network E: size and stride.
VGG19 = {
    **{"block1_conv2": (5, 1), "block1_pool": (6, 2), "block2_conv2": (14, 2)},
    **{"block2_pool": (16, 4), "block3_conv3": (40, 4), "block3_conv4": (48, 4)},
    **{"block3_pool": (52, 8), "block4_conv3": (100, 8), "block4_conv4": (116, 8)},
    **{"block4_pool": (124, 16), "block5_conv3": (220, 16), "block5_conv4": (252, 16)},
    "block5_pool": (268, 32),
}


def vgg19(filters=1):
    """The layers of the network with one channel each."""
    parts = [keras.Input((224, 224, 3))]
    for block, count in enumerate((2, 2, 4, 4, 4), 1):
        for i in range(1, count + 1):
            name = f"block{block}_conv{i}"
            parts.append(layers.Conv2D(filters, 3, padding="same", name=name))
        parts.append(layers.MaxPooling2D(2, 2, name=f"block{block}_pool"))
    parts += [layers.Flatten(name="flatten"), layers.Dense(10, name="fc")]
    return keras.Sequential(parts)


@pytest.mark.neutral
def test_vgg19():
    model = vgg19()
    fields = receptive_field(model)
    found = {field.layer: (*field.size, *field.stride) for field in fields}
    for name, (size, stride) in VGG19.items():
        assert found[name] == (size, size, stride, stride)
        assert receptive_field(model, name).size == (size, size)
    # All positions of pool5, whose first window begins at −118: flattening sees all of them.
    (last,) = [field for field in fields if field.layer == "flatten"]
    assert (last.size, last.stride, last.offset) == ((268 + 6 * 32,) * 2, (0, 0), (-118, -118))
    assert receptive_field(model, "fc").size == last.size
    assert fields.sides == (224, 224)
    assert fields.unknown is None


def convolution(size, strides=1, padding="same", **options):
    return layers.Conv2D(2, size, strides, padding=padding, **options)


def in_parallel(*branches):
    def call(x):
        return layers.Concatenate()([branch(x) for branch in branches])

    return call


def gated(x):
    """A number for each channel that sees all of it, as in squeeze and excitation."""
    gate = layers.Dense(2, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return x * gate


def nested(x):
    inner = keras.Sequential([keras.Input(x.shape[1:]), convolution(3), convolution(3, 2)])
    return inner(x)


NETWORKS = {
    "even": (12, [convolution(3, 2), convolution(3, 2), convolution(3)]),
    "odd": (13, [convolution(3, 2), convolution(2, 2), convolution(4, 3)]),
    "dilated": (16, [convolution(3, dilation_rate=2), convolution(3, padding="valid")]),
    "uneven": (13, [convolution((1, 5)), convolution((3, 1), (2, 1))]),
    "pools": (15, [layers.MaxPooling2D(3, 2), convolution(3), layers.AveragePooling2D(2)]),
    "ceil": (14, [CeilMaxPooling2D(3, 2, 1), convolution(3)]),
    "padded": (12, [layers.ZeroPadding2D(((2, 1), (0, 3))), convolution(5, 2, "valid")]),
    "cropped": (13, [convolution(3), layers.Cropping2D(((2, 1), (1, 0))), convolution(3)]),
    "filled": (9, [lambda x: ops.pad(x, [[0, 0], [1, 0], [2, 1], [0, 3]]), convolution(3)]),
    "branches": (12, [in_parallel(convolution(1), convolution(5), convolution(3))]),
    "gate": (9, [convolution(3), gated, convolution(3)]),
    "norms": (9, [convolution(3), layers.GroupNormalization(1)]),
    "nested": (13, [nested, convolution(3)]),
    "recurrent": (13, [convolution(1), RecurrentResidual(convolution(3), steps=2)]),
    "highway": (9, [convolution(1), Highway(convolution(3), convolution(3))]),
    "volumes": (9, [convolution(1), Conv3dSubstitute(2, 3)]),
    "depthwise": (13, [layers.DepthwiseConv2D(3, 2), layers.SeparableConv2D(2, 3, 2)]),
}


QUICK = {"even", "odd", "pools", "branches", "recurrent"}


def built(side, parts):
    x = inputs = keras.Input((side, side + 1, 2))
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [slow_on_tensorflow]) for n in NETWORKS],
)
def test_cells_outside_the_field_have_no_gradient_and_its_edges_have_one(name):
    model = built(*NETWORKS[name])
    field = receptive_field(model, model.layers[-1])
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(0.5 + rng.random(weight.shape))
    # Rising, since a maximum has a gradient in one cell alone; of each place of it in turn.
    x = [rng.normal(size=(1, *model.input_shape[1:])).astype("float32") for _ in range(30)]
    x = ops.convert_to_tensor(np.concatenate(x))
    height, width = model.output_shape[1:3]
    units = {(height // 2, width // 2)}
    if name not in ("cropped", "filled"):
        # In these, what a window has beyond the middle's edge is padding.
        units |= {(0, 0), (height - 1, width - 1)}
    # One function for all of them, which JAX compiles once.
    gradient_of = probe.run_once(
        lambda x, unit: backend.gradients(lambda x: ops.sum(model(x, training=False) * unit), [x])
    )
    for i, j in units:
        unit = np.zeros((1, height, width, 1), "float32")
        unit[0, i, j] = 1
        (gradient,) = gradient_of(x, ops.convert_to_tensor(unit))
        seen = np.abs(ops.convert_to_numpy(gradient)).max((0, 3)) > 0
        for axis, at in enumerate((i, j)):
            cells = np.flatnonzero(seen.any(1 - axis))
            first = field.stride[axis] * at + field.offset[axis]
            ends = max(first, 0), min(first + field.size[axis], seen.shape[axis]) - 1
            assert (cells[0], cells[-1]) == ends


def test_networks_of_the_zoo():
    model = models.cifar_resnet(8, input_shape=(16, 16, 3))
    # 3, two of 3 at stride 1, and at stride 2 and 4 one that begins and one more each.
    assert receptive_field(model, "stage0_unit0").size == (7, 7)
    assert receptive_field(model, "stage1_unit0_conv2").size == (7 + 2 + 4,) * 2
    assert receptive_field(model, "stage2_unit0_relu").size == (13 + 4 + 8,) * 2
    field = receptive_field(model, "mean")
    assert (field.stride, field.size) == ((0, 0), (25 + 3 * 4,) * 2)


def test_the_effective_field_is_smaller():
    model = built(33, [convolution(3) for _ in range(6)])
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 0.1))
    x = np.random.default_rng(0).normal(size=(2, 33, 34, 2)).astype("float32")
    fields = receptive_field(model, x=x)
    assert [field.size for field in fields] == [(n, n) for n in (3, 5, 7, 9, 11, 13)]
    # Equal weights: six uniform windows of three, a binomial's neighbour with variance 6 · 2/3.
    kernel = np.ones(1)
    for field in fields:
        kernel = np.convolve(kernel, np.ones(3) / 3)
        assert field.effective == (_shortest(kernel),) * 2
        assert field.gradient.shape == (33, 34)
    assert fields[-1].effective == (9, 9)
    assert _shortest(np.zeros(4)) == 0


def test_tables_and_the_picture(tmp_path):
    fields = receptive_field(built(*NETWORKS["uneven"]))
    assert [row["size"] for row in fields.table()] == [(1, 5), (3, 5)]
    fields.to_csv(tmp_path / "fields.csv")
    assert "3x5,2x1,-1x-2" in (tmp_path / "fields.csv").read_text()
    pytest.importorskip("matplotlib")
    assert fields.plot(tmp_path / "fields.png").get_ylabel().startswith("receptive field")
    assert (tmp_path / "fields.png").stat().st_size > 5_000


def test_what_cannot_be_told():
    model = built(8, [convolution(3), layers.UpSampling2D(name="up"), convolution(3, name="last")])
    assert receptive_field(model).unknown[0] == "up"
    with pytest.raises(ValueError, match=r"What 'last' sees .* no rule for an UpSampling2D"):
        receptive_field(model, "last")
    with pytest.raises(ValueError, match="has no layer 'lost'"):
        receptive_field(model, "lost")
    inputs = keras.Input((None, None, 3))
    opened = keras.Model(inputs, convolution(3, 2, name="first")(inputs))
    with pytest.raises(ValueError, match="give `input_shape`"):
        receptive_field(opened)
    assert receptive_field(opened, input_shape=(8, 8, 3))[0].offset == (0, 0)
    assert receptive_field(opened, input_shape=(9, 9, 3))[0].offset == (-1, -1)
    integers = keras.Input((8, 8, 1), dtype="uint8")
    model = keras.Model(integers, convolution(3)(layers.Rescaling(1 / 255)(integers)))
    assert receptive_field(model)[0].size == (3, 3)
    with pytest.raises(ValueError, match="which takes uint8: there is no gradient"):
        receptive_field(model, x=np.zeros((1, 8, 8, 1), "uint8"))
    with pytest.raises(ValueError, match="one to three spatial axes"):
        receptive_field(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))


def test_patches_are_what_units_see(tmp_path):
    """Units that count a bright corner find it, wherever it is, also at the edge."""
    inputs = keras.Input((9, 9, 1))
    conv = layers.Conv2D(2, 3, padding="same", use_bias=False, name="conv")
    model = keras.Model(inputs, layers.GlobalMaxPooling2D()(conv(inputs)))
    kernel = np.zeros((3, 3, 1, 2), "float32")
    kernel[:, :, 0, 0], kernel[1, 1, 0, 1] = 1, -1
    conv.kernel.assign(kernel)
    images = np.zeros((4, 9, 9, 1), "float32")
    images[1, 4:7, 2:5] = 1  # All of a window.
    images[3, 0:2, 0:2] = 2  # Four pixels at the corner, whose window has padding.
    top = top_patches(model, "conv", [0, 1], images, count=2, batch_size=3)
    assert top.examples[0].tolist() == [1, 3] or top.values[0].tolist() == [9.0, 8.0]
    np.testing.assert_array_equal(top.positions[0], [[5, 3], [0, 0]])
    np.testing.assert_array_equal(top.patches[0, 0], np.ones((3, 3, 1)))
    corner = top.patches[0, 1, ..., 0]
    assert np.isnan(corner).sum() == 5
    np.testing.assert_array_equal(corner[1:, 1:], np.full((2, 2), 2))
    assert "2 units of 'conv', 2 patches of 3 x 3 pixels" in repr(top)
    for wrong, words in ((2, "`units` must be integers from 0 to 1"), (0.5, "`units`")):
        with pytest.raises(ValueError, match=words):
            top_patches(model, "conv", wrong, images)
    with pytest.raises(ValueError, match="`shown` of the same sides"):
        top_patches(model, "conv", 0, images, shown=images[:, :4])
    pytest.importorskip("matplotlib")
    assert top.plot(tmp_path / "top.png").shape == (2, 2)
