"""MetaLayer, GroupedDense, MetaDense, MetaConv2D against their equations and against G layers."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from keras_recres.backend import keras_private
from keras_recres.layers import Conv3dSubstitute, GroupedDense, MetaConv2D, MetaDense, MetaLayer
from keras_recres.layers.grouped_convolution import FORMS
from tests.gradients import JIT, computed, gradients
from tests.marks import slow_on, slow_on_tensorflow


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def to_numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def build(layer, shape):
    """Builds a layer whose initial values don't matter, which JAX would take long to compute."""
    with keras_private.values_given_later():
        layer.build(shape)
        randomize(layer)
    return layer


def randomize(layer):
    """Weights of which none can hide; variances stay positive."""
    rng = np.random.default_rng(5)
    for weight in layer.weights:
        value = rng.normal(size=weight.shape) * 0.5
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)


def trainable(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


def prelu(x, slope):
    return np.where(x > 0, x, slope * x)


def softmax(x):
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def one_slope(**kwargs):
    initializer = keras.initializers.Constant(0.25)
    return keras.layers.PReLU(alpha_initializer=initializer, **kwargs)


# MetaLayer


@pytest.mark.parametrize(("axis", "normalised"), [(-1, True), (1, False), (2, True), (-2, False)])
def test_meta_layer_mixes_the_groups_of_an_axis(axis, normalised):
    x = random(2, 3, 4, 5)
    layer = build(MetaLayer(6, axis=axis, softmax=normalised), x.shape)
    got = computed(layer, x)
    kernel = to_numpy(layer.kernel)
    assert kernel.shape == (x.shape[axis], 6)
    if normalised:
        kernel = softmax(kernel)
    want = np.moveaxis(np.moveaxis(x.astype("float64"), axis, -1) @ kernel, -1, axis)
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == want.shape


@pytest.mark.parametrize("axis", [-1, 1])
def test_meta_layer_takes_a_list_as_the_stacked_tensor(axis):
    groups = [random(2, 5, 3, seed=seed) for seed in range(4)]
    listed, stacked = MetaLayer(6, axis=axis), MetaLayer(6, axis=axis)
    got = listed(groups)
    x = np.stack(groups, axis=axis)
    stacked.build(x.shape)
    stacked.set_weights(listed.get_weights())
    np.testing.assert_allclose(to_numpy(got), to_numpy(stacked(x)), atol=1e-6)
    assert listed.compute_output_shape([g.shape for g in groups]) == tuple(got.shape)


def test_meta_layer_of_a_list_is_saved_and_loaded(tmp_path):
    inputs = [keras.Input((3,)) for _ in range(4)]
    model = keras.Model(inputs, MetaLayer(2)(inputs))
    assert model.output_shape == (None, 3, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = [random(5, 3, seed=seed) for seed in range(4)]
    np.testing.assert_allclose(to_numpy(loaded(x)), to_numpy(model(x)), atol=1e-6)


def test_meta_layer_starts_from_a_standard_normal_distribution_unless_told():
    layer = MetaLayer(400)
    layer.build((None, 3, 300))
    kernel = to_numpy(layer.kernel)
    assert abs(kernel.mean()) < 0.02
    assert abs(kernel.std() - 1) < 0.02
    ones = MetaLayer(2, kernel_initializer="ones")
    np.testing.assert_allclose(to_numpy(ones(random(2, 3)))[:, 0], random(2, 3).sum(1), atol=1e-6)


def test_meta_layer_has_the_gradients_of_a_matrix_product():
    layer = MetaLayer(5, axis=1)
    x = random(2, 3, 4)
    y, (by_kernel, by_x) = gradients(lambda x: layer(x), build(layer, x.shape).weights, x)
    c = np.cos(np.arange(y.size)).reshape(y.shape)
    np.testing.assert_allclose(by_kernel, np.einsum("bne,bme->nm", x, c), atol=1e-5)
    np.testing.assert_allclose(by_x, np.einsum("nm,bme->bne", to_numpy(layer.kernel), c), atol=1e-5)


# GroupedDense and MetaDense


def dense_reference(x, kernel, bias, slopes=None):
    """(…, K) → (…, units, G) in float64, one group at a time."""
    groups, width, _ = kernel.shape
    parts = []
    for g in range(groups):
        y = x[..., g * width : (g + 1) * width].astype("float64") @ kernel[g] + bias[:, g]
        parts.append(y if slopes is None else prelu(y, slopes[g]))
    return np.stack(parts, axis=-1)


@pytest.mark.parametrize("shape", [(2, 12), (2, 3, 2, 12)])
def test_grouped_dense_gives_every_slice_a_map_of_its_own(shape):
    layer = GroupedDense(7, groups=4, activation="prelu")
    layer.build(shape)
    np.testing.assert_array_equal(to_numpy(layer.prelu.alpha), 0.25)
    randomize(layer)
    x = random(*shape)
    slopes = to_numpy(layer.prelu.alpha).reshape(-1)
    assert slopes.shape == (4,)
    want = dense_reference(x, to_numpy(layer.kernel), to_numpy(layer.bias), slopes)
    np.testing.assert_allclose(computed(layer, x), want, atol=1e-5)


def test_grouped_dense_has_the_gradients_of_separate_dense_layers():
    x = random(3, 12)
    layer = build(GroupedDense(5, groups=3, activation="prelu"), x.shape)
    dense = [keras.layers.Dense(5) for _ in range(3)]
    slopes = [one_slope(shared_axes=[1]) for _ in range(3)]
    for g in range(3):
        build(dense[g], (None, 4))
        build(slopes[g], (None, 5))
        dense[g].set_weights([to_numpy(layer.kernel)[g], to_numpy(layer.bias)[:, g]])
        slopes[g].alpha.assign(to_numpy(layer.prelu.alpha)[..., g])

    def separate(x):
        return ops.stack([slopes[g](dense[g](x[:, 4 * g : 4 * g + 4])) for g in range(3)], axis=-1)

    variables = [v for g in range(3) for v in (*dense[g].weights, *slopes[g].weights)]
    y, grads = gradients(lambda x: layer(x), [layer.kernel, layer.bias, layer.prelu.alpha], x)
    want_y, want = gradients(separate, variables, x)
    np.testing.assert_allclose(y, want_y, atol=1e-5)
    np.testing.assert_allclose(grads[0], np.stack(want[0:9:3]), atol=1e-5)
    np.testing.assert_allclose(grads[1], np.stack(want[1:9:3], axis=-1), atol=1e-5)
    np.testing.assert_allclose(grads[2].ravel(), np.ravel(want[2:9:3]), atol=1e-5)
    np.testing.assert_allclose(grads[3], want[9], atol=1e-5)


def test_grouped_dense_drops_in_training_only():
    layer = GroupedDense(50, groups=4, dropout=0.5)
    x = random(8, 12)
    plain, dropped = to_numpy(layer(x)), to_numpy(layer(x, training=True))
    zero = dropped == 0
    assert 0.4 < zero.mean() < 0.6
    np.testing.assert_allclose(dropped[~zero], 2 * plain[~zero], atol=1e-5)
    assert (plain != 0).all()


def test_every_group_is_initialised_by_the_size_of_its_own_slice():
    layer = GroupedDense(64, groups=8, kernel_initializer="he_normal")
    layer.build((None, 8 * 256))
    kernel = to_numpy(layer.kernel)
    np.testing.assert_allclose(kernel.std(axis=(1, 2)), (2 / 256) ** 0.5, rtol=0.05)
    for g in range(1, 8):
        assert abs(np.corrcoef(kernel[0].ravel(), kernel[g].ravel())[0, 1]) < 0.05


def test_a_seeded_initializer_gives_the_same_kernel_again_but_not_equal_groups():
    def kernel():
        layer = MetaConv2D(8, 3, 4, kernel_initializer=keras.initializers.HeNormal(seed=3))
        layer.build((None, 5, 5, 8))
        return to_numpy(layer.kernel)

    np.testing.assert_array_equal(kernel(), kernel())
    assert not np.allclose(kernel()[..., :2], kernel()[..., 2:4])


@pytest.mark.parametrize("normalised", [False, True])
def test_meta_dense_is_grouped_dense_mixed_and_flattened_by_feature_and_group(normalised):
    x = random(2, 12)
    layer = build(MetaDense(5, groups=3, meta_groups=4, softmax=normalised), x.shape)
    dense = layer.dense
    slopes = to_numpy(dense.prelu.alpha).ravel()
    z = dense_reference(x, to_numpy(dense.kernel), to_numpy(dense.bias), slopes)
    kernel = to_numpy(layer.meta.kernel)
    z = z @ (softmax(kernel) if normalised else kernel)
    want = prelu(z, to_numpy(layer.meta_prelu.alpha).item()).reshape(2, 20)
    np.testing.assert_allclose(computed(layer, x), want, atol=1e-5)


def test_the_last_activation_of_meta_dense_gets_all_features():
    layer = build(MetaDense(3, groups=4, meta_activation="softmax"), (5, 16))
    y = computed(layer, random(5, 16))
    np.testing.assert_allclose(y.sum(axis=-1), np.ones(5), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "features", "count"),
    [
        # The heads of the small, medium and residual networks, from the reference's layer lists.
        ({"units": 10, "groups": 4}, 2048, 4 * (5130 + 1) + 16 + 1),
        ({"units": 8, "groups": 16, "meta_groups": 8}, 1152, 16 * (584 + 1) + 128 + 1),
        ({"units": 8, "groups": 16, "meta_groups": 8}, 1024, 16 * (520 + 1) + 128 + 1),
    ],
)
def test_meta_dense_has_the_published_number_of_parameters(arguments, features, count):
    layer = build(MetaDense(**arguments), (None, features))
    assert trainable(layer) == layer.count_params() == count


# MetaConv2D


def convolve(x, kernel, stride, padding):
    """One convolution in float64, (B, H, W, C) with (h, w, C, F), padded as TensorFlow does."""
    h, w = kernel.shape[:2]
    if padding == "same":
        pads = []
        for size, k in zip(x.shape[1:3], (h, w), strict=True):
            total = max((-(-size // stride) - 1) * stride + k - size, 0)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, ((0, 0), *pads, (0, 0)))
    rows = range(0, x.shape[1] - h + 1, stride)
    columns = range(0, x.shape[2] - w + 1, stride)
    y = [
        [np.einsum("bhwc,hwcf->bf", x[:, i : i + h, j : j + w], kernel) for j in columns]
        for i in rows
    ]
    return np.stack([np.stack(row, axis=1) for row in y], axis=1)


def meta_conv_reference(layer, x, stride=1, padding="same"):
    """The inference of a MetaConv2D with everything on, group by group, (B, H, W, M, d)."""
    weights = {w.path.split("/", 1)[1]: to_numpy(w) for w in layer.weights}
    groups = layer.groups
    xs = np.split(x.astype("float64"), groups, axis=-1)
    per_group = {
        name: np.split(weights[name], groups, axis=-1)
        for name in ("kernel", "bias", *(f"norm/{n}" for n in NORM))
    }
    zs = []
    for g in range(groups):
        z = convolve(xs[g], per_group["kernel"][g], stride, padding) + per_group["bias"][g]
        z = prelu(z, weights["prelu/alpha"].ravel()[g])
        gamma, beta, mean, variance = (per_group[f"norm/{n}"][g] for n in NORM)
        z = (z - mean) / np.sqrt(variance + 1e-5) * gamma + beta
        if layer.pool_size:
            p = layer.pool_size
            h, w = z.shape[1] // p, z.shape[2] // p
            z = z[:, : h * p, : w * p].reshape(len(z), h, p, w, p, -1).max(axis=(2, 4))
        zs.append(z)
    y = np.einsum("gbhwd,gm->bhwmd", np.stack(zs), weights["meta/kernel"])
    return prelu(y, weights["meta_prelu/alpha"].item())


NORM = ("gamma", "beta", "moving_mean", "moving_variance")


@pytest.mark.parametrize(
    ("stride", "padding", "pool_size", "flatten"),
    [(1, "same", None, True), (2, "same", None, False), (1, "valid", 2, False)],
)
def test_meta_conv_computes_the_equation(stride, padding, pool_size, flatten):
    layer = MetaConv2D(
        6,
        3,
        groups=3,
        meta_groups=4,
        strides=stride,
        padding=padding,
        pool_size=pool_size,
        flatten=flatten,
        name="layer",
    )
    x = random(2, 8, 7, 12)
    layer.build(x.shape)
    for name in ("prelu", "meta_prelu"):
        np.testing.assert_array_equal(to_numpy(getattr(layer, name).alpha), 0.25)
    randomize(layer)
    want = meta_conv_reference(layer, x, stride, padding)
    if flatten:
        want = want.reshape(*want.shape[:3], -1)
    for layer.form in FORMS:
        got = computed(layer, x, training=False)
        np.testing.assert_allclose(got, want, atol=1e-4, err_msg=layer.form)
    assert layer.compute_output_shape(x.shape) == want.shape


@slow_on_tensorflow
@pytest.mark.parametrize("jit", JIT)
def test_meta_conv_has_the_gradients_of_separate_layers(jit):
    groups, x = 2, random(4, 6, 5, 6)
    layer = build(MetaConv2D(4, 3, groups), x.shape)
    convs = [keras.layers.Conv2D(2, 3, padding="same") for _ in range(groups)]
    slopes = [one_slope(shared_axes=[1, 2, 3]) for _ in range(groups)]
    norms = [keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9) for _ in range(groups)]
    last = one_slope(shared_axes=[1, 2, 3, 4])
    mix = MetaLayer(groups, axis=-2)
    build(last, (None, 6, 5, groups, 2))
    build(mix, (None, 6, 5, groups, 2))
    last.alpha.assign(layer.meta_prelu.alpha)
    mix.kernel.assign(layer.meta.kernel)
    for g in range(groups):
        part = slice(2 * g, 2 * g + 2)
        build(convs[g], (None, 6, 5, 3))
        build(slopes[g], (None, 6, 5, 2))
        build(norms[g], (None, 6, 5, 2))
        convs[g].set_weights([to_numpy(layer.kernel)[..., part], to_numpy(layer.bias)[part]])
        slopes[g].alpha.assign(to_numpy(layer.prelu.alpha)[:, :, g])
        norms[g].set_weights([to_numpy(w)[part] for w in layer.norm.weights])

    def separate(x):
        parts = [
            norms[g](slopes[g](convs[g](x[..., 3 * g : 3 * g + 3])), training=False)
            for g in range(groups)
        ]
        return ops.reshape(last(mix(parts)), (-1, 6, 5, 4))

    ours = [
        layer.kernel,
        layer.bias,
        layer.prelu.alpha,
        layer.norm.gamma,
        layer.norm.beta,
        layer.meta.kernel,
        layer.meta_prelu.alpha,
    ]
    theirs = [
        v
        for layers in zip(convs, slopes, norms, strict=True)
        for part in layers
        for v in part.trainable_variables
    ] + [mix.kernel, last.alpha]
    want_y, want = gradients(separate, theirs, x)
    for layer.form in FORMS:
        y, got = gradients(lambda x: layer(x, training=False), ours, x, jit=jit)
        np.testing.assert_allclose(y, want_y, atol=1e-4)
        for i in range(5):
            by_group = np.concatenate(
                [want[i + 5 * g].reshape(-1, want[i].shape[-1]) for g in range(groups)], axis=-1
            )
            close = {"rtol": 1e-4, "atol": 2e-4, "err_msg": layer.form}
            np.testing.assert_allclose(got[i].reshape(by_group.shape), by_group, **close)
        for i in (-3, -2, -1):
            np.testing.assert_allclose(got[i], want[i], **close)


def test_meta_conv_normalises_by_the_batch_in_training_and_keeps_a_tenth_of_it():
    layer = MetaConv2D(4, 3, groups=2, activation=None, meta_activation=None)
    x = random(8, 6, 5, 4)
    layer.build(x.shape)
    conv = MetaConv2D(4, 3, groups=2, activation=None, meta_activation=None, batch_norm=False)
    conv.build(x.shape)
    for own in (layer, conv):
        own.meta.kernel.assign(np.eye(2))
    conv.kernel.assign(layer.kernel)
    maps = to_numpy(conv(x))
    y = to_numpy(layer(x, training=True))
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    np.testing.assert_allclose(y, (maps - mean) / np.sqrt(variance + 1e-5), atol=1e-4)
    np.testing.assert_allclose(to_numpy(layer.norm.moving_mean), 0.1 * mean, atol=1e-5)
    # TensorFlow's fused norm keeps the unbiased variance, n/(n − 1) of the other.
    np.testing.assert_allclose(
        to_numpy(layer.norm.moving_variance), 0.9 + 0.1 * variance, rtol=2e-3
    )


@pytest.mark.parametrize("flatten", [True, False])
def test_the_last_activation_of_meta_conv_gets_all_maps_of_a_pixel(flatten):
    options = {"meta_activation": None, "flatten": flatten}
    layer = MetaConv2D(8, 3, groups=4, meta_groups=2, **options)
    last = MetaConv2D.from_config({**layer.get_config(), "meta_activation": "softmax"})
    x = random(2, 5, 5, 8)
    for one in (layer, last):
        build(one, x.shape)
    maps = computed(layer, x).reshape(2, 5, 5, 4)
    want = np.exp(maps) / np.exp(maps).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(computed(last, x).reshape(maps.shape), want, atol=1e-6)


@slow_on("jax", "tensorflow")
def test_meta_conv_learns_in_fit():
    inputs = keras.Input((8, 8, 4))
    x = MetaConv2D(8, 3, groups=4, pool_size=2)(inputs)
    outputs = MetaDense(4, groups=4)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    # Compiling takes TensorFlow longer than training.
    jit = keras.backend.backend() == "jax"
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit)
    images = random(32, 8, 8, 4)
    losses = model.fit(
        images,
        images.mean(axis=(1, 2, 3), keepdims=False)[:, None] * 5,
        epochs=12,
        batch_size=16,
        verbose=0,
    ).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("arguments", "channels", "count"),
    [
        # Small, medium (both), residual (both), from the reference's layer lists.
        ({"filters": 16, "groups": 4, "meta_groups": 8}, 16, 4 * (148 + 1 + 8) + 32 + 1),
        ({"filters": 64, "groups": 8, "meta_groups": 16}, 64, 8 * (584 + 1 + 16) + 128 + 1),
        ({"filters": 128, "groups": 16, "meta_groups": 32}, 128, 16 * (584 + 1 + 16) + 512 + 1),
        ({"filters": 32, "groups": 8}, 32, 8 * (148 + 1 + 8) + 64 + 1),
        ({"filters": 64, "groups": 8}, 64, 8 * (584 + 1 + 16) + 64 + 1),
    ],
)
def test_meta_conv_has_the_published_number_of_parameters(arguments, channels, count):
    layer = build(MetaConv2D(kernel_size=3, **arguments), (None, 8, 8, channels))
    assert trainable(layer) == count
    assert layer.count_params() == count + 2 * arguments["filters"]


def test_meta_conv_takes_images_of_unknown_size():
    layer = build(MetaConv2D(8, 3, groups=4, pool_size=2), (None, None, None, 4))
    inputs = keras.Input((None, None, 4))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 8)
    x = random(2, 7, 6, 4)
    np.testing.assert_allclose(
        model.predict_on_batch(x), computed(layer, x, training=False), atol=1e-5
    )


# Wrong arguments


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (GroupedDense(4, 4), (16,)),
        (MetaDense(4, 4), (16,)),
        (MetaConv2D(8, 3, 4), (8, 8, 8)),
        (Conv3dSubstitute(2, 3, 4), (8, 8, 8)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_another_number_of_features_than_the_layer_was_built_for_is_refused(layer, shape):
    build(layer, (None, *shape))
    assert computed(layer, random(2, *shape)).shape[0] == 2
    with pytest.raises(ValueError, match="incompatible with the layer"):
        layer(random(2, *shape[:-1], 2 * shape[-1]))


@pytest.mark.neutral
def test_integers_of_numpy_are_integers():
    config = MetaConv2D(np.int64(8), np.int64(3), np.int64(4)).get_config()
    assert (config["filters"], config["kernel_size"]) == (8, (3, 3))
    assert MetaLayer(2, axis=np.int64(1)).get_config()["axis"] == 1


@pytest.mark.neutral
def test_groups_whose_sides_are_known_to_some_of_them_only_have_one_shape():
    assert MetaLayer(3).compute_output_shape([(None, 4), (2, None)]) == (2, 4, 3)


@pytest.mark.neutral
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MetaLayer(0), "`groups` must be an integer of at least 1, but it is 0."),
        (lambda: MetaLayer(2, axis=0), "`axis` must be an integer other than 0"),
        (lambda: MetaLayer(2, axis=3).build((None, 4, 5)), "but it is 3."),
        (lambda: MetaLayer(2).build((None, 4, None)), "axis -1 of its input, must be known"),
        (lambda: MetaLayer(2).build([(None, 4), (None, 5)]), "must have one shape"),
        (lambda: MetaLayer(2).build([(None, 4), (None, 4, 1)]), "must have one shape"),
        (lambda: MetaLayer(2)([]), "mixes groups, but it was given none."),
        (lambda: build(MetaLayer(2, name="m"), (None, 4)).call(random(3, 5)), "'m' mixes 4 groups"),
        (lambda: GroupedDense(0, 4), "`units` must be an integer of at least 1"),
        (lambda: GroupedDense(4, 4, dropout=1), "`dropout` must be a number in [0, 1)"),
        (lambda: GroupedDense(4, 4, activation="softmax"), "must act on each number alone"),
        (lambda: GroupedDense(4, 5).build((None, 12)), "5 does not divide 12."),
        (lambda: GroupedDense(4, 5).build((None, None)), "known number of features"),
        (lambda: MetaDense(4, 3, meta_groups=0), "`meta_groups` must be an integer"),
        (lambda: MetaDense(4, 5).build((None, 12)), "5 does not divide 12."),
        (lambda: MetaConv2D(8, 3, 4, activation="glu"), "must act on each number alone"),
        (lambda: MetaConv2D(6, 3, groups=4), "`groups` must divide `filters`, but 4 does not"),
        (lambda: MetaConv2D(8, 3, 4).build((None, 8, 8, 6)), "4 does not divide 6."),
        (lambda: MetaConv2D(8, 3, 4).build((None, 8, 8)), "(batch, height, width, channels)"),
        (lambda: MetaConv2D(8, (3, 0), 4), "`kernel_size` must be an integer of at least 1 or 2"),
        (lambda: MetaConv2D(8, 3, 4, strides=1.5), "`strides` must be an integer"),
        (lambda: MetaConv2D(8, 3, 4, padding="full"), "'same', 'valid', but it is 'full'."),
        (lambda: MetaConv2D(8, 3, 4, pool_size=0), "`pool_size` must be an integer"),
        (lambda: MetaConv2D(8, 3, 4, form="fast"), "`form` must be one of 'auto'"),
        (
            lambda: MetaConv2D(8, 3, 4, padding="valid").build((None, 2, 2, 8)),
            "Images of 2×2 are too small",
        ),
    ],
)
def test_wrong_arguments_are_named_in_one_sentence(make, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make()
    assert str(error.value).count("\n") == 0
