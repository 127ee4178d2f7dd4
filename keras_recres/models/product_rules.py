"""How many products each kind of layer computes, for `multiply_adds`."""

import math

import keras

from keras_recres import layers
from keras_recres.backend import keras_private
from keras_recres.layers.cells.residual_cell import CellBranch, ResidualCell
from keras_recres.layers.runge_kutta import RungeKutta

# Layers that have weights and multiply features by no matrix: their share is not counted.
WITHOUT_PRODUCTS = (
    keras.layers.BatchNormalization,
    keras.layers.Embedding,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
    keras.layers.RMSNormalization,
    layers.AlphaReLU,
    layers.ClassToken,
    layers.SinusoidPosition,
)
# Layers and operations without weights of which the opposite is true: products of features with
# features, for which there is no rule here.
PRODUCTS_WITHOUT_WEIGHTS = {
    "AdditiveAttention",
    "Attention",
    "Conv",
    "ConvTranspose",
    "DepthwiseConv",
    "Dot",
    "DotProductAttention",
    "Einsum",
    "Inner",
    "Matmul",
    "Outer",
    "SeparableConv",
    "Tensordot",
    "Vdot",
}


class OpenSizeError(Exception):
    """A number of products depends on a size that is None."""


def _product(sizes):
    sizes = tuple(sizes)
    if None in sizes:
        raise OpenSizeError
    return math.prod(sizes)


def _positions(shape):
    """How often a map of the last axis is applied: all sizes but the batch's and the last."""
    return _product(shape[1:-1])


def _pixels(shape, data_format):
    return _product(shape[1:-1] if data_format == "channels_last" else shape[2:])


# The rules: rule(layer, inner, shape, …) with the arguments of the layer's call, shapes in the
# place of tensors; `inner(sublayer, shape)` counts a layer of which the layer is made.


def _convolution(layer, inner, inputs, **_):
    pixels = _pixels(layer.compute_output_shape(inputs), layer.data_format)
    return pixels * math.prod(layer.kernel.shape)


def _transposed_convolution(layer, inner, inputs, **_):
    # Every input pixel meets the whole kernel.
    return _pixels(inputs, layer.data_format) * math.prod(layer.kernel.shape)


def _separable_convolution(layer, inner, inputs, **_):
    pixels = _pixels(layer.compute_output_shape(inputs), layer.data_format)
    kernels = layer.depthwise_kernel, layer.pointwise_kernel
    return pixels * sum(math.prod(kernel.shape) for kernel in kernels)


def _dense(layer, inner, inputs, **_):
    return _positions(inputs) * math.prod(layer.kernel.shape)


def _einsum_dense(layer, inner, inputs, **_):
    # The kernel is used once for each entry of the axes that it doesn't have.
    of_inputs, of_kernel = layer.equation.replace(" ", "").split("->")[0].split(",")
    axes = of_inputs.replace("...", "." * (len(inputs) - len(of_inputs.replace("...", ""))))
    own = [size for axis, size in zip(axes, inputs, strict=True) if axis not in of_kernel]
    return _product(own[1:]) * math.prod(layer.kernel.shape)


def _multi_head_attention(layer, inner, query, value, key=None, **_):
    key = value if key is None else key
    config = layer.get_config()
    maps = (
        inner(layer.query_dense, query)
        + inner(layer.key_dense, key)
        + inner(layer.value_dense, value)
    )
    attended = _product(value[axis] for axis in keras_private.attended_axes(layer))
    widths = config["key_dim"] + config["value_dim"]
    heads = config["num_heads"]
    products = _positions(query) * attended * heads * widths
    output = (*query[:-1], heads, config["value_dim"])
    # A gate maps the query to the size of what the heads give.
    gate = inner(keras_private.gate_of(layer), query) if config.get("use_gate") else 0
    return maps + products + gate + inner(layer.output_dense, output)


def _frn(layer, inner, inputs, **_):
    kernels = layer.kernel, layer.projection
    return _positions(inputs) * sum(math.prod(kernel.shape) for kernel in kernels)


def _time_distributed(layer, inner, inputs, **_):
    return _product(inputs[1:2]) * inner(layer.layer, (inputs[0], *inputs[2:]))


def _recurrence(layer, inner, sequences, **_):
    step, total = (sequences[0], *sequences[2:]), 0
    for cell in getattr(layer.cell, "cells", [layer.cell]):
        total += inner(cell, step)
        step = (sequences[0], getattr(cell, "output_size", None))
    return _product(sequences[1:2]) * total


def _conv_recurrence(layer, inner, sequences, **_):
    cell = layer.cell
    # A peephole is met once a pixel, a kernel's filter at each.
    weights = sum(math.prod(w.shape) for w in (cell.kernel, cell.recurrent_kernel) if w is not None)
    peepholes = 0 if cell.peephole is None else 3 * layer.cell.units
    return _product(sequences[1:4]) * (weights + peepholes)


def _bidirectional(layer, inner, sequences, **_):
    return inner(layer.forward_layer, sequences) + inner(layer.backward_layer, sequences)


def _cell(layer, inner, inputs, **_):
    # Every weight that is not a bias meets one feature in a step.
    return sum(math.prod(weight.shape) for weight in layer.weights if "bias" not in weight.name)


def _residual_cell(layer, inner, inputs, **_):
    *places, channels = layer.state_shape
    channels *= 2 if layer.inject_input == "concat" else 1
    return inner(layer.branch, (inputs[0], *places, channels))


def _cell_branch(layer, inner, inputs, **_):
    return inner(layer.cell, (*inputs[:-1], inputs[-1] - sum(layer.sizes)))


def _runge_kutta(layer, inner, inputs, **_):
    return 4 * inner(layer.field, inputs)


def _grid_cell(layer, inner, inputs, **_):
    # Two of (2n, 4n) a layer, whether layers have their own or all the same.
    return math.prod(layer.kernel.shape) + layer.depth * 2 * 8 * layer.units**2


def _attention_window(layer, inner, inputs, **_):
    near = _positions(inputs) * inputs[-1] * (2 * layer.radius + 1)
    if layer.score == "additive":
        return 2 * near + 2 * _positions(inputs) * inputs[-1] ** 2
    return near * (2 if layer.score == "dot" else 1)


def _tree_net(layer, inner, inputs, **_):
    leaves, d = (inputs[0] if isinstance(inputs[0], list | tuple) else inputs)[1], layer.units
    return (leaves - 1) * (2 * d * d + layer.tensor * (4 * d**3 + 2 * d * d))


def _recurrent_residual(layer, inner, inputs, steps=None, **_):
    if layer.inject_input == "concat":
        inputs = (*inputs[:-1], 2 * inputs[-1])
    return (layer.steps if steps is None else steps) * inner(layer.branch, inputs)


def _highway(layer, inner, inputs, **_):
    return inner(layer.transform, inputs) + inner(layer.gate, inputs)


def _trainable_subsampling(layer, inner, inputs, **_):
    # One coefficient for each pixel and map.
    return _product(layer.compute_output_shape(inputs)[1:])


def _s_cell(layer, inner, inputs, **_):
    # The weights that are learnt, and the fixed ones over the sum of squares.
    kernels = math.prod(layer.excitation.shape) + layer.window**2
    return _positions(layer.compute_output_shape(inputs)) * kernels


def _c_cell(layer, inner, inputs, **_):
    window = (layer.window, layer.window) if layer.window else inputs[1:3]
    return _product(layer.compute_output_shape(inputs)[1:]) * _product(window)


def _partial_convolution(layer, inner, inputs, **_):
    return _positions(layer.compute_output_shape(inputs)) * math.prod(layer.kernel.shape)


def _meta_layer(layer, inner, inputs, **_):
    output = layer.compute_output_shape(inputs)
    return _product(output[1:]) * layer.kernel.shape[0]


def _meta_dense(layer, inner, inputs, **_):
    return inner(layer.dense, inputs) + inner(layer.meta, layer.dense.compute_output_shape(inputs))


def _meta_conv2d(layer, inner, inputs, **_):
    convolved = _product(layer._plane(inputs[1:3], pool=False))
    width = layer.filters // layer.groups
    groups = (inputs[0], *layer._plane(inputs[1:3]), layer.groups, width)
    return convolved * math.prod(layer.kernel.shape) + inner(layer.meta, groups)


def _conv3d_substitute(layer, inner, inputs, **_):
    # One more filter position for every plane of the volume.
    output = layer.compute_output_shape(inputs)
    if layer.unfold:
        output = (*output[:-1], output[-1] // layer.filters, layer.filters)
    return _positions(output) * math.prod(layer.kernel.shape)


def _transformer_block(layer, inner, inputs, **_):
    hidden = (*inputs[:-1], layer.mlp_hidden.units)
    maps = (
        inner(layer.qkv, inputs)
        + inner(layer.attention_output, inputs)
        + inner(layer.mlp_hidden, inputs)
        + inner(layer.mlp_output, hidden)
    )
    return maps + 2 * _product((inputs[1], inputs[1], inputs[2]))


def _token_transformer(layer, inner, inputs, **_):
    hidden = (*inputs[:-1], layer.units)
    maps = inner(layer.qkv, inputs) + sum(
        inner(dense, hidden)
        for dense in (layer.attention_output, layer.mlp_hidden, layer.mlp_output)
    )
    return maps + 2 * _product((inputs[1], inputs[1], layer.units))


def _token_performer(layer, inner, inputs, **_):
    hidden = (*inputs[:-1], layer.units)
    maps = inner(layer.kqv, inputs) + sum(
        inner(dense, hidden)
        for dense in (layer.attention_output, layer.mlp_hidden, layer.mlp_output)
    )
    # φ(k) and φ(q), the memory and its reading, and the normaliser.
    return maps + _positions(inputs) * (4 * layer.units + 1) * layer.features


def _tokens_to_token(layer, inner, inputs, **_):
    total = 0
    for split, tokens in ((layer.split1, layer.tokens1), (layer.split2, layer.tokens2)):
        total += inner(tokens, split.compute_output_shape(inputs))
        inputs = (inputs[0], *split.grid(inputs), layer.token_dim)
    return total + inner(layer.project, layer.split3.compute_output_shape(inputs))


RULES = {
    keras.layers.Conv1D: _convolution,
    keras.layers.Conv2D: _convolution,
    keras.layers.Conv3D: _convolution,
    keras.layers.DepthwiseConv1D: _convolution,
    keras.layers.DepthwiseConv2D: _convolution,
    keras.layers.Conv1DTranspose: _transposed_convolution,
    keras.layers.Conv2DTranspose: _transposed_convolution,
    keras.layers.Conv3DTranspose: _transposed_convolution,
    keras.layers.SeparableConv1D: _separable_convolution,
    keras.layers.SeparableConv2D: _separable_convolution,
    keras.layers.Dense: _dense,
    keras.layers.EinsumDense: _einsum_dense,
    keras.layers.MultiHeadAttention: _multi_head_attention,
    keras.layers.TimeDistributed: _time_distributed,
    layers.PeepholeConvLSTM2D: _conv_recurrence,
    keras.layers.RNN: _recurrence,
    keras.layers.Bidirectional: _bidirectional,
    layers.GridLSTMCell: _grid_cell,
    keras.layers.SimpleRNNCell: _cell,
    keras.layers.LSTMCell: _cell,
    keras.layers.GRUCell: _cell,
    layers.AttentionWindow: _attention_window,
    layers.CCell: _c_cell,
    layers.Conv3dSubstitute: _conv3d_substitute,
    layers.FRN: _frn,
    layers.GroupedDense: _dense,
    layers.Highway: _highway,
    layers.MetaConv2D: _meta_conv2d,
    layers.MetaDense: _meta_dense,
    layers.MetaLayer: _meta_layer,
    layers.PartialConv2D: _partial_convolution,
    layers.RBFOutput: _dense,
    layers.RRN: _dense,
    layers.RecurrentResidual: _recurrent_residual,
    ResidualCell: _residual_cell,
    CellBranch: _cell_branch,
    RungeKutta: _runge_kutta,
    layers.SCell: _s_cell,
    layers.TokenPerformer: _token_performer,
    layers.TokenTransformer: _token_transformer,
    layers.TokensToToken: _tokens_to_token,
    layers.TrainableSubsampling2D: _trainable_subsampling,
    layers.TransformerBlock: _transformer_block,
    layers.TreeNet: _tree_net,
}
