"""GoogLeNet: the paper's, and the one with batch norms that torchvision has weights for."""

import keras

from keras_recres.backend.types import Activation, ShapeLike
from keras_recres.layers import BatchNormalization, CeilMaxPooling2D, LocalResponseNormalization
from keras_recres.models.convnets.parts import as_inception_takes_it, image_input, network
from keras_recres.models.families import family

# Filters of a module: 1 × 1; 3 × 3 and its reduction before; the same of 5 × 5; after the pooling.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
# The modules that auxiliary classifiers read.
HEADS = {"4a": "aux1", "4d": "aux2"}
MAPS = r"conv[13](_relu)?|inception\d[a-e]"
# Of the paper's network so many pixels let the auxiliary classifiers see a whole window.
MIN_SIDE, PAPERS_MIN_SIDE = 32, 79


def _auxiliary(arguments):
    there = arguments.get("auxiliary", True) and not arguments.get("features_only")
    return (0.3, 0.3) if there else ()


@family(
    min_side=MIN_SIDE,
    convolutional=True,
    weights=("convert",),
    auxiliary=_auxiliary,
    maps=MAPS,
)
def googlenet(
    *,
    auxiliary: bool = True,
    transform_input: bool = False,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "googlenet",
) -> keras.Model:
    """GoogLeNet with batch norms, as torchvision has it.

    Nine Inception modules (arXiv 1409.4842), each of which joins 1 × 1 and 3 × 3 convolutions and
    a pooling. It differs from the paper's, `googlenet_paper`: a batch norm after each convolution
    in the place of the bias and of local response normalization, 3 × 3 convolutions where the
    paper has 5 × 5 (a slip that was kept for the weights), a last pooling of 2 × 2, a dropout of
    0.2, and auxiliary classifiers that average the maps into 4 × 4. Those of torchvision's file are
    untrained.

    Example:
    >>> keras_recres.models.googlenet(auxiliary=False).count_params()
    6639464

    Args:
        auxiliary: Whether the model has the two auxiliary classifiers, for training alone.
        transform_input: Whether images come normalised with ImageNet's mean and standard deviation,
            and are brought to [−1, 1] first, as torchvision does with its weights.
        input_shape: (height, width, channels), sides of at least 32 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the 1024 features before the logits, alone.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to a list of three (batch,
        num_classes): logits, and those of the auxiliary classifiers after the modules 4a and 4d,
        whose losses count 0.3; without them to the logits.

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, MIN_SIDE)
    if transform_input:
        if input_shape[-1] != 3:
            raise ValueError(
                "`transform_input` is for images of 3 channels, but `input_shape` is "
                f"{tuple(input_shape)}."
            )
        x = as_inception_takes_it(x)

    def conv(x, filters, size, name, strides=1):
        if strides > 1:
            x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        x = keras.layers.Conv2D(
            filters,
            size,
            strides,
            padding="same" if strides == 1 else "valid",
            use_bias=False,
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.01),
            name=f"{name}_conv",
        )(x)
        x = BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def shrink(x, name):
        return keras.layers.AdaptiveAveragePooling2D(4, name=name)(x)

    x, heads = _body(x, conv, lambda x, name: x, shrink, 3, 2, auxiliary and not features_only)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return _ended(inputs, x, heads, num_classes, features_only, classifier_activation, name)


@family(
    min_side=PAPERS_MIN_SIDE,
    convolutional=True,
    weights=(),
    size_bound=lambda arguments: arguments.get("auxiliary", True),
    auxiliary=_auxiliary,
    maps=MAPS,
)
def googlenet_paper(
    *,
    auxiliary: bool = True,
    input_shape: ShapeLike = (224, 224, 3),
    num_classes: int = 1000,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "googlenet_paper",
) -> keras.Model:
    """GoogLeNet as its paper has it.

    Nine Inception modules, each of which joins convolutions of 1 × 1, 3 × 3 and 5 × 5 and a
    pooling (arXiv 1409.4842, table 1); local response normalization, with Caffe's constants, before
    and after the second layers; a dropout of 0.4. No batch norm. Poolings round sizes up.

    Example:
    >>> keras_recres.models.googlenet_paper().count_params()
    13378280

    Args:
        auxiliary: Whether the model has the two auxiliary classifiers, for training alone.
        input_shape: (height, width, channels), sides of at least 79 pixels.
        num_classes: Integer ≥ 1, number of logits.
        features_only: Whether to return the 1024 features before the logits, alone.
        classifier_activation: None for logits, or an activation such as "softmax".
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to a list of three (batch,
        num_classes): logits, and those of the auxiliary classifiers after the modules 4a and 4d,
        whose losses count 0.3; without them to the logits.

    Raises:
        ValueError: If an argument is out of its range.
    """
    x = inputs = image_input(input_shape, PAPERS_MIN_SIDE)

    def conv(x, filters, size, name, strides=1):
        if strides > 1:
            x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        return keras.layers.Conv2D(
            filters,
            size,
            strides,
            padding="same" if strides == 1 else "valid",
            activation="relu",
            bias_initializer=keras.initializers.Constant(0.2),
            name=name,
        )(x)

    def norm(x, name):
        return LocalResponseNormalization(bias=1.0, average=True, name=name)(x)

    def shrink(x, name):
        return keras.layers.AveragePooling2D(5, 3, name=name)(x)

    x, heads = _body(x, conv, norm, shrink, 5, 3, auxiliary and not features_only)
    x = keras.layers.Dropout(0.4, name="dropout")(x)
    return _ended(inputs, x, heads, num_classes, features_only, classifier_activation, name)


def _body(x, conv, norm, shrink, widest, last_pool, auxiliary):
    """The network up to the mean of its last maps, and what its auxiliary classifiers read.

    Args:
        x: Images.
        conv: Function of maps, filters, kernel size, name and strides: a convolution and a ReLU.
        norm: Function of maps and name: local response normalization, if any.
        shrink: Function of maps and name: the smaller ones of an auxiliary classifier.
        widest: Kernel size of a module's third branch.
        last_pool: Size of the windows of the last pooling.
        auxiliary: Whether there are auxiliary classifiers.
    """
    x = conv(x, 64, 7, "conv1", strides=2)
    x = norm(CeilMaxPooling2D(3, 2, name="pool1")(x), "norm1")
    x = conv(x, 64, 1, "conv2")
    x = norm(conv(x, 192, 3, "conv3"), "norm2")
    x = CeilMaxPooling2D(3, 2, name="pool2")(x)
    heads = []
    for module, (one, *of_three, before_widest, of_widest, pooled) in MODULES.items():
        if module == "4a":
            x = CeilMaxPooling2D(3, 2, name="pool3")(x)
        if module == "5a":
            x = CeilMaxPooling2D(last_pool, 2, name="pool4")(x)
        name = f"inception{module}"
        three = conv(x, of_three[0], 1, f"{name}_branch2_0")
        wide = conv(x, before_widest, 1, f"{name}_branch3_0")
        pool = keras.layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_branch4_0")(x)
        branches = [
            conv(x, one, 1, f"{name}_branch1"),
            conv(three, of_three[1], 3, f"{name}_branch2_1"),
            conv(wide, of_widest, widest, f"{name}_branch3_1"),
            conv(pool, pooled, 1, f"{name}_branch4_1"),
        ]
        x = keras.layers.Concatenate(name=name)(branches)
        if auxiliary and module in HEADS:
            head = HEADS[module]
            y = conv(shrink(x, f"{head}_pool"), 128, 1, f"{head}_conv")
            y = keras.layers.Flatten(name=f"{head}_flatten")(y)
            y = keras.layers.Dense(1024, "relu", name=f"{head}_fc1")(y)
            heads.append(keras.layers.Dropout(0.7, name=f"{head}_dropout")(y))
    return keras.layers.GlobalAveragePooling2D(name="mean")(x), heads


def _ended(inputs, x, heads, num_classes, features_only, classifier_activation, name):
    model = network(inputs, x, num_classes, features_only, classifier_activation, name)
    if not heads:
        return model
    outputs = [
        keras.layers.Dense(num_classes, classifier_activation, name=f"{head}_fc2")(y)
        for head, y in zip(HEADS.values(), heads, strict=True)
    ]
    return keras.Model(inputs, [model.output, *outputs], name=name)
