"""What the rules of `substitute` have in common."""

import keras


def obstacle(layer, kind):
    """Why no layer of ours can stand in for a `Conv2D` or `Dense`, or None."""
    if type(layer) is not kind:
        return f"{type(layer).__name__} may compute something else than {kind.__name__}"
    if layer.quantization_mode is not None or layer.lora_enabled:
        return "it is quantised or has low-rank updates"
    if isinstance(layer.activation, keras.layers.Layer):
        return "its activation is a layer"
    if kind is keras.layers.Conv2D:
        if layer.data_format != "channels_last":
            return "it is channels-first"
        if layer.groups != 1:
            return f"it has {layer.groups} groups already"
        if layer.dilation_rate != (1, 1):
            return f"its dilation is {layer.dilation_rate}"
    return None


def taken_over(layer):
    """The arguments that a substitute has from the layer it replaces."""
    initializers = {}
    for name in ("kernel_initializer", "bias_initializer"):
        own = getattr(layer, name)
        # A copy without the drawn seed, or equal shapes would get equal numbers.
        clone = isinstance(own, keras.initializers.Initializer)
        initializers[name] = own.clone() if clone else own
    return {
        "name": layer.name,
        "dtype": layer.dtype_policy,
        "activity_regularizer": layer.activity_regularizer,
        "use_bias": layer.use_bias,
        **initializers,
    }


def if_smaller(new, layer, input_shape):
    """The new layer, built, if it has fewer parameters than the old one, or why it is not taken."""
    new.build(input_shape)
    if new.count_params() < layer.count_params():
        return new
    return f"{type(new).__name__} would have {new.count_params():,} parameters"
