"""Rules: what `substitute` puts in a layer's place, and what `recurrent` does with blocks.

Those of `recurrent` are `repeat` and `fold`. A rule of `substitute` is a function
rule(layer, input_shape). It returns a new layer, or a pair of it and a note for the table, a string
that says why there is none, or None for a layer that it leaves alone. Those here give the new
layer the name, dtype policy, activation, bias and initialisers of the old one, and refuse what
would have no fewer parameters.
"""

import keras

from keras_recres.backend.types import Activation, Initializer, Rule
from keras_recres.layers import Conv3dSubstitute, MetaConv2D, MetaDense
from keras_recres.layers.checks import check_count
from keras_recres.models.factorize import factorize
from keras_recres.models.fold import fold
from keras_recres.models.repeat import repeat
from keras_recres.models.rule_parts import if_smaller, obstacle, taken_over

__all__ = ["conv3d", "factorize", "fold", "meta_conv2d", "meta_dense", "repeat"]


def conv3d(
    volume_channels: int | None = None,
    *,
    volume_depth: int | None = None,
    kernel_depth: int | None = None,
    filters: int | None = None,
) -> Rule:
    """A rule that replaces `Conv2D` by `Conv3dSubstitute`.

    The C channels are a volume of v channels and depth D = C/v. For F maps it has s = F/D filters
    of depth u, (h·w·u·v + 1)·s parameters in the place of (h·w·C + 1)·F; or, if `filters` names s,
    the paper's "valid_depth" form, whose u = D − F/s + 1 then follows: from s = F, which is the
    plain convolution, the parameters fall as s does.

    Example:
    >>> rule = keras_recres.models.rules.conv3d(volume_channels=4)
    >>> rule(keras.layers.Conv2D(7, 3), (None, 8, 8, 12))
    'its padding is "valid", a Conv3dSubstitute pads the plane'

    Args:
        volume_channels: Integer v ≥ 1; None for 1, or for what `volume_depth` says.
        volume_depth: Integer D ≥ 1, instead of `volume_channels`: wide layers then keep more
            parameters than narrow ones.
        kernel_depth: Integer u ≥ 1; None for 3, or for what `filters` says.
        filters: Integer s ≥ 1, instead of `kernel_depth`.

    Returns:
        The rule.

    Raises:
        ValueError: For arguments out of their range, or two that exclude each other.
    """
    for name, value in (
        ("volume_channels", volume_channels),
        ("volume_depth", volume_depth),
        ("kernel_depth", kernel_depth),
        ("filters", filters),
    ):
        if value is not None:
            check_count(name, value)
    if volume_channels is not None and volume_depth is not None:
        raise ValueError(
            f"`volume_channels` {volume_channels} and `volume_depth` {volume_depth} exclude each "
            f"other: give one."
        )
    if kernel_depth is not None and filters is not None:
        raise ValueError(
            f"`kernel_depth` {kernel_depth} and `filters` {filters} exclude each other: give one."
        )

    def rule(layer, input_shape):
        if not isinstance(layer, keras.layers.Conv2D):
            return None
        why = obstacle(layer, keras.layers.Conv2D)
        if why:
            return why
        if layer.padding != "same" and layer.kernel_size != (1, 1):
            return f'its padding is "{layer.padding}", a Conv3dSubstitute pads the plane'
        channels, maps = input_shape[-1], layer.filters
        volumes = volume_channels or 1
        if volume_depth is not None:
            if channels % volume_depth:
                return f"the depth {volume_depth} does not divide {channels} channels"
            volumes = channels // volume_depth
        elif channels % volumes:
            return f"{volumes} volume channels do not divide {channels} channels"
        depth = channels // volumes
        if filters is None:
            if maps % depth:
                return f"the depth {depth} does not divide {maps} maps"
            count, u, padding = maps // depth, kernel_depth or 3, "same"
        else:
            if maps % filters or maps // filters > depth:
                return f"{filters} filters in a volume of depth {depth} cannot give {maps} maps"
            count, padding = filters, "valid_depth"
            u = Conv3dSubstitute.depth_for(maps, channels, filters, volumes)
        new = Conv3dSubstitute(
            count,
            (u, *layer.kernel_size),
            volumes,
            padding=padding,
            strides=layer.strides,
            activation=layer.activation,
            **taken_over(layer),
        )
        return if_smaller(new, layer, input_shape)

    return rule


def meta_conv2d(
    groups: int,
    meta_groups: int | None = None,
    *,
    activation: Activation = "prelu",
    batch_norm: bool = True,
    softmax: bool = False,
    meta_initializer: Initializer = "lecun_normal",
) -> Rule:
    """A rule that replaces `Conv2D` by `MetaConv2D`.

    For C channels and F maps it has h·w·(C/G)·(F·G/M) + G·M weights in the place of h·w·C·F. The
    old layer's activation follows the mixing; `activation` and the normalisation, before it, are
    the paper's.

    Example:
    >>> rule = keras_recres.models.rules.meta_conv2d(groups=4)
    >>> rule(keras.layers.Conv2D(64, 3), (None, 8, 8, 30))
    '4 groups do not divide 30 channels'

    Args:
        groups: Integer G ≥ 1.
        meta_groups: Integer M ≥ 1, or None for G.
        activation: See `MetaConv2D`.
        batch_norm: See `MetaConv2D`.
        softmax: See `MetaLayer`.
        meta_initializer: Keras initializer of the (G, M) weights. The default keeps the variance
            of the signal, which the paper's N(0, 1), None here, multiplies by G: too much for
            many such layers in a row.

    Returns:
        The rule.

    Raises:
        ValueError: For arguments out of their range.
    """
    options = {
        "activation": activation,
        "batch_norm": batch_norm,
        "softmax": softmax,
        "meta_initializer": meta_initializer,
    }
    # Refuses bad arguments here, where they are, and not at the first layer they are used for.
    check_count("groups", groups)
    meta_groups = MetaConv2D(groups, 1, groups, meta_groups, **options).meta_groups

    def rule(layer, input_shape):
        if not isinstance(layer, keras.layers.Conv2D):
            return None
        why = obstacle(layer, keras.layers.Conv2D)
        if why:
            return why
        if input_shape[-1] % groups:
            return f"{groups} groups do not divide {input_shape[-1]} channels"
        if layer.filters % meta_groups:
            return f"{meta_groups} groups do not divide {layer.filters} maps"
        new = MetaConv2D(
            layer.filters // meta_groups * groups,
            layer.kernel_size,
            groups,
            meta_groups,
            strides=layer.strides,
            padding=layer.padding,
            meta_activation=layer.activation,
            **options,
            **taken_over(layer),
        )
        return if_smaller(new, layer, input_shape)

    return rule


def meta_dense(
    groups: int,
    meta_groups: int | None = None,
    *,
    activation: Activation = "prelu",
    dropout: float = 0.0,
    softmax: bool = False,
    meta_initializer: Initializer = "lecun_normal",
) -> Rule:
    """A rule that replaces `Dense` by `MetaDense`.

    For K features and U units it has (K/G)·(U/M)·G + G·M weights in the place of K·U. The old
    layer's activation follows the mixing; `activation` and the dropout come before it.

    Example:
    >>> rule = keras_recres.models.rules.meta_dense(groups=16)
    >>> rule(keras.layers.Dense(1000), (None, 4096))
    '16 groups do not divide 1000 units'

    Args:
        groups: Integer G ≥ 1.
        meta_groups: Integer M ≥ 1, or None for G.
        activation: See `GroupedDense`.
        dropout: Number in [0, 1), before the mixing.
        softmax: See `MetaLayer`.
        meta_initializer: As in `meta_conv2d`.

    Returns:
        The rule.

    Raises:
        ValueError: For arguments out of their range.
    """
    options = {
        "activation": activation,
        "dropout": dropout,
        "softmax": softmax,
        "meta_initializer": meta_initializer,
    }
    meta_groups = MetaDense(1, groups, meta_groups, **options).meta.groups

    def rule(layer, input_shape):
        if not isinstance(layer, keras.layers.Dense):
            return None
        why = obstacle(layer, keras.layers.Dense)
        if why:
            return why
        if input_shape[-1] % groups:
            return f"{groups} groups do not divide {input_shape[-1]} features"
        if layer.units % meta_groups:
            return f"{meta_groups} groups do not divide {layer.units} units"
        new = MetaDense(
            layer.units // meta_groups,
            groups,
            meta_groups,
            meta_activation=layer.activation,
            **options,
            **taken_over(layer),
        )
        return if_smaller(new, layer, input_shape)

    return rule
