"""PReLU with few slopes, and initialisers for weights that are stacked by group."""

import keras
from keras import ops

ACROSS_FEATURES = ("softmax", "log_softmax", "sparsemax", "glu")


def get_activation(activation):
    """`activation` as the layers with groups keep it: None, "prelu", or a callable.

    Args:
        activation: None, "prelu", or whatever `keras.activations.get` takes.

    Raises:
        ValueError: If there is no such activation.
    """
    if activation is None or activation == "prelu":
        return activation
    return keras.activations.get(activation)


def get_elementwise_activation(activation):
    """As `get_activation`, for features that are split into groups.

    Raises:
        ValueError: If there is no such activation, or it is one of Keras' that work across
            features, whose sum would be taken over the wrong ones.
    """
    activation = get_activation(activation)
    if getattr(activation, "__name__", None) in ACROSS_FEATURES:
        raise ValueError(
            f"`activation` must act on each number alone, but {activation.__name__!r} takes the "
            f"features of a layer together."
        )
    return activation


def serialize_activation(activation):
    """What `get_activation` gave, as get_config wants it."""
    if activation is None or activation == "prelu":
        return activation
    return keras.activations.serialize(activation)


def shared_slope(shape, dtype, name, axis=None):
    """A built PReLU with one slope for all of its input, or one for each entry of one axis.

    max(0, x) + a·min(0, x), a initially 0.25

    (arXiv 1502.01852, equation 1; the "channel-shared" variant of its section 2.1 if `axis` is
    None). 0.25 is the initial slope of the paper and of PyTorch; Keras starts at 0.

    Args:
        shape: Shape of the input, with the batch axis.
        dtype: Dtype policy of the layer.
        name: Name of the layer.
        axis: Axis whose entries have a slope each, or None.
    """
    rank = len(shape)
    own = None if axis is None else axis % rank
    layer = keras.layers.PReLU(
        alpha_initializer=keras.initializers.Constant(0.25),
        shared_axes=[i for i in range(1, rank) if i != own],
        dtype=dtype,
        name=name,
    )
    layer.build(shape)
    return layer


class EachGroup(keras.initializers.Initializer):
    """Initialises the weights of several groups by one call of an initialiser for every group.

    Initialisers read fan-in and fan-out off the shape, and would count the groups in.

    Args:
        initializer: Keras initializer of one group's weights.
        groups: None for weights (groups, …), or the number of groups that the last axis holds,
            one after the other.
    """

    def __init__(self, initializer, groups=None):
        self.initializer = initializer
        self.groups = groups

    def __call__(self, shape, dtype=None):
        count, shape = shape[0], shape[1:]
        if self.groups is not None:
            count, shape = self.groups, (count, *shape[:-1], shape[-1] // self.groups)
        if not isinstance(self.initializer, keras.initializers.Initializer):
            values = [self.initializer(shape, dtype=dtype) for _ in range(count)]
        else:
            config = self.initializer.get_config()
            values = []
            for group in range(count):
                values.append(_reseeded(self.initializer, config, group)(shape, dtype=dtype))
        return ops.stack(values) if self.groups is None else ops.concatenate(values, axis=-1)


def _reseeded(initializer, config, group):
    """A copy of `initializer` for a group: the same seed for all would give equal groups."""
    if "seed" not in config or not isinstance(config["seed"], int | None):
        return initializer
    seed = initializer.seed if config["seed"] is None else config["seed"]
    return type(initializer).from_config({**config, "seed": seed + group})
