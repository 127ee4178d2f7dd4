"""An encoder and a forecaster of convolutional LSTMs, which continue a film."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_recres.backend.types import Activation, ShapeLike, Sizes, Tensor
from keras_recres.layers import PeepholeConvLSTM2D
from keras_recres.layers.checks import check_choice, check_count
from keras_recres.models.families import family


@family(
    inputs="grid",
    answers="pixels",
    convolutional=True,
    size_bound=lambda arguments: arguments["peephole"] == "map",
)
def conv_lstm_forecaster(
    filters: Sequence[int] = (128, 64, 64),
    kernel_size: Sizes = 5,
    recurrent_kernel_size: Sizes | None = None,
    *,
    patch_size: int = 4,
    peephole: Tensor = "channel",
    read_out: str = "all",
    horizon: int | None = None,
    input_shape: ShapeLike = (10, 64, 64, 1),
    num_classes: int | None = None,
    loop: str = "auto",
    features_only: bool = False,
    classifier_activation: Activation = None,
    name: str = "conv_lstm_forecaster",
) -> keras.Model:
    """Continues a film: one stack of ConvLSTMs reads it, another one of the same states goes on.

    The encoder's last h and c are the first ones of the forecaster, whose lowest layer has no
    input at all; a 1 × 1 convolution over the h of its layers gives the pixels (arXiv 1506.04214).
    Images are read as patches, whose pixels are channels. The six counts of table 1 are, with
    `filters` and sizes of kernels:

    (256,), 5: 13,524,496. (128, 128), 5: 10,042,896. (128, 64, 64), 5: 7,585,296.
    (128, 128), 9, 1: 11,550,224. (128, 64, 64), 9, 1: 8,830,480. Its FC-LSTM, 142,667,776, is
    filters=(2048, 2048), kernel_size=1, patch_size=64, read_out="last".

    Example:
    >>> model = keras_recres.models.conv_lstm_forecaster()
    >>> model.count_params()
    7585296
    >>> model.output_shape
    (None, 10, 64, 64, 1)

    Args:
        filters: Channels of each layer, the lowest first: integers ≥ 1.
        kernel_size: Odd integer, side of the filters that read the layer below.
        recurrent_kernel_size: Side of those that read h; None for `kernel_size`.
        patch_size: Integer ≥ 1 that divides height and width: side of a patch.
        peephole: As in `PeepholeConvLSTM2D`; "channel" gives the published counts.
        read_out: Whether the last convolution reads "all" layers or the "last".
        horizon: Integer ≥ 1, how many frames to forecast; None for as many as are read.
        input_shape: (frames, height, width, channels), pixels in [0, 1].
        num_classes: Integer ≥ 1, logits of a pixel; None for its channels, each of which has the
            binary cross-entropy of table 1.
        loop: As in `Recurrent`.
        features_only: Whether to return what the last convolution reads.
        classifier_activation: None for logits, or an activation: "sigmoid" for pixels.
        name: Name of the model.

    Returns:
        A `keras.Model` from (batch, *input_shape) to (batch, horizon, height, width, num_classes).

    Raises:
        ValueError: If an argument is out of its range.
    """
    check_choice("read_out", read_out, ("all", "last"))
    check_count("patch_size", patch_size)
    if not isinstance(filters, list | tuple) or not filters:
        raise ValueError(f"`filters` must have a number for each layer, but it is {filters!r}.")
    if not isinstance(input_shape, list | tuple) or len(input_shape) != 4:
        raise ValueError(
            f"`input_shape` must be (frames, height, width, channels), but it is {input_shape!r}."
        )
    frames, height, width, channels = input_shape
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"`patch_size` must divide height and width of `input_shape`, {tuple(input_shape)}, "
            f"but it is {patch_size}."
        )
    horizon = frames if horizon is None else horizon
    num_classes = channels if num_classes is None else num_classes
    check_count("horizon", horizon)
    check_count("num_classes", num_classes)
    rows, columns = height // patch_size, width // patch_size

    def layer(size, name, **options):
        return PeepholeConvLSTM2D(
            size,
            kernel_size,
            peephole,
            recurrent_kernel_size,
            return_sequences=True,
            # Keras' own, orthogonal for all gates together, takes seconds and makes none so.
            recurrent_initializer="glorot_uniform",
            loop=loop,
            name=name,
            **options,
        )

    inputs = keras.Input(input_shape)
    # A patch's pixels become channels.
    x = keras.layers.Reshape((frames, rows, patch_size, columns, patch_size, channels))(inputs)
    x = keras.layers.Permute((1, 2, 4, 3, 5, 6))(x)
    x = keras.layers.Reshape((frames, rows, columns, patch_size**2 * channels), name="patches")(x)
    states = []
    for i, size in enumerate(filters):
        x, *last = layer(size, f"encoder{i}", return_state=True)(x)
        states.append(last)
    # Frames of no channels: the forecaster begins with its states alone.
    x = ops.repeat(ops.expand_dims(states[0][0], 1)[..., :0], horizon, axis=1)
    outputs = []
    for i, size in enumerate(filters):
        x = layer(size, f"forecaster{i}")(x, initial_state=states[i])
        outputs.append(x)
    if read_out == "all" and len(outputs) > 1:
        x = keras.layers.Concatenate(name="states")(outputs)
    if not features_only:
        head = keras.Sequential(
            [
                keras.Input(x.shape[1:]),
                # A 1 × 1 convolution of every frame.
                keras.layers.Dense(
                    patch_size**2 * num_classes, classifier_activation, name="pixels"
                ),
                keras.layers.Reshape((horizon, rows, columns, patch_size, patch_size, num_classes)),
                keras.layers.Permute((1, 2, 4, 3, 5, 6)),
                keras.layers.Reshape((horizon, height, width, num_classes)),
            ],
            name="logits",
        )
        x = head(x)
    return keras.Model(inputs, x, name=name)
