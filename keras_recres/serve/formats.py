"""ONNX, LiteRT and OpenVINO: Keras' own export, and a comparison after it was loaded again."""

import importlib.util
import pathlib

import keras
import numpy as np

from keras_recres.serve.network import Network
from keras_recres.serve.reference import random_inputs

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
# What Keras' exporter of a format needs on a backend, as {package for pip: module}.
EXPORTERS = {
    ("onnx", "tensorflow"): {"tf2onnx": "tf2onnx", "onnx": "onnx"},
    ("onnx", "jax"): {"jax2onnx": "jax2onnx"},
    ("onnx", "torch"): {"onnx": "onnx", "onnxscript": "onnxscript"},
    ("litert", "tensorflow"): {},
    ("litert", "torch"): {"litert-torch": "litert_torch"},
    ("openvino", "tensorflow"): {},
    ("openvino", "jax"): {"tensorflow": "tensorflow"},
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


def check(formats):
    """The formats as a tuple; raises for unknown ones and for those whose packages are missing."""
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
        missing = [p for p, module in needed.items() if importlib.util.find_spec(module) is None]
        if missing:
            raise ImportError(
                f"The format {name!r} on the backend {backend!r} needs: "
                f"pip install {' '.join(missing)}."
            )
    return formats


def write(model, path, kind, batch, tolerance):
    """Exports a model by Keras, from inputs to logits, and compares what is loaded again.

    Args:
        model: The model.
        path: The file, with the suffix of the format.
        kind: "onnx", "litert" or "openvino".
        batch: A fixed batch size, or None for any.
        tolerance: Largest difference, as a share of the largest logit if that is above 1.

    Raises:
        ValueError: If Keras cannot export this model in this format, or the answers differ.
    """
    network = Network(model)
    x = random_inputs(network, batch or BATCH)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    options = {}
    if batch is not None:
        spec = keras.InputSpec(shape=x.shape, dtype=network.input_dtype, name="inputs")
        options["input_signature"] = [spec]
    doing = "exported"
    pathlib.Path(path).parent.mkdir(exist_ok=True)
    try:
        model.export(str(path), format=kind, verbose=False, **options)
        doing = "loaded again"
        found = RUN[kind](str(path), x)
    except Exception as error:
        # Of a compiler of any of these packages: there is no common class.
        reason = " ".join(str(error).split())
        reason = reason if len(reason) < 300 else reason[:300] + "…"
        advice = "" if batch else "; a fixed `format_batch` is easier for some exporters"
        raise ValueError(
            f"{model.name!r} cannot be {doing} as {kind!r} on the backend "
            f"{keras.backend.backend()!r}{advice} ({type(error).__name__}: {reason})"
        ) from None
    if found.shape != expected.shape:
        raise ValueError(f"{kind!r} gives logits of shape {found.shape}, not {expected.shape}.")
    difference = np.max(np.abs(found - expected)) / max(1, np.max(np.abs(expected)))
    if not difference <= tolerance:
        raise ValueError(
            f"The logits of {model.name!r} as {kind!r} differ from the model's by "
            f"{difference:.3g}, more than {tolerance:g}."
        )


def _run_onnx(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def _run_litert(path, x):
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter

    interpreter = Interpreter(path)
    (entry,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(entry["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _run_openvino(path, x):
    import openvino

    # Without the hint it computes in bfloat16 where the processor can.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(path, "CPU", options)(x)[0]


RUN = {"onnx": _run_onnx, "litert": _run_litert, "openvino": _run_openvino}
