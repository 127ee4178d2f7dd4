"""One way to run an exported model, in a process that answers requests on its standard input.

    python -m training.benchmarks.serve_ways ENGINE THREADS FILES IMAGES.npy

FILES is {batch: path} in JSON, "" for any batch size. A line {"way", "batch", "repeats"} is
answered by a line {"seconds": [of each], "logits", "heavy": frameworks that were imported}.
"""

import json
import os
import sys
import time

import numpy as np


def c_api(files, threads):
    """`serving_default` in TensorFlow's C library: logits, probabilities and classes."""
    from training.benchmarks.c_api import SavedModel

    model = SavedModel(files[""], threads)
    (name,) = model.signatures["serving_default"]["inputs"]
    return {"C API": lambda x: model.run("serving_default", {name: x})["logits"]}


def keras(files, threads):
    """Keras on TensorFlow: `predict`, and the call as a tf.function."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    import keras

    import keras_recres.models  # noqa: F401  registers the layers of all builders

    model = keras.models.load_model(files[""], compile=False)
    compiled = tf.function(lambda x: model(x, training=False))
    return {
        "Keras predict": lambda x: model.predict(x, batch_size=len(x), verbose=0),
        "Keras tf.function": lambda x: compiled(tf.constant(x)).numpy(),
    }


def onnx(files, threads):
    """ONNX Runtime on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    sessions = {
        batch: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for batch, path in files.items()
    }

    def run(x):
        session = sessions.get("") or sessions[str(len(x))]
        return session.run(None, {session.get_inputs()[0].name: x})[0]

    return {"ONNX Runtime": run}


def openvino(files, threads):
    """OpenVINO on the processor, in float32: it would choose bfloat16 where there is any."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(files[""], "CPU", options)
    return {"OpenVINO": lambda x: compiled(x)[0]}


# In the order of the table: what runs it, and the format of its file.
ENGINES = {
    "c_api": (c_api, "saved_model"),
    "keras": (keras, "keras"),
    "onnx": (onnx, "onnx"),
    "openvino": (openvino, "openvino"),
}


def main(engine, threads, files, images):
    """Answers until the input ends."""
    # Whatever a library prints is not an answer.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threads = int(threads)
    if hasattr(os, "sched_setaffinity"):
        # Also for the threads that an engine does not count.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    images = np.load(images)
    ways = ENGINES[engine][0](json.loads(files), threads)
    for line in sys.stdin:
        request = json.loads(line)
        run = ways[request["way"] or next(iter(ways))]
        x, seconds = np.ascontiguousarray(images[: request["batch"]]), []
        for _ in range(request["repeats"]):
            begin = time.perf_counter()
            logits = np.asarray(run(x))
            seconds.append(time.perf_counter() - begin)
        answer = {
            "seconds": seconds,
            "logits": logits.tolist(),
            "ways": [*ways],
            "heavy": sorted({"keras", "tensorflow"} & {*sys.modules}),
        }
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
