"""Model repositories of NVIDIA Triton and of OpenVINO Model Server, of a file that is there."""

import json

from keras_recres.zoo.files import write_aside

# Which format each server reads here, and what its file is called in the version's folder.
FILES = {"triton": ("onnx", "model.onnx"), "openvino": ("openvino", "model.xml")}


def triton_config(name, shape, dtype, classes):
    """The `config.pbtxt` of a model for Triton, whose ONNX Runtime backend runs it.

    Args:
        name: Name of the model.
        shape: Shape of one example.
        dtype: Of the input, "float32", "int32" or "int64".
        classes: Number of logits.
    """
    kind = {"float32": "FP32"}.get(dtype, dtype.upper())
    return f"""\
name: "{name}"
backend: "onnxruntime"
max_batch_size: 32
input [ {{ name: "inputs" data_type: TYPE_{kind} dims: [ {", ".join(map(str, shape))} ] }} ]
output [
  {{ name: "logits" data_type: TYPE_FP32 dims: [ {classes} ] label_filename: "labels.txt" }}
]
dynamic_batching {{ max_queue_delay_microseconds: 2000 }}
"""


def openvino_config(names, models="/models"):
    """The `config.json` of OpenVINO Model Server for the models of a folder."""
    # Else it would compute in bfloat16 where the processor can.
    plugin = {"INFERENCE_PRECISION_HINT": "f32"}
    entries = [
        {"config": {"name": n, "base_path": f"{models}/{n}", "plugin_config": plugin}}
        for n in names
    ]
    return json.dumps({"model_config_list": entries}, indent=2) + "\n"


def write(directory, name, server, network, labels):
    """Writes what a server reads of a model and of its folder, beside the versions."""
    if server == "triton":
        config = triton_config(name, network.input_shape, network.input_dtype, len(labels))
        write_aside(directory / name / "labels.txt", "".join(f"{label}\n" for label in labels))
        write_aside(directory / name / "config.pbtxt", config)
        return
    found = sorted({path.parts[-3] for path in directory.glob("*/*/model.xml")})
    (directory / "config").mkdir(exist_ok=True)
    write_aside(directory / "config" / "config.json", openvino_config(found))
