"""What stands in the way of converters: operations that they lack, and copies that they make."""

import contextlib
import unittest.mock

import keras
import numpy as np
from keras import ops

from keras_recres.layers import MetaLayer

# A weight of fewer numbers is not worth its scales.
LEAST_INT8 = 256
# What multiplies by a weight, and the axis of its filters.
FILTERS = {"Conv": 0, "ConvTranspose": 1, "MatMul": -1, "Gemm": -1, "Einsum": -1}
# What hands a weight on to one of those.
HANDS_ON = {"Transpose", "Reshape", "Identity"}


@contextlib.contextmanager
def forms():
    """While a model is traced: equal forms of what some converter does not know.

    GELU by erf, as TensorFlow's erfc is not an operator of ONNX; PReLU of five axes by maximum and
    minimum, as LiteRT's converter takes its usual form for an operator that has four at most; and
    groups mixed with the batch in front, as LiteRT loses an open batch size behind other axes.
    """
    with contextlib.ExitStack() as stack:
        for kind, method, form in (
            (keras.layers.PReLU, "call", _prelu),
            (MetaLayer, "_mixes_in_place", lambda self, shape: True),
            (MetaLayer, "_mixed_in_place", _mixed),
        ):
            stack.enter_context(unittest.mock.patch.object(kind, method, form))
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            gelu = tf.nn.gelu

            def by_erf(features, approximate=False, name=None):
                if approximate:
                    return gelu(features, approximate, name)
                half = tf.constant(0.5, features.dtype)
                return half * features * (1 + tf.math.erf(features * tf.sqrt(half)))

            stack.enter_context(unittest.mock.patch.object(tf.nn, "gelu", by_erf))
        yield


_keras_prelu = keras.layers.PReLU.call


def _prelu(self, inputs):
    if len(inputs.shape) <= 4:
        return _keras_prelu(self, inputs)
    return ops.maximum(inputs, 0) + self.alpha * ops.minimum(inputs, 0)


def _mixed(self, inputs, kernel):
    return ops.swapaxes(ops.matmul(ops.swapaxes(inputs, -1, -2), kernel), -1, -2)


def torch_to_onnx(model, path, x, any_batch):
    """PyTorch's exporter, with one file for any batch size.

    Not through Keras, which for this goes back to the exporter before, and not with the exporter's
    own optimisation: it takes every number up to 1e-8 for zero, and so the 1e-8 of TokenPerformer's
    denominator, without which logits differ by 1e-4 to 4e-3.

    Args:
        model: The model.
        path: The file.
        x: A batch, NumPy array; of more than one example for any batch size.
        any_batch: Whether the batch size is left open.
    """
    import onnxscript.optimizer
    import torch

    class Inference(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, inputs):
            return self.model(inputs, training=False)

    x = ops.convert_to_tensor(x)
    values = [variable.value for variable in model.variables]
    training = [value for value in values if value.requires_grad]
    was_training = model.training
    try:
        for value in training:
            value.requires_grad_(False)
        program = torch.onnx.export(
            Inference().eval(),
            (x,),
            dynamo=True,
            verbose=False,
            optimize=False,
            input_names=["inputs"],
            output_names=["logits"],
            dynamic_shapes=({0: "batch"},) if any_batch else None,
        )
    finally:
        for value in training:
            value.requires_grad_(True)
        model.train(was_training)
    onnxscript.optimizer.inline(program.model)
    for node in program.model.graph:
        bias = node.inputs[2] if node.op_type == "Conv" and len(node.inputs) > 2 else None
        # What stands for none: zeros, of a shape in three dimensions that runtimes refuse
        # (onnxscript 0.7 has (filters, 2) there).
        if bias is not None and bias.producer() and bias.producer().op_type == "Expand":
            node.resize_inputs(2)
    onnxscript.optimizer.fold_constants(program.model)
    program.save(str(path))


def tidy_onnx(path, int8=False):
    """Rewrites an ONNX file with each weight once, also where loops use it, and short names.

    Args:
        path: The file.
        int8: Whether weights of products become 8-bit integers with a scale for each filter; a
            runtime multiplies them out or keeps them, as it likes.
    """
    import onnx_ir
    from onnx_ir.passes import common

    model = onnx_ir.load(path)
    passes = onnx_ir.passes.Sequential(
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(size_limit=2**40),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.ClearMetadataAndDocStringPass(),
    )
    passes(model)
    if int8:
        for value in list(model.graph.initializers.values()):
            _to_int8(value, model.graph)
    kept = {value for value in (*model.graph.inputs, *model.graph.outputs)}
    for number, node in enumerate(onnx_ir.traversal.RecursiveGraphIterator(model.graph)):
        node.name = f"n{number}"
        for index, value in enumerate(node.outputs):
            if value not in kept:
                value.name = f"v{number}.{index}" if index else f"v{number}"
    # The names that clients send and receive.
    model.graph.inputs[0].name, model.graph.outputs[0].name = "inputs", "logits"
    onnx_ir.save(model, path)


def _integers(weight, axis):
    """8-bit integers, and their scale for each entry of an axis, (1, …, n, …, 1)."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight).max(axis=others, keepdims=True), 1e-12) / 127
    return np.clip(np.rint(weight / scale), -127, 127).astype("int8"), scale.astype("float32")


def openvino_to_int8(path):
    """Rewrites an OpenVINO file with 8-bit weights of products, those inside loops included."""
    import openvino
    from openvino import opset13 as ov

    def shrink(graph):
        for operation in graph.get_ops():
            if operation.get_type_name() in ("Loop", "TensorIterator"):
                shrink(operation.get_function())
            axis = _filters_openvino(operation)
            if axis is None:
                continue
            integers, scale = _integers(operation.data, axis % operation.data.ndim)
            wide = ov.multiply(ov.convert(ov.constant(integers), "f32"), ov.constant(scale))
            operation.output(0).replace(wide.output(0))

    # Read from memory: a file that is open would be written over.
    core = openvino.Core()
    model = core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())
    shrink(model)
    openvino.serialize(model, path)


def _filters_openvino(operation):
    """The axis of the filters if an operation is a weight of products and nothing else, or None."""
    if operation.get_type_name() != "Constant":
        return None
    if operation.get_element_type().get_type_name() != "f32":
        return None
    if len(operation.shape) < 2 or np.prod(operation.shape) < LEAST_INT8:
        return None
    axes = set()
    for entry in operation.output(0).get_target_inputs():
        node = entry.get_node()
        kind = node.get_type_name()
        if kind == "MatMul" and entry.get_index() == 1:
            axes.add(-2 if node.get_attributes()["transpose_b"] else -1)
        else:
            axes.add({"Convolution": 0, "Transpose": -1, "Reshape": -1}.get(kind))
    return axes.pop() if len(axes) == 1 else None


def _to_int8(value, graph):
    import onnx_ir

    axis = _filters(value)
    weight = None if axis is None else value.const_value.numpy()
    if weight is None or weight.dtype != "float32" or weight.ndim < 2 or weight.size < LEAST_INT8:
        return
    axis %= weight.ndim
    integers, scale = _integers(weight, axis)
    constants = {"int8": integers, "scale": scale.ravel()}
    inputs = []
    for kind, array in constants.items():
        name = f"{value.name}.{kind}"
        inputs.append(onnx_ir.Value(name=name, const_value=onnx_ir.tensor(array, name=name)))
        graph.register_initializer(inputs[-1])
    node = onnx_ir.node("DequantizeLinear", inputs, {"axis": axis})
    node.outputs[0].type, node.outputs[0].shape = value.type, value.shape
    graph.insert_before(graph[0], node)
    value.replace_all_uses_with(node.outputs[0])
    del graph.initializers[value.name]


def _filters(value):
    """The axis of the filters if a value is used as a weight and nothing else, or None."""
    axes = set()
    for node, index in value.uses():
        if node.op_type in FILTERS and index == 1:
            turned = node.op_type == "Gemm" and node.attributes.get_int("transB", 0)
            axes.add(0 if turned else FILTERS[node.op_type])
        elif node.op_type in HANDS_ON and index == 0 and _filters(node.outputs[0]) is not None:
            axes.add(-1)
        elif node.op_type != "Loop":  # Which hands it on to its body.
            return None
    return axes.pop() if len(axes) == 1 else None
