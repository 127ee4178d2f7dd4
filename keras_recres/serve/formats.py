"""ONNX, LiteRT and OpenVINO by Keras' exporters, each compared after it was loaded again."""

import importlib.util
import logging
import pathlib

import keras
import numpy as np

from keras_recres.serve import portable
from keras_recres.serve.network import Network
from keras_recres.serve.reference import random_inputs

logger = logging.getLogger("keras_recres")

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
# What Keras' exporter of a format needs on a backend, as {package for pip: module}. OpenVINO has no
# rule for what JAX 0.10 hands to TensorFlow, one operation, XlaCallModule.
EXPORTERS = {
    ("onnx", "tensorflow"): {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnx-ir": "onnx_ir"},
    ("onnx", "jax"): {"jax2onnx": "jax2onnx", "onnx": "onnx", "onnx-ir": "onnx_ir"},
    ("onnx", "torch"): {"onnx": "onnx", "onnxscript": "onnxscript"},
    ("litert", "tensorflow"): {},
    ("litert", "torch"): {"litert-torch": "litert_torch"},
    ("openvino", "tensorflow"): {},
    ("openvino", "torch"): {},
}
# What loads it again.
RUNTIMES = {
    "onnx": {"onnxruntime": "onnxruntime"},
    # TensorFlow, which every export needs, has an interpreter, too.
    "litert": {},
    "openvino": {"openvino": "openvino"},
}
BATCH = 3
# Of the logits' size, what 8 bits may change at most: more is a fault of a converter.
INT8_TOLERANCE = 0.3
# What constants may take besides weights: shapes, scales, masks.
BESIDE_WEIGHTS = 1.05
INPUTS_FOR_RANGES = 256


def check(formats, int8=False, activations=False):
    """The formats as a tuple; raises for unknown ones and for those whose packages are missing.

    Args:
        formats: Names, or one name.
        int8: Whether weights become 8-bit integers.
        activations: Whether activations do so in LiteRT.
    """
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    backend = keras.backend.backend()
    for name in formats:
        if name not in SUFFIXES:
            raise ValueError(
                f"`formats` must be of {', '.join(map(repr, SUFFIXES))}, but it has {name!r}; the "
                "SavedModel is always written."
            )
        if (name, backend) not in EXPORTERS:
            works = [b for f, b in EXPORTERS if f == name]
            raise ValueError(
                f"Keras exports no {name!r} from the backend {backend!r}: load the same weights "
                f"with KERAS_BACKEND={' or '.join(works)}."
            )
        needed = {**EXPORTERS[name, backend], **RUNTIMES[name]}
        if int8 and name == "litert" and backend != "tensorflow":
            raise ValueError(
                "LiteRT with 8-bit integers is TensorFlow's converter's work, but the backend is "
                f"{backend!r}: load the same weights with KERAS_BACKEND=tensorflow."
            )
        if activations and name == "litert" and not importlib.util.find_spec("ai_edge_litert"):
            raise ImportError(
                "LiteRT with activations of 8 bits is compared in its own interpreter, since "
                "TensorFlow's rounds otherwise: pip install ai-edge-litert, or leave out the "
                "representative images."
            )
        missing = [p for p, module in needed.items() if importlib.util.find_spec(module) is None]
        if missing:
            raise ImportError(
                f"The format {name!r} on the backend {backend!r} needs: "
                f"pip install {' '.join(missing)}."
            )
    return formats


def write(model, path, kind, batch, tolerance, int8=False, representative=None):
    """Exports a model, from inputs to logits, and compares what is loaded again.

    Args:
        model: The model.
        path: The file, with the suffix of the format.
        kind: "onnx", "litert" or "openvino".
        batch: A fixed batch size, or None for any.
        tolerance: Largest difference, as a share of the largest logit if that is above 1; with
            `int8` that is `INT8_TOLERANCE`.
        int8: Whether weights become 8-bit integers.
        representative: Inputs as the model takes them, from which LiteRT's converter learns the
            ranges of activations, to compute with 8-bit integers throughout; or None.

    Returns:
        The difference.

    Raises:
        ValueError: If this model cannot be exported in this format, or the answers differ.
    """
    network = Network(model)
    if representative is None:
        x = random_inputs(network, batch or BATCH)
    else:
        x = np.resize(representative, (batch or BATCH, *network.input_shape))
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    doing = "exported"
    path = pathlib.Path(path)
    path.parent.mkdir(exist_ok=True)
    try:
        with portable.forms():
            _export(model, path, kind, x, batch, int8, representative)
        doing = "loaded again"
        found = LOADERS[kind](str(path))(x)
    except Exception as error:
        # Of a compiler of any of these packages: there is no common class.
        reason = " ".join(str(error).split())
        reason = reason if len(reason) < 300 else reason[:300] + "…"
        advice = "" if batch else "; a fixed `format_batch` is easier for some exporters"
        raise ValueError(
            f"{model.name!r} cannot be {doing} as {kind!r} on the backend "
            f"{keras.backend.backend()!r}{advice} ({type(error).__name__}: {reason})"
        ) from None
    return _compared(model, path, kind, found, expected, INT8_TOLERANCE if int8 else tolerance)


def with_int8_weights(model, path, kind):
    """Rewrites an ONNX or OpenVINO file of `write` with 8-bit weights, which a new one would have.

    Args:
        model: The model.
        path: The file.
        kind: "onnx" or "openvino".

    Returns:
        The difference, as that of `write`.
    """
    if kind == "onnx":
        portable.tidy_onnx(path, int8=True)
    else:
        portable.openvino_to_int8(path)
    x = random_inputs(Network(model), BATCH)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    found = LOADERS[kind](str(path))(x)
    return _compared(model, path, kind, found, expected, INT8_TOLERANCE)


def _compared(model, path, kind, found, expected, tolerance):
    """The difference of a file's logits from the model's, which its size is logged with."""
    if found.shape != expected.shape:
        raise ValueError(f"{kind!r} gives logits of shape {found.shape}, not {expected.shape}.")
    difference = np.max(np.abs(found - expected)) / max(1, np.max(np.abs(expected)))
    if not difference <= tolerance:
        raise ValueError(
            f"The logits of {model.name!r} as {kind!r} differ from the model's by "
            f"{difference:.3g}, more than {tolerance:g}."
        )
    _tell_size(model, path, kind, difference)
    return float(difference)


def _export(model, path, kind, x, batch, int8, representative):
    backend = keras.backend.backend()
    options = {}
    if batch is not None:
        spec = keras.InputSpec(shape=x.shape, dtype=x.dtype.name, name="inputs")
        options["input_signature"] = [spec]
    if kind == "onnx":
        if backend == "torch":
            portable.torch_to_onnx(model, path, x, batch is None)
        else:
            model.export(str(path), format=kind, verbose=False, **options)
        portable.tidy_onnx(path, int8)
    else:
        if int8 and kind == "litert":
            import tensorflow as tf

            options["optimizations"] = [tf.lite.Optimize.DEFAULT]
            if representative is not None:
                some = representative[:INPUTS_FOR_RANGES]
                options["representative_dataset"] = lambda: ([one[None]] for one in some)
        model.export(str(path), format=kind, verbose=False, **options)
        if int8 and kind == "openvino":
            portable.openvino_to_int8(path)


def _tell_size(model, path, kind, difference):
    """Logs how large a file is, as a warning where its converter holds weights more than once."""
    size = path.stat().st_size
    constants, numbers = constants_of(path, kind)
    if kind == "openvino":
        size += path.with_suffix(".bin").stat().st_size
    text = "%s as %s: %s bytes, %s of them constants; logits differ by %.1e"
    values = [model.name, kind, f"{size:,}", f"{constants:,}", difference]
    parameters = model.count_params()
    copied = numbers > BESIDE_WEIGHTS * parameters + 1000
    if copied:
        text += "; its converter made copies: %s numbers for %s parameters"
        values += [f"{numbers:,}", f"{parameters:,}"]
    logger.log(logging.WARNING if copied else logging.INFO, text, *values)


def constants_of(path, kind):
    """How many bytes of constants a file has, and of how many numbers, whatever their type."""
    if kind == "onnx":
        import onnx_ir

        graph = onnx_ir.load(path).graph
        values = [value.const_value for value in graph.initializers.values()]
        return sum(v.nbytes for v in values), sum(v.size for v in values)
    if kind == "openvino":
        import openvino

        # Equal constants are one in the file, as many as there are in the graph.
        size = pathlib.Path(path).with_suffix(".bin").stat().st_size
        model = openvino.Core().read_model(path)
        found = [op for op in model.get_ops() if op.get_type_name() == "Constant"]
        whole = sum(op.get_byte_size() for op in found)
        numbers = sum(int(np.prod(op.shape)) for op in found)
        return size, round(numbers * size / max(whole, 1))
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(pathlib.Path(path).read_bytes(), 0)
    sizes = [model.Buffers(i).DataLength() for i in range(model.BuffersLength())]
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    tensors = [graph.Tensors(i) for graph in graphs for i in range(graph.TensorsLength())]
    shape_of = {t.Buffer(): t.ShapeAsNumpy() for t in tensors if sizes[t.Buffer()]}
    return sum(sizes), sum(int(np.prod(shape)) for shape in shape_of.values())


def _load_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {session.get_inputs()[0].name: x})[0]


def _load_litert(path):
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter

    interpreter = Interpreter(path)
    (entry,) = interpreter.get_input_details()

    def run(x):
        interpreter.resize_tensor_input(entry["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def _load_openvino(path):
    import openvino

    # Without the hint it computes in bfloat16 where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", options)
    return lambda x: compiled(x)[0]


LOADERS = {"onnx": _load_onnx, "litert": _load_litert, "openvino": _load_openvino}
