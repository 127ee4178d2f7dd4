"""The twelve CIFAR-10 networks of the parameter-saving paper."""

import keras

from keras_recres.backend.types import Activation, Initializer, ShapeLike
from keras_recres.layers.checks import check_count
from keras_recres.models import cifar_parts as parts
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

SIZES = ("small", "medium", "residual")
VARIANTS = ("conv2d", "conv3d", "meta", "metahead")
LAYOUTS = ("published", "grouped")
MIN_SIDE = 16
# Per size: units of the dense head; groups, units and outputs of the Meta head.
HEADS = {"small": (40, (4, 10, 4)), "medium": (64, (16, 8, 8)), "residual": (64, (16, 8, 8))}


def _as_map(model, x, name):
    """Maps with a group axis as maps without one."""
    if len(x.shape) == 4:
        return x
    *side, groups, channels = x.shape[1:]
    return keras.layers.Reshape((*side, groups * channels), name=f"{name}_map")(x)


def _other_size(arguments):
    """What keeps the weights for each pixel of the last maps, or for each row of inner ones."""
    size, variant = arguments.get("size", "small"), arguments.get("variant", "conv2d")
    if size == "small" or (size, variant) == ("medium", "meta"):
        return {"map_size": tuple(side // 4 for side in arguments["input_shape"][:2])}
    return {}


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    maps=r"conv\d+(_norm|_maps)?|(pool|drop)\d+|block\d+_\d+_add|mean",
    map_of=_as_map,
    size_bound=lambda arguments: arguments.get("size", "small") == "small",
    other_size=_other_size,
)
def cifar_net(
    size: str = "small",
    variant: str = "conv2d",
    layout: str = "published",
    *,
    input_shape: ShapeLike = (32, 32, 3),
    num_classes: int = 10,
    meta_softmax: bool = False,
    meta_initializer: Initializer = None,
    head_groups: int | None = None,
    head_outputs: int | None = None,
    head_units: int | None = None,
    map_size: int | None = None,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "cifar_net",
) -> keras.Model:
    """A convolutional network for small images, in a form of full or of fewer parameters.

    The networks of K. S. Kondaurova and N. A. Semenov, "Optimisation of the number of parameters
    of a neural network for image classification" (in Russian; no arXiv number), sections 2.3 and
    3.2. C n is a 3×3 convolution to n maps, a PReLU with one slope and batch norm; MP a max
    pooling of 2×2, P s an average pooling to s×s, D a spatial dropout of 0.1; R n is
    x + D(C n(C n(x))):

    | size | "conv2d" |
    |---|---|
    | small | C6 C16 MP D · C32 MP D · dense 40 |
    | medium | C16 C32 MP D C64 · C64 MP D · C128 · C128 P3 D · dense 64 |
    | residual | C16 C32 MP D · 16 × R32 · C64 MP · 16 × R64 · P4 · dense 64 |

    and then PReLU, dropout 0.2 and the logits. "conv3d" and "meta" put `Conv3dSubstitute` and
    `MetaConv2D` in place of the third convolution (small), of the fourth and the sixth (medium),
    of the first in each residual block, and leave out the dropout where these are pooled;
    "metahead" puts `MetaDense` in place of the dense layer. Trainable parameters:

    | size | "conv2d" | "conv3d" | "meta" | "metahead" |
    |---|---|---|---|---|
    | small | 88,170 | 83,526 | 84,126 | 26,750 |
    | medium | 357,265 | 176,761 | 187,433 | 292,961 |
    | residual | 1,573,902 | 846,222 | 931,086 | 1,516,766 |

    The features are flattened, grouped and pooled in the order of the authors' networks, so that
    equal weights give equal logits.

    Example:
    >>> model = keras_recres.models.cifar_net("small", "metahead")
    >>> model(keras.ops.ones((2, 32, 32, 3))).shape
    (2, 10)

    Args:
        size: "small", "medium" or "residual".
        variant: "conv2d", "conv3d", "meta" or "metahead".
        layout: Matters to the medium "meta" network only. Its 3-D max pooling takes height, width
            and pairs of groups. "published" then reads the result as the authors' network did,
            by a slip: the plane is (width, group), and the map is channel · height + row; with
            it the printed accuracy was reached. "grouped" reads it as it was meant: the plane is
            (height, width), and the map is group · channels + channel. The parameters are as
            many, if the image's height is 32.
        input_shape: (height, width, channels) of the images, each side at least 16 pixels. The
            small networks have weights for each pixel of their last maps.
        num_classes: Integer ≥ 1.
        meta_softmax: Boolean, whether each MetaLayer normalises its weights, see `MetaLayer`; the
            published networks don't.
        meta_initializer: Keras initializer of the weights of each MetaLayer; None is N(0, 1).
        head_groups: Integer N ≥ 1, slices of the features in a "metahead"; it must divide them.
            None is the paper's, 4 for the small network and 16 for the others.
        head_outputs: Integer M ≥ 1, groups that its MetaLayer gives. None is `head_groups` if
            that is given, otherwise the paper's, 4 for the small network and 8 for the others.
        head_units: Integer ≥ 1, features of each group of a "metahead"; M · `head_units` is the
            number of features before the logits. None is the paper's, 10 for the small network
            and 8 for the others.
        map_size: (rows, columns) to which the second pooling's maps are averaged, so that weights
            for each pixel of a small network's maps, or for each row of those in the medium "meta"
            one, take images of any size, as torchvision's VGG does. None leaves this mean out.
        features_only: Whether to return the features before the logits.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A functional keras.Model from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: For arguments out of their range, or a `head_…` or `meta_…` that the variant
            has no use for.
    """
    for argument, value, allowed in (
        ("size", size, SIZES),
        ("variant", variant, VARIANTS),
        ("layout", layout, LAYOUTS),
    ):
        if value not in allowed:
            raise ValueError(
                f"`{argument}` must be one of {', '.join(map(repr, allowed))}, but it is {value!r}."
            )
    check_count("num_classes", num_classes)
    images = image_input(input_shape, MIN_SIDE)
    meta = _meta_options(variant, meta_softmax, meta_initializer)
    head = _head_sizes(size, variant, head_groups, head_outputs, head_units)

    body = {"small": _small, "medium": _medium, "residual": _residual}[size]
    x = body(images, variant, layout, meta, map_size)
    if variant == "metahead":
        groups, units, outputs = head
        x = parts.meta_dense(x, units, groups, outputs, **meta())
    else:
        x = parts.dense(x, HEADS[size][0])
    if not features_only:
        x = parts.classifier(x, num_classes, classifier_activation)
    return keras.Model(images, x, name=name)


def _stem(x, filters):
    for i, count in enumerate(filters, start=1):
        x = parts.conv(x, count, f"conv{i}")
    return parts.drop_maps(parts.max_pool(x, "pool1"), "drop1")


def _small(x, variant, layout, meta, map_size):
    x = _stem(x, (6, 16))
    if variant == "conv3d":
        x = parts.volume_conv(x, 2, 1, "conv3")
        return parts.flatten(parts.resized(parts.max_pool(x, "pool2"), map_size), "flatten")
    if variant == "meta":
        x = parts.meta_conv(x, 16, 4, "conv3", meta_groups=8, pool_size=2, flatten=False, **meta())
        # (height, width, group, channel) is flattened as (channel, height, width, group).
        return parts.flatten(parts.resized(x, map_size), "flatten", order=(4, 1, 2, 3))
    x = parts.drop_maps(parts.max_pool(parts.conv(x, 32, "conv3"), "pool2"), "drop2")
    return parts.flatten(parts.resized(x, map_size), "flatten")


def _medium(x, variant, layout, meta, map_size):
    x = parts.conv(_stem(x, (16, 32)), 64, "conv3")
    if variant == "conv3d":
        # The 3-D pooling takes pairs of the depth, which are neighbouring maps.
        x = parts.max_pool(parts.volume_conv(x, 8, 4, "conv4"), "pool2")
        x = parts.max_of_pairs(x, "pool2_depth")
        x = parts.conv(x, 128, "conv5")
        x = parts.adaptive_mean(parts.volume_conv(x, 16, 8, "conv6"), 3, "mean")
        return parts.flatten(x, "flatten", pairs=True)
    if variant == "meta":
        x = parts.meta_conv(x, 64, 8, "conv4", meta_groups=16, **meta())
        x = _pooled_groups(parts.resized(parts.max_pool(x, "pool2"), map_size), layout)
        x = parts.conv(x, 128, "conv5")
        x = parts.meta_conv(x, 128, 16, "conv6", meta_groups=32, **meta())
        # The 3-D pooling takes pairs of a group's 8 channels, which are neighbouring maps.
        return parts.flatten(parts.adaptive_mean(x, 3, "mean"), "flatten", pairs=True)
    x = parts.drop_maps(parts.max_pool(parts.conv(x, 64, "conv4"), "pool2"), "drop2")
    x = parts.conv(parts.conv(x, 128, "conv5"), 128, "conv6")
    x = parts.adaptive_mean(x, 3, "mean")
    return parts.flatten(parts.drop_maps(x, "drop3"), "flatten")


def _pooled_groups(x, layout):
    """The rest of the 3-D pooling, over pairs of groups, and the result as maps."""
    height, width, maps = x.shape[1:]
    x = keras.layers.Reshape((height, width, 16, maps // 16), name="groups")(x)
    x = parts.max_of_pairs(x, "pool2_groups")
    if layout == "published":
        # (row, column, group, channel) with plane (column, group) and map (channel, row).
        x = keras.layers.Permute((2, 3, 4, 1), name="slip")(x)
    plane, maps = x.shape[1:3], x.shape[3] * x.shape[4]
    return keras.layers.Reshape((*plane, maps), name="maps")(x)


def _residual(x, variant, layout, meta, map_size):
    x = _stem(x, (16, 32))
    for i in range(16):
        x = _residual_block(x, variant, meta, f"block1_{i}")
    x = parts.max_pool(parts.conv(x, 64, "conv3"), "pool2")
    for i in range(16):
        x = _residual_block(x, variant, meta, f"block2_{i}")
    return parts.flatten(parts.adaptive_mean(x, 4, "mean"), "flatten")


def _residual_block(x, variant, meta, name):
    width, first = x.shape[-1], f"{name}_conv1"
    if variant == "conv3d":
        y = parts.volume_conv(x, 4, 4, first)
    elif variant == "meta":
        y = parts.meta_conv(x, width, 8, first, **meta())
    else:
        y = parts.conv(x, width, first)
    y = parts.drop_maps(parts.conv(y, width, f"{name}_conv2"), f"{name}_drop")
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _meta_options(variant, softmax, initializer):
    """A function that gives the MetaLayer's arguments, the initializer anew for each layer."""
    if variant in ("conv2d", "conv3d"):
        for argument, value, default in (
            ("meta_softmax", softmax, False),
            ("meta_initializer", initializer, None),
        ):
            if value != default:
                raise ValueError(
                    f"`{argument}` is for the variants 'meta' and 'metahead', since {variant!r} "
                    f"has no MetaLayer, but it is {value!r}."
                )
    initializer = keras.initializers.get(initializer)

    def options():
        own = initializer
        # One that serves two layers gives both the same values.
        if isinstance(own, keras.initializers.Initializer):
            own = own.clone()
        return {"softmax": softmax, "meta_initializer": own}

    return options


def _head_sizes(size, variant, groups, outputs, units):
    """Groups, units and outputs of the Meta head."""
    for argument, value in (
        ("head_groups", groups),
        ("head_outputs", outputs),
        ("head_units", units),
    ):
        if value is None:
            continue
        check_count(argument, value)
        if variant != "metahead":
            raise ValueError(
                f"`{argument}` is for the variant 'metahead', but it is {value} and `variant` is "
                f"{variant!r}."
            )
    own_groups, own_units, own_outputs = HEADS[size][1]
    if outputs is None:
        outputs = own_outputs if groups is None else groups
    return groups or own_groups, units or own_units, outputs
