"""The neocognitron: the first network of convolutions, which learns without a teacher."""

import keras
from keras import ops

from keras_recres.backend.types import Activation, Data, ShapeLike
from keras_recres.layers import CCell, SCell
from keras_recres.layers.checks import check_count
from keras_recres.models.convnets.parts import image_input
from keras_recres.models.families import family

MIN_SIDE = 15
# Selectivity r and rate q of the three layers of S-cells, and the padding of S- and C-cells, with
# which sides of 16 become 16, 10; 8, 6; 2, 1.
STAGES = ((4.0, 1.0, 2, -1), (1.5, 16.0, 1, 1), (1.5, 16.0, 0, 0))


@family(min_side=MIN_SIDE, convolutional=True, maps=r"[sc]\d")
def neocognitron(
    planes: int = 24,
    *,
    input_shape: ShapeLike = (16, 16, 1),
    num_classes: int = 24,
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "neocognitron",
) -> keras.Model:
    """The neocognitron of 1980: cells that find features, and cells that let these move.

    Three stages of `SCell` and `CCell` (Fukushima, "Neocognitron: a self-organizing neural network
    model for a mechanism of pattern recognition unaffected by shift in position", 1980; no arXiv
    number), windows of 5 x 5, whose last C-cells see everything: for images of 16 x 16 the paper's
    sizes of 16, 10, 8, 6, 2 and 1. There are no labels: after `self_organize` a pattern that was
    shown makes a cell of its own answer, also where it lies a little aside. The sizes, the
    selectivity, the rates and the law of the cells are the paper's. Its fixed weights of windows
    and those that learning begins from are not known; with the ones here five digits of 8 x 6
    pixels have five cells after 5 presentations, if columns of `SCell.learn` are 3 wide, and two to
    four with the paper's 5.

    Its forerunner of 1975, the cognitron, has cells of the same law, of which the largest answer in
    a neighbourhood learns, but no C-cells, and cells of its own at every place: what it learnt in
    one place it does not see in another. It is not built here.

    Example:
    >>> keras_recres.models.neocognitron().count_params()
    29472

    Args:
        planes: Integer ≥ 1, planes of the first two stages.
        input_shape: (height, width, channels), sides of at least 15 pixels; values from 0.
        num_classes: Integer ≥ 1, planes of the last stage.
        features_only: Whether to return the last cells as they lie, (batch, 1, 1, planes).
        classifier_activation: None for the cells' answers, from 0 to 1, or an activation.
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to (batch, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_count("planes", planes)
    check_count("num_classes", num_classes)
    x = inputs = image_input(input_shape, MIN_SIDE)
    for i, (selectivity, rate, s_padding, c_padding) in enumerate(STAGES, 1):
        last = i == len(STAGES)
        cells = num_classes if last else planes
        x = SCell(cells, 5, selectivity, rate, s_padding, name=f"s{i}")(x)
        x = CCell(None if last else 5, padding=c_padding, name=f"c{i}")(x)
    if not features_only:
        x = keras.layers.Flatten(name="flatten")(x)
        if classifier_activation:
            x = keras.layers.Activation(classifier_activation, name="activation")(x)
    return keras.Model(inputs, x, name=name)


def self_organize(model: keras.Model, images: Data, presentations: int = 20) -> None:
    """Lets the S-cells of a model learn from images, without labels, one layer after the other.

    A layer learns from all images, `presentations` times, before the next one begins.

    Example:
    >>> model = keras_recres.models.neocognitron(planes=4, num_classes=4)
    >>> images = np.zeros((2, 16, 16, 1), "float32")
    >>> images[0, 4:12, 8], images[1, 8, 4:12] = 1, 1
    >>> keras_recres.models.self_organize(model, images, presentations=2)
    >>> len(set(model.predict(images, verbose=0).argmax(-1)))
    2

    Args:
        model: A functional or Sequential model that is a chain of layers, with `SCell` among them.
        images: Numbers from 0 of shape (images, height, width, channels).
        presentations: Integer ≥ 1.

    Raises:
        ValueError: If the model has no such layer, or an argument is out of its range.
    """
    check_count("presentations", presentations)
    if not any(isinstance(layer, SCell) for layer in model.layers):
        raise ValueError(f"`model` must have a layer of SCell, but {model.name!r} has none.")
    x = ops.convert_to_tensor(images, "float32")
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, SCell):
            for _ in range(presentations):
                layer.learn(x)
        x = layer(x)
